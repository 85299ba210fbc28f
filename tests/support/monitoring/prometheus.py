"""A real Prometheus for as long as a context is open."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import requests
import yaml

from localcloud.ports import free_ports

SCRAPE_SECONDS: Final = 1
STARTS_WITHIN: Final = 30.0


class Prometheus:
    """Scrapes every second, and evaluates the rules as often as they say."""

    def __init__(self, targets: Mapping[str, str], rules: Sequence[Mapping[str, Any]]) -> None:
        """`targets`: by service, host:port. `rules`: groups."""
        self._targets, self._rules = targets, rules
        [port] = free_ports(1)
        self._listen, self._session = f"127.0.0.1:{port}", requests.Session()
        self._session.trust_env = False

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The answer at this moment, a series each. Raises AssertionError if Prometheus refuses the expression."""
        answer = self._session.get(f"http://{self._listen}/api/v1/query", params={"query": expr}, timeout=10).json()
        assert answer["status"] == "success", (expr, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def firing(self) -> set[str]:
        """The alerts that fire."""
        return {one["metric"]["alertname"] for one in self.query('ALERTS{alertstate="firing"}')}

    def wait(self, wanted: Callable[[], bool], *, seconds: float) -> bool:
        """Whether it came true in time."""
        until = time.monotonic() + seconds
        while not (there := wanted()) and time.monotonic() < until:
            time.sleep(SCRAPE_SECONDS)
        return there

    def wait_for(self, alerts: Collection[str], *, seconds: float, ignored: Collection[str] = ()) -> None:
        """Waits until exactly these alerts fire. Raises AssertionError if they do not in time, or as soon as another one does."""

        def is_so() -> bool:
            firing = self.firing().difference(ignored)
            assert not alerts or firing <= set(alerts), f"{sorted(firing)} fire instead of {sorted(alerts)}"
            return firing == set(alerts)

        assert self.wait(is_so, seconds=seconds), f"{sorted(self.firing())} fire instead of {sorted(alerts)}"

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="prometheus-")
        folder = Path(self._folder.name)
        scraped = [{"targets": [address], "labels": {"service": service}} for service, address in self._targets.items()]
        config = {
            "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "scrape_timeout": f"{SCRAPE_SECONDS}s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "convergence", "static_configs": scraped}],
        }
        (folder / "rules.yml").write_text(yaml.safe_dump({"groups": list(self._rules)}, width=10_000))
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        self._process = subprocess.Popen([*command, f"--web.listen-address={self._listen}", "--log.level=warn"])
        if not self.wait(self._is_ready, seconds=STARTS_WITHIN):
            self.__exit__(None, None, None)
            raise RuntimeError("Prometheus does not start, see above")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()
        self._session.close()

    def _is_ready(self) -> bool:
        try:
            return self._session.get(f"http://{self._listen}/-/ready", timeout=5).ok
        except requests.ConnectionError:
            return False
