"""`python -m benchmarks.dollars`: what Google would charge for the statements of the suite, into a section of `benchmarks/RESULTS.md`.

Real processes behind Envoy, on emulators of its own, with the settings' defaults. Takes about three minutes.
"""

import argparse
import json
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
import requests
from convergence.executor.v1.watch_service_pb2 import WatchRunRequest
from convergence.executor.v1.watch_service_pb2_grpc import WatchServiceStub
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.counts import statements_of
from benchmarks.reckoning import Measured, Spent, costs, references, section, statements
from benchmarks.sample_tenants import load_export
from benchmarks.sections import write_section
from benchmarks.whole_stack import WholeStack, whole_stack
from localcloud.ports import free_ports
from localcloud.processes.suite import service
from localcloud.rest import Rest, until
from localcloud.sample.tenant import write_credentials
from localcloud.settings import SAMPLE_TENANT, SERVICES, LocalSettings
from services.auth.settings import AuthSettings
from services.platform.bigquery.sql import load_blocks
from services.platform.settings import REPOSITORY

IDLE_SECONDS, LIVE_SECONDS, SETTLE_SECONDS = 62.0, 62.0, 2.0
AUDIT_SECONDS = 15.0
"""Until what was called before is in the audit log."""
KEY_EVERY_SECONDS = 0.5
KEY_MEMORY_SECONDS = 10.0
"""Much shorter than production's, so that look-ups of a key that is used all the time are counted in a minute; then they are scaled."""
WATCH_READS = ("get_run", "list_step_logs", "list_dq_results")
"""The statements with which watched runs are read."""
TIMES = 5
"""How often each job is called: what is idle work meanwhile must not count."""
_BLOCKS = load_blocks(REPOSITORY / "services" / "executor" / "queries.sql")
BEFORE_AT = "914be4e"
BEFORE = (2_092, 48_381, 78_987, 818, 0, 0)
"""References of each line at that commit, by the program and the counters of today."""
RUNNING = f"SELECT pipeline_logging_id FROM {SAMPLE_TENANT}.x_meta_pipeline_runs WHERE status = 'RUNNING'"  # noqa: S608 - a constant
WAIT_SECONDS = 150.0


