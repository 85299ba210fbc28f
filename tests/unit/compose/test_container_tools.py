"""What `make containers` and the images are made with, as far as that needs no container."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from services.platform.settings import REPOSITORY
from services.probe import probe
from tests.support.yaml_text import parsed
from tools.containers.container_engine import COMPOSE_FILE
from tools.containers.podman import batches, without_start_interval
from tools.licences import IMAGES, packages
from tools.slim_packages import ELF_64, cut, slim

COMPOSE = parsed(COMPOSE_FILE.read_text())
OURS = {"convergence", "services", "gateway"}


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_probe_says_why_a_process_is_not_well(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And asks it directly, whatever proxies there are."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert probe(f"{url}/healthz") is None
    assert "503" in str(probe(f"{url}/readyz"))
    assert "127.0.0.1:9" in str(probe("http://127.0.0.1:9/healthz"))


def test_each_part_is_started_after_those_that_it_depends_on() -> None:
    parts = COMPOSE["services"]
    order = {name: index for index, batch in enumerate(batches(parts)) for name in batch}
    assert order.keys() == parts.keys()
    assert all(order[needed] < order[name] for name, part in parts.items() for needed in part.get("depends_on", {}))


def test_parts_that_wait_for_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="a, b depend on each other"):
        list(batches({"a": {"depends_on": {"b": {}}}, "b": {"depends_on": {"a": {}}}, "c": {}}))


def test_nothing_but_the_start_interval_is_left_out() -> None:
    left = without_start_interval(COMPOSE)
    for name, part in COMPOSE["services"].items():
        health = {key: value for key, value in part.get("healthcheck", {}).items() if key != "start_interval"}
        assert left["services"][name] == {**part, **({"healthcheck": health} if health else {})}


def test_slimming_takes_away_what_is_listed_and_keeps_what_we_call(tmp_path: Path) -> None:
    gone = ["pyarrow/libarrow_flight.so.2600", "pyarrow/include/arrow/api.h", "botocore/data/ec2/2016-11-15/s.json", "moto/ec2/models.py"]
    kept = ["pyarrow/libarrow.so.2600", "botocore/data/s3/2006-03-01/s.json", "botocore/data/endpoints.json", "moto/s3/models.py"]
    for name in (*gone, *kept):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("12345")
    assert slim(tmp_path) == 5 * len(gone)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_a_library_is_loaded_without_what_only_debuggers_read(tmp_path: Path) -> None:
    """Every function is there, a second time there is nothing left to take away, and what the file was linked to stays as it is."""
    before, copied, linked = Path(yaml._yaml.__file__), tmp_path / "library.so", tmp_path / "linked.so"
    copied.write_bytes(before.read_bytes())
    cut(copied)
    shortest = copied.read_bytes()
    copied.write_bytes(shortest + bytes(10_000))  # as symbols stand, behind all segments
    linked.hardlink_to(copied)
    assert cut(copied) == 10_000
    assert cut(copied) == 0
    assert copied.read_bytes() == shortest
    assert linked.stat().st_size == len(shortest) + 10_000
    program = (
        "import sys, importlib.util as u; spec = u.spec_from_file_location('yaml._yaml', sys.argv[1]); one = u.module_from_spec(spec); "
        "spec.loader.exec_module(one); print(sorted(dir(one)), one.get_version(), one.CParser('a: [1]').get_token().__class__)"
    )
    said = [
        subprocess.run([sys.executable, "-c", program, str(path)], check=True, capture_output=True, text=True).stdout
        for path in (copied, before)
    ]
    assert said[0] == said[1]

    for odd in (b"", b"not a library", ELF_64, before.read_bytes()[:63]):
        copied.write_bytes(odd)
        assert cut(copied) == 0
        assert copied.read_bytes() == odd


def test_the_gateway_needs_no_package_that_its_image_lacks() -> None:
    """It has a group of packages of its own, and some of its modules are the services'. Here it runs as if no other were installed."""
    held = {one.name for one in packages(IMAGES["gateway"])}
    by_module = metadata.packages_distributions()
    lacking = [name for name, owners in by_module.items() if not held & {one.lower().replace("_", "-") for one in owners}]
    program = f"import sys; sys.modules |= dict.fromkeys({sorted(set(lacking) - OURS)}); import gateway.__main__"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY)
