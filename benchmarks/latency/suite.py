"""The whole suite behind the recording proxies, and the runs that are followed in it."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from benchmarks.latency.path import OF_A_SCHEDULED_RUN, TICKS, Walked, walked
from benchmarks.latency.recorder import Recorder
from benchmarks.latency.rest import rest_proxy
from benchmarks.latency.storage import storage_proxy
from benchmarks.latency.times import AT_ONCE, Times
from benchmarks.sample_tenants import SampleTenant, full_days, load_export, new_tenants
from benchmarks.whole_stack import OK, WholeStack, whole_stack
from localcloud.demo.demo_flow import emulated_warehouse
from localcloud.processes.environment import emulator_environment
from localcloud.rest import Rest, until
from localcloud.sample.tenant import Sample
from localcloud.settings import SERVICES, LocalSettings
from services.platform.settings import REPOSITORY

POLL_SECONDS: Final = 0.2
"""Between two reads of the run's row, which go past the proxies: what they find is only needed to know that the run is over."""
QUIET_SECONDS: Final = 1.5
"""Without an open request, after which a run has left nothing behind."""
WAIT_SECONDS: Final = 120.0
UNAUTHENTICATED: Final = 401
LATE: Final = """
INSERT INTO `{table}` ({columns})
SELECT {columns} FROM (
  SELECT * REPLACE ((SELECT TIMESTAMP_ADD(MAX(export_time), INTERVAL 1 SECOND) FROM `{table}`) AS export_time)
  FROM `{table}` WHERE DATE(usage_start_time) = '{day}' LIMIT 5
)
"""
ARRIVED: Final = "UPDATE `{table}` SET _PARTITIONTIME = TIMESTAMP_TRUNC(export_time, DAY) WHERE TRUE"
"""As the sample does it: a partition is the day on which rows arrived."""
ENVIRONMENT: Final = {
    # Tables of a new tenant are young; what is streamed in production is streamed here.
    "CONVERGENCE_STREAM_AFTER_SECONDS": "0",
    # The emulator takes its own time on top of BigQuery's.
    "CONVERGENCE_BIGQUERY_DEADLINE_SECONDS": "60",
    "CONVERGENCE_BIGQUERY_SCRIPT_SECONDS": "120",
    "CONVERGENCE_PEER_DEADLINE_SECONDS": "60",
    "CONVERGENCE_LEASE_SECONDS": "240",
}


class Flow(StrEnum):
    """The runs that are followed."""

    WARM = "API, warm"
    """The tenant's second run within the seconds for which what the first one looked up is known."""
    COLD = "API, cold"
    """The first call of anybody after the services were started."""
    CHANGED = "API, `changed`"
    """`{"days": "changed"}`, when late rows of one day have arrived since the last such run."""
    SCHEDULED = "scheduled"
    """Queued before; from the call of process-queue."""


