"""The executor, then the scheduler, killed with scheduled runs in progress: every run ends, and all counts agree."""

from collections import Counter
from typing import Any

import pytest

from localcloud.stack import Stack
from tests.support.credentials.samples import Rsa
from tests.system.outages.conftest import DAY, LEASE, exporting
from tests.system.tenants import Suite, until

pytestmark = pytest.mark.timeout(240)

COUNT = 4


def test_no_run_is_lost_whoever_is_killed(stack: Stack, own: Suite, private_key: Rsa) -> None:
    """More runs than may work at once."""
    suite, control = own, stack.settings.control_dataset
    acme = exporting(suite, private_key, concurrent_limit=COUNT - 1)
    schedule = {"provider": "GCP", "domain": "cost", "pipeline_template": "billing", "parameters": {"date": str(DAY)}}
    for _ in range(COUNT):
        made = acme.rest.call("POST", f"/api/v1/tenants/{acme.tenant_id}/schedules", {**schedule, "schedule_cron": "0 * * * *"})
        assert made.status == 200, made.body
    suite.query(
        f"UPDATE {control}.tenant_pipeline_configs SET next_run_time = TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 MINUTE) WHERE TRUE"
    )

    def tick() -> list[dict[str, Any]]:
        """Process-queue, as Cloud Scheduler fires it; what is left in the queue."""
        assert suite.admin.call("POST", "/api/v1/scheduler/process-queue", {"max_runs": 50}).status in {200, 503}
        return suite.query(f"SELECT run_id, state FROM {control}.pipeline_execution_queue")

    triggered = suite.admin.call("POST", "/api/v1/scheduler/trigger", {})
    assert (triggered.status, triggered.body["queued_count"]) == (200, COUNT)
    tick()
    until(lambda: acme.rows("SELECT status FROM {}.x_meta_pipeline_runs"), bool, seconds=20)
    stack.kill("executor")
    stack.restart("executor")
    tick()
    stack.kill("scheduler")
    stack.restart("scheduler")
    until(tick, lambda queue: not queue, seconds=180, every=2.0)

    runs = suite.query(f"SELECT run_id, state, retry_count FROM {control}.scheduled_pipeline_runs")
    attempts = acme.rows("SELECT run_id, status, attempt, user_id, trigger_type FROM {}.x_meta_pipeline_runs")
    failures = Counter(attempt["run_id"] for attempt in attempts if attempt["status"] == "FAILED")
    assert [run["state"] for run in runs] == ["COMPLETED"] * COUNT
    assert {run["run_id"]: run["retry_count"] for run in runs} == {run["run_id"]: failures[run["run_id"]] for run in runs}
    assert Counter(attempt["status"] for attempt in attempts) == Counter(COMPLETED=COUNT, FAILED=failures.total())
    assert len({(attempt["run_id"], attempt["attempt"]) for attempt in attempts}) == len(attempts)
    assert {(attempt["user_id"], attempt["trigger_type"]) for attempt in attempts} == {(None, "scheduler")}
    quota = until(acme.quota, lambda quota: quota["concurrent_pipelines_running"] == 0, seconds=LEASE * 10)
    assert quota["pipelines_succeeded_today"] == COUNT
    assert (quota["pipelines_run_today"], quota["pipelines_failed_today"]) == (COUNT, failures.total())
