"""docs/write-a-template.md: every block of the page does what the page says, through the gateway."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks

from services.platform.settings import REPOSITORY
from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.system.suite.conftest import configs_of
from tests.system.tenants import Suite, Tenant, until

PAGE = REPOSITORY / "docs/write-a-template.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECRET = "sixteen-letters!"
TEMPLATE = "gcp/cost/services"
MAKE = f"""#!/bin/sh
test "$1" = check-template || exit 2
exec env PYTHONPATH={REPOSITORY}:{REPOSITORY}/gen {sys.executable} -m tools.check_template "${{2#FILE=}}"
"""


class Receiver(ThreadingHTTPServer):
    """A webhook on loopback that keeps what it gets."""

    def __init__(self) -> None:
        self.told = list[tuple[dict[str, str], bytes]]()
        super().__init__(("127.0.0.1", 0), Answering)


class Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Receiver)
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.told.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@dataclass(frozen=True, kw_only=True, slots=True)
class Author:
    """Somebody who follows the page, with a tenant whose export has rows of yesterday."""

    tenant: Tenant
    receiver: Receiver
    place: Path
    files: Mapping[str, str]
    commands: Sequence[str]
    environment: Mapping[str, str]

    def write(self, name: str, text: str) -> None:
        (self.place / name).write_text(text)

    def run(self, command: str) -> str:
        done = subprocess.run(["bash", "-euc", command], cwd=self.place, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def answered(self, name: str) -> Any:
        return json.loads((self.place / name).read_text())


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def author(running: Suite, private_key: Rsa, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Author]:
    """In the suite's own configs/; what the page adds there is taken away again."""
    blocks, place = BLOCK.findall(PAGE.read_text()), tmp_path_factory.mktemp("author")
    tenant, yesterday = running.tenant(private_key), datetime.now(UTC).date() - timedelta(days=1)
    load(running.env["BIGQUERY_EMULATOR_HOST"], f"{tenant.project}.exports.gcp_billing_export_v1_{ACCOUNT}", many(yesterday, 20), STANDARD)
    assert tenant.set_credentials().status == 200
    (place / "make").write_text(MAKE)
    (place / "make").chmod(0o700)
    (place / "configs").symlink_to(configs_of(running.local))
    environment = {
        "PATH": f"{place}:{os.environ['PATH']}",
        "GATEWAY_URL": running.env["GATEWAY_URL"],
        "TENANT": tenant.tenant_id,
        "KEY": tenant.api_key,
        "HOOK_URL": f"http://127.0.0.1:{receiver.server_port}/runs",
        "HOOK_SECRET": SECRET,
    }
    files = {name: text for _, name, text in blocks if name}
    yield Author(
        tenant=tenant,
        receiver=receiver,
        place=place,
        files=files,
        commands=[text for _, name, text in blocks if not name],
        environment=environment,
    )
    for name in files:
        (place / name).unlink(missing_ok=True)


def test_every_block_is_a_file_or_a_command(author: Author) -> None:
    assert {kind for kind, name, _ in BLOCK.findall(PAGE.read_text()) if not name} == {"sh"}
    assert len(author.commands) == 5
    assert len(author.files[f"configs/{TEMPLATE}.yml"].splitlines()) <= 22


def test_half_of_it_is_answered_with_what_is_wrong_and_the_whole_has_no_faults(author: Author) -> None:
    """Not: that there is no such pipeline."""
    author.write(f"configs/{TEMPLATE}.yml", author.files[f"configs/{TEMPLATE}.yml"])
    rest, path = author.tenant.rest, f"/api/v1/pipelines/run/{author.tenant.tenant_id}/{TEMPLATE}"
    broken = until(lambda: rest.call("POST", path, {}), lambda found: found.status != 404, seconds=30)
    assert (broken.status, broken.body["details"][0]["reason"]) == (400, "TEMPLATE_BROKEN")
    assert f"{TEMPLATE}.yml:9:10: there is no file services.sql beside the template" in broken.body["message"]
    for name, text in author.files.items():
        author.write(name, text)
    assert "no faults" in author.run(author.commands[0])
    listed = until(
        lambda: {one["template"]: one for one in rest.call("GET", "/api/v1/pipelines/templates").body["templates"]},
        lambda found: "services" in found,
        seconds=30,
    )
    assert listed["services"]["body_schema"]["properties"]["date"]["default"] == "yesterday"


@pytest.mark.timeout(300)
def test_it_runs_publishes_is_scheduled_and_tells(author: Author, running: Suite) -> None:
    _, billing, own, schedule, hook = author.commands
    tenant_id = author.tenant.tenant_id
    author.run(hook)
    assert author.answered("tested.json")["status"] == "DELIVERED", author.answered("tested.json")
    author.run(billing)
    author.run(own)
    done = author.answered("run.json")
    assert done["status"] == "COMPLETED", done
    assert [(one["check_name"], one["status"]) for one in done["dq_results"]] == [("service_known", "PASSED")]
    costs, services = f"{tenant_id}.billing_cost_daily", f"{tenant_id}.service_cost_daily"
    [published] = running.query(f"SELECT SUM(net_cost) - (SELECT SUM(net_cost) FROM {costs}) AS off, COUNT(*) AS n FROM {services}")
    assert abs(published["off"]) < 1e-9
    assert published["n"] > 0
    author.run(schedule)
    assert author.answered("schedule.json")["next_run_time"]

    until(lambda: author.receiver.told, lambda told: len(told) == 2, seconds=30)
    events = [standardwebhooks.Webhook(SECRET.encode()).verify(body, headers) for headers, body in author.receiver.told]
    assert [event["type"] for event in events] == ["notification.test", "run.completed"]
    [shown] = [
        one
        for one in author.tenant.rest.call("GET", f"/api/v1/tenants/{tenant_id}/credentials").body["credentials"]
        if one["provider"] == "WEBHOOK"
    ]
    assert (shown["delivery_status"], shown["delivery_problem"]) == ("DELIVERED", "")


@pytest.mark.timeout(300)
def test_the_table_grows_when_its_ddl_does(author: Author, running: Suite) -> None:
    table, sql = "configs/bigquery/tenant/service_cost_daily.sql", "configs/gcp/cost/services.sql"
    author.write(table, author.files[table].replace("net_cost FLOAT64", "net_cost FLOAT64,\n  sku_count INT64"))
    grown = author.files[sql].replace("net_cost)\nSELECT", "net_cost, sku_count)\nSELECT")
    grown = grown.replace("SUM(b.net_cost)\n", "SUM(b.net_cost), COUNT(DISTINCT b.sku_id)\n")
    author.write(sql, grown)
    assert "no faults" in author.run(author.commands[0])
    tenant_id = author.tenant.tenant_id

    def columns() -> set[str]:
        author.run(author.commands[2])
        columns = f"{tenant_id}.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'service_cost_daily'"
        return {row["column_name"] for row in running.query(f"SELECT column_name FROM {columns}")}

    # Until the executor has read the files again, it publishes as before.
    until(columns, lambda found: "sku_count" in found, seconds=90)
    assert running.query(f"SELECT MIN(sku_count) > 0 AS filled FROM {tenant_id}.service_cost_daily") == [{"filled": True}]