@dataclass(frozen=True, kw_only=True)
class FollowedSuite:
    """A suite that is up."""

    whole: WholeStack
    recorder: Recorder
    sample: Sample
    tenant: SampleTenant

    def follow(self, flow: Flow, times: Times) -> Walked:
        """One run with BigQuery's `times`, from the call to its end; what prepares it is not delayed."""
        self.recorder.times = AT_ONCE
        prepare = {Flow.WARM: self._warm, Flow.COLD: self._cold, Flow.CHANGED: self._change, Flow.SCHEDULED: self._queue}[flow]
        prepare()
        self.recorder.times = times
        called = time.monotonic()
        run = self._process_queue() if flow is Flow.SCHEDULED else self._call(flow)
        answered = time.monotonic()
        self._ended(run)
        self._quiet()
        ticks = TICKS - OF_A_SCHEDULED_RUN if flow is Flow.SCHEDULED else TICKS
        return walked(self.recorder.since(called), called=called, answered=answered, ticks=ticks)

    def _call(self, flow: Flow) -> str:
        return self.tenant.start(**({"days": "changed"} if flow is Flow.CHANGED else {"date": self._day}))

    @property
    def _day(self) -> str:
        return full_days(self.sample, 1)[0].isoformat()

    def _warm(self) -> None:
        """Runs once, and calls what needs nothing but the key, so that it is known."""
        self.tenant.finished_unseen(self._call(Flow.WARM))
        self._quiet()
        self.tenant.rest.call("GET", f"/api/v1/tenants/{self.tenant.tenant_id}/credentials")

    def _change(self) -> None:
        """A `changed` run finds nothing left; then rows of a day arrive, in both exports."""
        self.tenant.finished_unseen(self._call(Flow.CHANGED))
        host = emulator_environment(self.whole.local)["BIGQUERY_EMULATOR_HOST"]
        for table in (self.sample.table, self.sample.standard):
            with emulated_warehouse(host, self.whole.local.project) as client:
                columns = ", ".join(field.name for field in client.get_table(table).schema)
            self.whole.query(LATE.format(table=table, columns=columns, day=self._day))
            self.whole.query(ARRIVED.format(table=table))
        self._quiet()

    def _cold(self) -> None:
        """The processes know nothing."""
        for name in ("auth", "credentials", "executor"):
            self.whole.stack.restart(name)
        path = f"/api/v1/tenants/{self.tenant.tenant_id}/quota"
        # The gateway passes calls on once its health checks have found all of them. With no key, nothing is looked up.
        keyless = Rest(url=self.tenant.rest.url, headers={})
        until(lambda: keyless.call("GET", path).status, lambda status: status == UNAUTHENTICATED, seconds=WAIT_SECONDS)
        self._quiet()

    def _queue(self) -> None:
        """A schedule of the same day is due, and its run waits in the queue."""
        body = {"provider": "gcp", "domain": "cost", "pipeline_template": "billing", "schedule_cron": "0 0 1 1 *"}
        path = f"/api/v1/tenants/{self.tenant.tenant_id}/schedules"
        made = self.tenant.rest.call("POST", path, {**body, "parameters": {"date": self._day}, "max_retries": 1})
        if made.status != OK:
            raise RuntimeError(f"the schedule was refused: {made.body}")
        due = "UPDATE {}.tenant_pipeline_configs SET next_run_time = CURRENT_TIMESTAMP() WHERE config_id = '{}'"
        self.whole.query(due.format(self.whole.local.control_dataset, made.body["config_id"]))
        self.whole.admin.call("POST", "/api/v1/scheduler/trigger", {})
        self._quiet()

    def _process_queue(self) -> str:
        """The id of the run that it has started."""
        answer = self.whole.admin.call("POST", "/api/v1/scheduler/process-queue", {})
        if answer.status != OK or not answer.body.get("processed"):
            raise RuntimeError(f"no run was started: {answer.body}")
        run: str = answer.body["pipeline_logging_id"]
        return run

    def _ended(self, run: str) -> None:
        def state() -> str:
            sql = f"SELECT status FROM {self.tenant.tenant_id}.x_meta_pipeline_runs WHERE pipeline_logging_id = '{run}'"  # noqa: S608
            # A scheduled run's row is written after the answer.
            rows = self.whole.query(sql)
            return rows[0]["status"] if rows else "RUNNING"

        if (status := until(state, lambda found: found != "RUNNING", seconds=WAIT_SECONDS, every=POLL_SECONDS)) != "COMPLETED":
            raise RuntimeError(f"the run ended {status}")

    def _quiet(self) -> None:
        """Returns when what the run has left behind is done."""
        since = time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            time.sleep(0.05)
            if not self.recorder.is_idle:
                since = time.monotonic()


@contextmanager
def followed_suite(state: Path) -> Iterator[FollowedSuite]:
    """Starts everything below `state`, with a tenant that has run once."""
    local = LocalSettings.on_free_ports(state / "state", cache_dir=REPOSITORY / ".cache", cloud_scheduler=False)
    recorder = Recorder()
    with ExitStack() as stack:
        urls = stack.enter_context(rest_proxy(recorder, upstream=local.address("bigquery"), callers=SERVICES))
        storage = stack.enter_context(storage_proxy(recorder, upstream=local.address("bigquery_storage")))
        own = {name: {"BIGQUERY_EMULATOR_HOST": url, "BIGQUERY_STORAGE_EMULATOR_HOST": storage} for name, url in urls.items()}
        whole = stack.enter_context(whole_stack(state, settings=local, extra=ENVIRONMENT, own=own))
        sample = load_export(whole)
        [tenant] = new_tenants(whole, ["followed"])
        yield FollowedSuite(whole=whole, recorder=recorder, sample=sample, tenant=tenant)
