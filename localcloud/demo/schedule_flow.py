"""Flow 3 of the demo, step by step: a schedule fires, a run fails and is retried, a day is reset."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from google.cloud import bigquery

from localcloud.demo.narrator import Narrator
from localcloud.rest import Rest, until
from localcloud.settings import SAMPLE_TENANT

RUN_SECONDS = 90.0
BILLING = {"provider": "gcp", "domain": "cost", "pipeline_template": "billing", "parameters": {"date": "yesterday"}}
SCHEDULES = f"/api/v1/tenants/{SAMPLE_TENANT}/schedules"
SCHEDULED_RUNS = f"/api/v1/tenants/{SAMPLE_TENANT}/scheduled-runs"
MAKE_DUE = "UPDATE tenant_pipeline_configs SET next_run_time = @slot WHERE config_id = @config_id"
PAST_DAYS_KEPT = 2
"""Of the rows of `PAST_DAYS`, when those older than 90 days are deleted."""
PAST_DAYS = """
INSERT INTO tenant_usage_quotas (tenant_id, usage_date, pipelines_run_today, pipelines_succeeded_today)
SELECT @tenant_id, DATE_SUB(CURRENT_DATE(), INTERVAL days DAY), 7, 7 FROM UNNEST([1, 2, 100]) AS days"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleFlow:
    """The demo's tenant, which has run its pipeline twice by hand, and a way to cause an outage."""

    admin: Rest
    tenant: Rest
    """With the tenant's key."""
    warehouse: bigquery.Client
    control_dataset: str
    """`project.dataset`."""
    outage: Callable[[], AbstractContextManager[object]]
    """KMS is down while the context is open."""
    narrator: Narrator

    def run(self) -> None:
        """Flow 3. Raises Unexpected, naming the step that failed."""
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        first = self._due_schedule("An hourly schedule for yesterday's cost", priority=40)
        done = self._until_it_is(self._processed(first), "COMPLETED")
        run = self.narrator.call(self.tenant, "GET", f"/api/v1/pipelines/runs/{SAMPLE_TENANT}/{done['pipeline_logging_id']}").body
        found = {name: run.get(name) for name in ("user_id", "trigger_type", "trigger_by", "status", "parameters")}
        parameters = {"date": yesterday.isoformat(), "invoice_issuer": "Google Cloud"}
        wanted = {"trigger_type": "scheduler", "trigger_by": "cloud_scheduler", "parameters": parameters}
        self.narrator.expect("the run's record", found, {"user_id": None, "status": "COMPLETED", **wanted})
        self.narrator.tell(f"     {run['rows_processed']} rows of {yesterday}, user_id NULL, triggered by cloud_scheduler")
        self._schedule_says(first, "SUCCESS")
        self._retried()
        quota = self.narrator.call(self.tenant, "GET", f"/api/v1/tenants/{SAMPLE_TENANT}/quota").body
        counts = (quota["pipelines_run_today"], quota["pipelines_succeeded_today"], quota["pipelines_failed_today"])
        self.narrator.expect("runs counted today: the retry took no unit", counts, (4, 4, 1))
        self._new_day()

    def _due_schedule(self, what: str, *, priority: int) -> str:
        self.narrator.tell(f"\n{what}; its row is set back to this hour, so that it is due. The trigger queues one run.")
        made = self.narrator.call(self.tenant, "POST", SCHEDULES, {**BILLING, "schedule_cron": "0 * * * *", "priority": priority}).body
        self.narrator.tell(f"     next at {', '.join(fire['local'] for fire in made['next_fire_times'][:3])}, ...")
        slot = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        self._change(MAKE_DUE, slot=("TIMESTAMP", slot), config_id=("STRING", made["config_id"]))
        for queued in (1, 0):
            answer = self.narrator.call(self.admin, "POST", "/api/v1/scheduler/trigger", {}).body
            self.narrator.expect(
                "queued", (answer["triggered_count"], answer["queued_count"], answer["skipped_count"]), (queued, queued, 0)
            )
        config_id: str = made["config_id"]
        return config_id

    def _processed(self, config_id: str) -> str:
        """Claims the schedule's run; returns its id."""

        def take() -> dict[str, Any]:
            taken: dict[str, Any] = self.admin.call("POST", "/api/v1/scheduler/process-queue", {}).body
            return taken

        taken = until(take, lambda answer: bool(answer.get("processed")), seconds=RUN_SECONDS, every=0.5)
        self.narrator.tell(f"   POST /api/v1/scheduler/process-queue -> {taken['status']}: {taken['message']}")
        answered = (taken["tenant_id"], taken["pipeline_id"], taken["status"])
        self.narrator.expect("what was taken", answered, (SAMPLE_TENANT, "gcp-cost-billing", "PROCESSING"))
        run_id: str = taken["runs"][0]["run_id"]
        self.narrator.expect("its schedule", self._scheduled_run(run_id)["config_id"], config_id)
        return run_id

    def _until_it_is(self, run_id: str, state: str) -> dict[str, Any]:
        run = until(
            lambda: self._scheduled_run(run_id), lambda run: run["state"] in {"COMPLETED", "FAILED"}, seconds=RUN_SECONDS, every=0.3
        )
        self.narrator.tell(f"     the scheduled run is {run['state']} {run.get('error_message', '')}".rstrip())
        self.narrator.expect("the scheduled run's state", run["state"], state)
        return run

    def _scheduled_run(self, run_id: str) -> dict[str, Any]:
        runs: list[dict[str, Any]] = self.tenant.call("GET", SCHEDULED_RUNS).body["scheduled_runs"]
        return next(run for run in runs if run["run_id"] == run_id)

    def _schedule_says(self, config_id: str, status: str) -> None:
        schedule = self.narrator.call(self.tenant, "GET", f"{SCHEDULES}/{config_id}").body
        self.narrator.expect("last_run_status", schedule.get("last_run_status"), status)

    def _retried(self) -> None:
        config_id = self._due_schedule("A second schedule, more urgent", priority=50)
        self.narrator.tell(
            "\nKMS goes down: the run cannot decrypt the credentials. The error is temporary, so it is queued again, with lower priority."
        )
        with self.outage():
            run_id = self._processed(config_id)
            failed = self._until_it_is(run_id, "FAILED")
        retried = (failed["retry_count"], failed["max_retries"], failed.get("queue_state"), failed["priority"])
        self.narrator.expect("retry_count, max_retries, queue_state, priority", retried, (1, 3, "QUEUED", 49))
        self.narrator.tell(f"     retry 1 of 3 not before {failed['not_before']}\nKMS is back; the queue is processed again.")
        self._processed(config_id)
        done = until(lambda: self._scheduled_run(run_id), lambda run: run["state"] == "COMPLETED", seconds=RUN_SECONDS, every=0.3)
        self.narrator.tell(
            f"     the scheduled run is COMPLETED after {done['retry_count']} failure; its first attempt's record stays FAILED"
        )
        self._schedule_says(config_id, "SUCCESS")

    def _new_day(self) -> None:
        self.narrator.tell("\nThe daily reset, with rows of 1, 2 and 100 days ago in the ledger, twice.")
        self._change(PAST_DAYS, tenant_id=("STRING", SAMPLE_TENANT))
        for updated, archived in ((3, 1), (PAST_DAYS_KEPT, 0)):
            answer = self.narrator.call(self.admin, "POST", "/api/v1/scheduler/reset-daily-quotas", {}).body
            self.narrator.tell(f"     {answer['message']}")
            counts = (answer["status"], answer["records_updated"], answer["records_archived"])
            self.narrator.expect("what was reset", counts, ("success", updated, archived))
        self.narrator.tell(f"     the second time, {PAST_DAYS_KEPT} past days are left, whose counters were 0 already: nothing has changed")
        status = self.narrator.call(self.admin, "GET", "/api/v1/scheduler/status").body
        left = {name: status[f"{name}_count"] for name in ("due", "queued", "processing", "failed_today")}
        self.narrator.expect("what is left in the queue", left, dict.fromkeys(left, 0))

    def _change(self, sql: str, **params: tuple[str, str | datetime]) -> None:
        """Changes the control dataset directly, without the services."""
        parameters = [bigquery.ScalarQueryParameter(name, kind, value) for name, (kind, value) in params.items()]
        config = bigquery.QueryJobConfig(default_dataset=self.control_dataset, query_parameters=parameters)
        self.warehouse.query_and_wait(sql, job_config=config)