@dataclass(kw_only=True, slots=True)
class Suite:
    """The running suite, with the sample tenant."""

    whole: WholeStack
    tenant: Rest
    ports: dict[str, int]
    """Of metrics, by process."""
    watched: list[str] = field(default_factory=list)

    def spent(self) -> Spent:
        """References so far, by service, statement and table; loads and streamed rows are none."""
        found: Spent = Counter()
        for process, port in self.ports.items():
            for (name, *labels), count in self._counters(port).items():
                if name == "convergence_bigquery_billed_tables_total":
                    found[process.partition("-")[0], labels[0], labels[1]] += count
        return found

    def reads(self, process: str) -> int:
        """References so far of the statements that read watched runs."""
        jobs = self._counters(self.ports[process])
        return sum(jobs["convergence_bigquery_jobs_total", name] * _BLOCKS[name].references for name in WATCH_READS)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Asked without our own code, so that nothing is counted."""
        return self.whole.query(sql)

    def _counters(self, port: int) -> Counter[tuple[str, ...]]:
        with urlopen(f"http://{self.whole.local.host}:{port}/metrics", timeout=60) as page:
            return statements_of(text_string_to_metric_families(page.read().decode()))

    @contextmanager
    def counting(self) -> Iterator[tuple[Spent, list[float]]]:
        """What is spent in the context, and its seconds, once it is left."""
        spent: Spent = Counter()
        seconds = list[float]()
        before, began = self.spent(), time.monotonic()
        yield spent, seconds
        spent.update(self.spent() - before)
        seconds.append(time.monotonic() - began)


@contextmanager
def sample_suite(state: Path) -> Iterator[Suite]:
    """The suite with the sample tenant, its key and its credentials, after a first run."""
    local = LocalSettings.on_free_ports(state / "state", cache_dir=REPOSITORY / ".cache", cloud_scheduler=False)
    extra = {
        "CONVERGENCE_STREAM_AFTER_SECONDS": "0",
        "CONVERGENCE_LEASE_SECONDS": "60",
        "CONVERGENCE_KEY_MEMORY_SECONDS": f"{KEY_MEMORY_SECONDS:g}",
    }
    with whole_stack(state, settings=local, extra=extra) as whole:
        ports = {name: local.port(f"{name}_metrics") for name in SERVICES}
        path = f"/api/v1/tenants/{SAMPLE_TENANT}"
        _ok(whole.admin.call("PUT", path, {"company_name": "Acme", "admin_email": "ops@acme.example"}).status)
        suite = Suite(whole=whole, tenant=_with_new_key(whole), ports=ports)
        load_export(whole)
        write_credentials(local.sample_credentials)
        _ok(suite.tenant.call("POST", f"{path}/credentials", json.loads(local.sample_credentials.read_text())).status)
        api_run(suite, suite.tenant)
        yield suite


def measure(suite: Suite) -> Measured:
    """All counts, one after the other."""
    time.sleep(SETTLE_SECONDS)
    with suite.counting() as (idle, idle_seconds):
        time.sleep(IDLE_SECONDS)
    # The use of keys is written down a while later: it is no idle work.
    idle = Counter({place: count for place, count in idle.items() if (place[0], place[2]) != ("auth", "tenant_api_keys")})
    idle_second = references(idle) / idle_seconds[0]
    tick, trigger, reset = (_job(suite, name, idle_second) for name in ("process-queue", "trigger", "reset-daily-quotas"))
    fresh = _with_new_key(suite.whole)
    time.sleep(AUDIT_SECONDS)
    with suite.counting() as (api, api_seconds):
        api_run(suite, fresh)
        time.sleep(SETTLE_SECONDS)
    with suite.counting() as (scheduled, scheduled_seconds):
        scheduled_run(suite, "billing", {"date": _yesterday()}, lambda: _left_queue(suite))
        time.sleep(SETTLE_SECONDS)
    return Measured(
        idle_seconds=idle_seconds[0],
        idle=idle,
        tick=tick,
        trigger=trigger,
        reset=reset,
        api_run_seconds=api_seconds[0] - SETTLE_SECONDS,
        api_run=api,
        scheduled_run_seconds=scheduled_seconds[0] - SETTLE_SECONDS,
        scheduled_run=scheduled,
        jobs_of_a_run=tick + trigger,
        **_live(suite),
    )


def api_run(suite: Suite, caller: Rest) -> None:
    """A run of gcp/cost/billing for yesterday, to its end. Raises RuntimeError if it fails."""
    started = caller.call("POST", f"/api/v1/pipelines/run/{SAMPLE_TENANT}/gcp/cost/billing", {"date": _yesterday()})
    _ok(started.status)
    run = started.body["pipeline_logging_id"]
    sql = f"SELECT status, error_message FROM {SAMPLE_TENANT}.x_meta_pipeline_runs WHERE pipeline_logging_id = '{run}'"  # noqa: S608 - an id
    [row] = until(lambda: suite.rows(sql), lambda rows: rows[0]["status"] != "RUNNING", seconds=WAIT_SECONDS, every=0.5)
    if row["status"] != "COMPLETED":
        raise RuntimeError(f"the run ended {row}")


def scheduled_run(suite: Suite, template: str, parameters: dict[str, Any], is_done: Callable[[], bool]) -> None:
    """A schedule that is due now, once: queued, claimed, and followed until `is_done`."""
    body = {"provider": "gcp", "domain": "cost", "pipeline_template": template, "schedule_cron": "0 0 1 1 *", "parameters": parameters}
    made = suite.tenant.call("POST", f"/api/v1/tenants/{SAMPLE_TENANT}/schedules", {**body, "max_retries": 1})
    _ok(made.status)
    due = "UPDATE tenants.tenant_pipeline_configs SET next_run_time = CURRENT_TIMESTAMP() WHERE config_id = '{}'"
    suite.rows(due.format(made.body["config_id"]))
    for job in ("trigger", "process-queue"):
        _ok(suite.whole.admin.call("POST", f"/api/v1/scheduler/{job}", {}).status)
    until(is_done, bool, seconds=WAIT_SECONDS, every=0.5)


def _live(suite: Suite) -> dict[str, Any]:
    """A scheduled run that waits, watched through two executors, while a key is used all the time."""
    elsewhere = _second_executor(suite)
    scheduled_run(suite, "waiting", {}, lambda: bool(suite.rows(RUNNING)))
    [row] = suite.rows(RUNNING)
    run, key = row["pipeline_logging_id"], suite.tenant.headers["X-API-Key"]
    time.sleep(SETTLE_SECONDS)
    before = suite.reads("executor"), suite.reads("executor-1")
    stopped = threading.Event()
    watchers = [
        threading.Thread(target=_watch_here, args=(suite, run)),
        threading.Thread(target=_watch_there, args=(elsewhere, run, key)),
    ]
    user = threading.Thread(target=_use_key, args=(suite, stopped))
    for thread in (*watchers, user):
        thread.start()
    began = time.monotonic()
    with suite.counting() as (live, live_seconds):
        until(lambda: time.monotonic() - began > LIVE_SECONDS or not suite.rows(RUNNING), bool, seconds=WAIT_SECONDS, every=1.0)
    stopped.set()
    keys = Counter({place: count for place, count in live.items() if place[0] == "auth" and place[2] != "tenant_usage_quotas"})
    for place in keys:
        del live[place]
    # The run's end is what a watcher waits for: whatever is read for it is read once, however long the run is.
    reads = suite.reads("executor"), suite.reads("executor-1")
    suite.tenant.call("POST", f"/api/v1/pipelines/runs/{SAMPLE_TENANT}/{run}:cancel", {})
    for thread in (*watchers, user):
        thread.join()
    return {
        "live_seconds": live_seconds[0],
        "live": live,
        "key_seconds": live_seconds[0],
        "key": references(keys) * KEY_MEMORY_SECONDS / AuthSettings.model_fields["key_memory_seconds"].default,
        "watched_seconds": live_seconds[0],
        "watcher": reads[0] - before[0],
        "watcher_elsewhere": reads[1] - before[1],
    }


def _second_executor(suite: Suite) -> grpc.aio.Channel:
    """A channel to another executor, as the gateway has it."""
    whole, (port, metrics_port) = suite.whole, free_ports(2)
    local, extra = whole.local, {"CONVERGENCE_CONFIGS_DIR": str(whole.local.state_dir.parent / "configs")}
    key = whole.stack.env["ADMIN_API_KEY"]
    whole.stack.add(service(local, "executor", admin_key=key, replica=1, port=port, metrics_port=metrics_port, extra=extra))
    suite.ports["executor-1"] = metrics_port
    pem = [(local.certs_dir / name).read_bytes() for name in ("ca.pem", "gateway.key", "gateway.pem")]
    options = [("grpc.ssl_target_name_override", "executor.convergence.internal")]
    return grpc.secure_channel(f"{local.host}:{port}", grpc.ssl_channel_credentials(*pem), options=options)


def _watch_here(suite: Suite, run: str) -> None:
    url = f"{suite.tenant.url}/api/v1/pipelines/runs/{SAMPLE_TENANT}/{run}:watch"
    with requests.get(url, headers=dict(suite.tenant.headers), stream=True, timeout=WAIT_SECONDS) as answer:
        for _ in answer.iter_lines():
            pass


def _watch_there(channel: Any, run: str, key: str) -> None:
    request = WatchRunRequest(tenant_id=SAMPLE_TENANT, pipeline_logging_id=run)
    for _ in WatchServiceStub(channel).WatchRun(request, metadata=[("x-api-key", key)], timeout=WAIT_SECONDS):
        pass


def _use_key(suite: Suite, stopped: threading.Event) -> None:
    """Calls what asks BigQuery nothing itself."""
    while not stopped.wait(KEY_EVERY_SECONDS):
        _ok(suite.tenant.call("GET", "/api/v1/pipelines/templates").status)


def _job(suite: Suite, name: str, idle_second: float) -> float:
    """References of a call of a job that has nothing to do."""
    with suite.counting() as (spent, seconds):
        for _ in range(TIMES):
            _ok(suite.whole.admin.call("POST", f"/api/v1/scheduler/{name}", {}).status)
            time.sleep(SETTLE_SECONDS / 2)
    return (references(spent) - idle_second * seconds[0]) / TIMES


def _left_queue(suite: Suite) -> bool:
    return not suite.rows("SELECT 1 AS one FROM tenants.pipeline_execution_queue")


def _with_new_key(whole: WholeStack) -> Rest:
    issued = whole.admin.call("POST", f"/api/v1/tenants/{SAMPLE_TENANT}/api-keys", {})
    _ok(issued.status)
    return Rest(url=whole.stack.env["GATEWAY_URL"], headers={"X-API-Key": issued.body["api_key"]})


def _yesterday() -> str:
    return (datetime.now(UTC).date() - timedelta(days=1)).isoformat()


def _ok(status: int) -> None:
    if status != 200:  # noqa: PLR2004 - HTTP
        raise RuntimeError(f"a call was answered with {status}")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dollars", description="What Google would charge for the statements.")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("RESULTS.md"), help="the report (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="convergence-bench-") as state, sample_suite(Path(state)) as suite:
        found = measure(suite)
    lines = costs(found)
    print("\n".join(statements(found)))
    for line in lines:
        print(f"{line.name}: {line.references:,.0f} references, {line.usd:.3f} $")
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    new = section(lines, BEFORE, before_at=BEFORE_AT, after_at=done.stdout.strip(), run=found)
    write_section(options.output, "dollars", new)
    print(f"written to {options.output}")


if __name__ == "__main__":
    main()
