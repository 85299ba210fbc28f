"""`python -m benchmarks.emulator_cpu`: what a small statement costs the emulator of BigQuery, in CPU, as a text it knows and as a new one.

CPU, not waiting, so that a busy machine changes little. Another checkout, if one is named, is measured beside it, statement by statement.
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import requests

from benchmarks.runs.processes import cpu_seconds
from localcloud.ports import free_ports
from services.platform.bigquery.ddl import load_tables
from services.platform.settings import REPOSITORY

START_SECONDS: Final = 120
WARM: Final = 10
QUIET_SECONDS: Final = 1.5
"""Until job records are written, which belongs to the statements."""
TENANTS: Final = 5
_ROWS: Final = """
INSERT INTO tenant_profiles (tenant_id, company_name, status)
SELECT FORMAT('t%d', n), 'c', 'X' FROM UNNEST(GENERATE_ARRAY(1, 5)) AS n"""

type Send = Callable[[str], None]

_SCRIPT: Final = """
DECLARE n INT64;
BEGIN TRANSACTION;
UPDATE tenant_profiles SET status = 'Y' WHERE tenant_id = @tenant_id;
SET n = @@row_count;
INSERT INTO x_meta_step_logs (log_id, tenant_id) SELECT GENERATE_UUID(), @tenant_id;
COMMIT TRANSACTION;
SELECT n"""
# In a new text, {new} is a number that no text before it had.
STATEMENTS: Final[Mapping[str, tuple[str, str]]] = {
    "SELECT 1": ("SELECT 1 AS one", "SELECT 1 AS one_{new}"),
    "count of a table": ("SELECT COUNT(*) AS n FROM tenant_profiles", "SELECT COUNT(*) AS n_{new} FROM tenant_profiles"),
    "SELECT with a parameter": (
        "SELECT tenant_id, status FROM tenant_profiles WHERE tenant_id = @tenant_id",
        "SELECT tenant_id, status AS status_{new} FROM tenant_profiles WHERE tenant_id = @tenant_id",
    ),
    "UPDATE that finds no row": (
        "UPDATE tenant_profiles SET status = 'X' WHERE tenant_id = 'none'",
        "UPDATE tenant_profiles SET status = 'X' WHERE tenant_id = 'none' AND status != '{new}'",
    ),
    "UPDATE of a row": (
        "UPDATE tenant_profiles SET status = 'X' WHERE tenant_id = @tenant_id",
        "UPDATE tenant_profiles SET status = 'X' WHERE tenant_id = @tenant_id AND status != '{new}'",
    ),
    "INSERT of a row": (
        "INSERT INTO x_meta_step_logs (log_id, tenant_id) SELECT GENERATE_UUID(), @tenant_id",
        "INSERT INTO x_meta_step_logs (log_id, tenant_id) SELECT GENERATE_UUID() AS id_{new}, @tenant_id",
    ),
    "script with a transaction": (_SCRIPT, f"{_SCRIPT} AS n_{{new}}"),
}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.emulator_cpu", description="CPU ms of the emulator a statement.")
    parser.add_argument("--against", type=Path, help="another checkout, with a .venv of its own")
    parser.add_argument("--times", type=int, default=60, help="each statement, as a known text; a third of that as a new one (%(default)s)")
    options = parser.parse_args()
    checkouts = [REPOSITORY, *([options.against.resolve()] if options.against else [])]
    with ExitStack() as running:
        emulators = [running.enter_context(emulator(checkout)) for checkout in checkouts]
        print(
            f"| CPU ms a statement | {' | '.join(f'{path.name}: known | new' for path in checkouts)} |\n|---|{'--:|--:|' * len(checkouts)}"
        )
        for name, texts in STATEMENTS.items():
            found = [_cost(pid, send, texts, options.times) for pid, send in emulators]
            print(f"| {name} | {' | '.join(f'{known:.1f} | {new:.1f}' for known, new in found)} |", flush=True)


def _cost(pid: int, send: Send, texts: Sequence[str], times: int) -> list[float]:
    """CPU ms of the text that stays, and of the one that is new each time."""
    numbers, costs = itertools.count(), list[float]()
    for text, count in zip(texts, (times, times // 3), strict=True):
        for _ in range(WARM):
            send(text.format(new=next(numbers)))
        time.sleep(QUIET_SECONDS)
        before = cpu_seconds(pid)
        for _ in range(count):
            send(text.format(new=next(numbers)))
        time.sleep(QUIET_SECONDS)
        costs.append((cpu_seconds(pid) - before) / count * 1000)
    return costs


@contextmanager
def emulator(checkout: Path) -> Iterator[tuple[int, Send]]:
    """The emulator of a checkout with our tables and a few rows: its process, and what runs a statement. Nothing is known from disk.

    Raises RuntimeError if a statement fails.
    """
    rest, storage = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="convergence-emulator-") as folder:
        python = str(checkout / ".venv" / "bin" / "python") if checkout != REPOSITORY else sys.executable
        where = ("--port", str(rest), "--storage-port", str(storage), "--data-dir", f"{folder}/data", "--home", f"{folder}/home")
        process = subprocess.Popen([python, "-m", "localcloud.bigquery", *where, "--project", "p"], cwd=checkout)
        session, url = requests.Session(), f"http://127.0.0.1:{rest}/bigquery/v2/projects/p"

        def call(path: str, body: Mapping[str, Any]) -> None:
            answer = session.post(f"{url}/{path}", json=body, timeout=START_SECONDS)
            if not answer.ok:
                raise RuntimeError(f"{body} was answered {answer.status_code} {answer.text}")

        def send(text: str) -> None:
            tenant = {"name": "tenant_id", "parameterType": {"type": "STRING"}, "parameterValue": {"value": f"t{1 + hash(text) % TENANTS}"}}
            dataset = {"projectId": "p", "datasetId": "control"}
            given = {"parameterMode": "NAMED", "queryParameters": [tenant]} if "@tenant_id" in text else {}
            call("queries", {"query": text, "requestId": str(uuid.uuid4()), "defaultDataset": dataset, "useLegacySql": False, **given})

        try:
            _wait(url)
            call("datasets", {"datasetReference": {"projectId": "p", "datasetId": "control"}})
            for tables in (load_tables(REPOSITORY / "configs" / "bigquery" / part) for part in ("control", "tenant")):
                send(";\n".join(table.sql.strip().removesuffix(";") for table in tables.values()))
            send(_ROWS)
            yield process.pid, send
        finally:
            process.terminate()
            process.wait()


def _wait(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            requests.get(url, timeout=START_SECONDS)
        except requests.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    main()
