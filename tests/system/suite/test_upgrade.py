"""Tenants of commit 4153373 with runs in flight: this folder's suite was started over its tables (conftest.py), and goes on with them."""

import hashlib
from datetime import date
from functools import partial
from typing import Any

import pytest

from localcloud.rest import Answer
from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, DETAILED, load, many
from tests.support.upgrade.old_tables import CONTROL_ROWS, TENANT_ROWS, OldIds, insert, make_tenant
from tests.system.tenants import Suite, Tenant, until

pytestmark = pytest.mark.timeout(300)
KEY = "old_upgraded_api_0123456789abcdef"


def old_tenant(running: Suite, private_key: Rsa) -> tuple[Tenant, OldIds]:
    """With a run that waits, one that was claimed and is RUNNING, and one that was called and is RUNNING; no process knows of them."""
    tenant_id = "t_of_4153373"
    ids = OldIds.of(tenant_id, api_key_hash=hashlib.sha256(KEY.encode()).hexdigest())
    project = running.local.project
    with running.warehouse as client:
        make_tenant(client, f"{project}.{tenant_id}")
        insert(client, f"{project}.{tenant_id}", TENANT_ROWS, ids)
        insert(client, f"{project}.tenants", CONTROL_ROWS, ids)
    rest = running.anyone.but(X_API_Key=KEY)
    tenant = Tenant(tenant_id=tenant_id, project="p-of-4153373", rest=rest, suite=running, private_key=private_key)
    table = f"{tenant.project}.cloud_costs.gcp_billing_export_resource_v1_{ACCOUNT}"
    load(running.env["BIGQUERY_EMULATOR_HOST"], table, many(date(2025, 11, 16), 20) + many(date(2025, 11, 17), 20), DETAILED)
    return tenant, ids


def test_what_was_in_flight_is_ended_and_done_again(running: Suite, private_key: Rsa) -> None:
    tenant, ids = old_tenant(running, private_key)
    columns = running.query("SELECT column_name AS name FROM tenants.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'tenant_usage_quotas'")
    assert {"runs_ended", "reservations"} <= {one["name"] for one in columns}
    # No call is refused: with the key of then, of what was there then.
    assert tenant.set_credentials().body["dataset_status"] == "ALREADY_EXISTS"
    runs = f"/api/v1/pipelines/runs/{tenant.tenant_id}"
    calls = (
        runs,
        f"{runs}/{ids.ended}",
        f"/api/v1/tenants/{tenant.tenant_id}/schedules",
        f"/api/v1/tenants/{tenant.tenant_id}/quota",
        f"/api/v1/tenants/{tenant.tenant_id}/credentials",
    )
    answers = [tenant.rest.call("GET", path) for path in calls]
    assert [answer.status for answer in answers] == [200] * len(calls), answers
    assert {one["pipeline_logging_id"] for one in answers[0].body["runs"]} == {ids.scheduled, ids.called, ids.ended}

    def scheduled() -> dict[str, dict[str, Any]]:
        # Another attempt is due at once, not in a minute.
        running.query(f"UPDATE tenants.pipeline_execution_queue SET not_before = NULL WHERE tenant_id = '{tenant.tenant_id}'")
        answer = running.admin.call("POST", "/api/v1/scheduler/process-queue", {"max_runs": 5})
        assert answer.status == 200, answer.body
        found = running.query(f"SELECT * FROM tenants.scheduled_pipeline_runs WHERE tenant_id = '{tenant.tenant_id}'")
        return {run["run_id"]: run for run in found}

    ended = until(scheduled, lambda found: all(run["state"] == "COMPLETED" for run in found.values()), seconds=180)

    assert ended[ids.claimed]["retry_count"] > 0
    called = until(partial(tenant.rest.call, "GET", f"{runs}/{ids.called}"), over, seconds=60)
    assert (called.body["status"], bool(called.body["error_message"])) == ("FAILED", True)
    # Three units were taken before: by an earlier run, the claimed one, and the called one. The waiting one takes the fourth; a retry none.
    quota = until(tenant.quota, lambda found: not found["concurrent_pipelines_running"], seconds=60)
    counts = ("pipelines_run_today", "pipelines_succeeded_today", "pipelines_run_month")
    assert [quota[name] for name in counts] == [4, 3, 8], quota
    assert quota["pipelines_failed_today"] > 1  # more if this machine is too slow for an attempt
    [row] = running.query(f"SELECT live_runs FROM tenants.tenant_usage_quotas WHERE tenant_id = '{tenant.tenant_id}'")
    assert row["live_runs"] == []
    # What was published stays, what was scheduled is published once, in the table that has grown.
    days = tenant.rows("SELECT usage_date, COUNT(*) AS n, COUNT(source_table) AS new FROM {}.billing_cost_daily GROUP BY 1 ORDER BY 1")
    assert [(one["usage_date"].day, one["n"], one["new"]) for one in days] == [(15, 2, 0), (16, 20, 20), (17, 20, 20)]
    assert tenant.finished(tenant.start(date(2025, 11, 16)))["status"] == "COMPLETED"


def over(answer: Answer) -> bool:
    assert answer.status == 200, answer.body
    return bool(answer.body["status"] != "RUNNING")
