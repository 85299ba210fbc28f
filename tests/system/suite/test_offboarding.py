"""The end of a tenant, through the real gateway: with schedules, queued and active runs, credentials and a dataset."""

from datetime import date, timedelta
from functools import partial
from typing import Any

import pytest

from localcloud.rest import Answer
from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, DETAILED, load, many
from tests.support.invariants import read_tables
from tests.support.invariants.offboarded import offboarded_violations
from tests.system.suite.test_audit import entries
from tests.system.tenants import Suite, Tenant, until

pytestmark = pytest.mark.timeout(240)
DAY = date(2025, 11, 17)
COUNTS = ("keys_revoked", "schedules_stopped", "runs_dropped", "runs_cancelled")


def offboard(tenant: Tenant, dataset: str, **body: Any) -> Answer:
    path = f"/api/v1/tenants/{tenant.tenant_id}:offboard"
    return tenant.suite.admin.call("POST", path, {"confirm": tenant.tenant_id, "dataset": dataset, **body})


def busy(running: Suite, private_key: Rsa) -> Tenant:
    """A tenant with an active run, two schedules, and three queued runs."""
    tenant = running.tenant(private_key)
    table = f"{tenant.project}.cloud_costs.gcp_billing_export_resource_v1_{ACCOUNT}"
    load(running.env["BIGQUERY_EMULATOR_HOST"], table, many(DAY, 300), DETAILED)
    assert tenant.set_credentials().status == 200
    schedules = f"/api/v1/tenants/{tenant.tenant_id}/schedules"
    schedule = {"provider": "gcp", "domain": "cost", "pipeline_template": "billing", "schedule_cron": "0 3 * * *"}
    made = [tenant.rest.call("POST", schedules, {**schedule, "is_active": is_active}) for is_active in (True, True, False)]
    assert [answer.status for answer in made] == [200] * 3, made
    days = {"start_date": str(DAY - timedelta(days=3)), "end_date": str(DAY - timedelta(days=1))}
    filled = tenant.rest.call("POST", f"{schedules}/{made[2].body['config_id']}:backfill", days)  # of a paused one: they wait
    assert (filled.status, filled.body["enqueued_count"]) == (200, 3), filled.body
    assert tenant.start(DAY).status == 200
    return tenant


def left_of(tenant: Tenant) -> list[str]:
    with tenant.suite.warehouse as client:
        tables = read_tables(client, "tenants", tenants=[tenant.tenant_id])
    assert [row["status"] for row in tables.profiles] == ["OFFBOARDED"]
    return [str(one) for one in offboarded_violations(tables)]


def test_an_offboarded_tenant_leaves_nothing_that_could_run(running: Suite, private_key: Rsa) -> None:
    """The answer is the proof, and in the audit log. Repeated, it finds nothing more to do, whatever it is asked for the dataset."""
    tenant = busy(running, private_key)
    assert (offboard(tenant, "KEEP", confirm="acme").status, offboard(tenant, "BURN").status) == (400, 400)
    assert tenant.quota_answer().status == 200

    done = offboard(tenant, "KEEP")

    assert done.status == 200, done.body
    proof = {name: value for name, value in done.body.items() if name not in {"tenant_id", "offboarded_at"}}
    assert proof == {
        "keys_revoked": 1,
        "schedules_stopped": 2,
        "runs_dropped": 3,
        "runs_cancelled": 1,
        "credentials_destroyed": ["GCP"],
        "dataset": "KEPT",
        "exported": [],
    }
    assert left_of(tenant) == []
    assert [run["status"] for run in tenant.rows("SELECT status FROM {}.x_meta_pipeline_runs")] == ["CANCELLED"]
    until(tenant.quota_answer, lambda answer: answer.reason == "API_KEY_INVALID", seconds=5)
    actions = tenant.rows("SELECT action FROM {}.x_meta_step_logs WHERE provider IS NOT NULL")
    assert {"action": "CREDENTIAL_DELETED"} in actions

    put = running.admin.call("PUT", f"/api/v1/tenants/{tenant.tenant_id}", {"company_name": "Acme"})
    assert (put.status, put.reason) == (400, "TENANT_OFFBOARDED")
    for job in ("trigger", "process-queue"):
        assert running.admin.call("POST", f"/api/v1/scheduler/{job}", {}).status == 200
    exported = f"gs://bucket/{tenant.tenant_id}"
    again = offboard(tenant, "DELETE", export_uri=exported)
    tables = {one["table_name"]: one for one in again.body["exported"]}
    # The emulator's count of rows is an estimate, which updates raise; BigQuery's is exact.
    assert all(int(tables[name]["row_count"]) > 0 for name in ("x_meta_pipeline_runs", "x_meta_step_logs")), tables
    assert all(one["uri"].startswith(f"{exported}/{name}/") for name, one in tables.items())
    assert (again.status, again.body["dataset"], again.body["offboarded_at"]) == (200, "DELETED", done.body["offboarded_at"]), again.body
    once_more = offboard(tenant, "DELETE")
    assert once_more.body == again.body, "what was proven"
    written = f"SELECT dataset, runs_dropped, credentials_destroyed FROM tenants.tenant_offboardings WHERE tenant_id = '{tenant.tenant_id}'"
    proofs = [
        (row["dataset"], row["runs_dropped"], row["credentials_destroyed"]) for row in running.query(f"{written} ORDER BY completed_at")
    ]
    assert proofs == [("KEPT", 3, ["GCP"]), ("DELETED", 0, [])], "nothing was left to end, so nothing more was proven"
    for answer in (again, once_more):
        assert [answer.body[name] for name in COUNTS] == [0] * len(COUNTS)
        assert answer.body["credentials_destroyed"] == []
    assert left_of(tenant) == []

    found = until(
        partial(entries, running.admin, f"/api/v1/audit?chain={tenant.tenant_id}&action=OffboardTenant&"),
        lambda found: len([entry for entry in found if entry["outcome"] == "OK"]) == 3,
        seconds=30,
    )
    resources = [entry["resource"] for entry in found if entry["outcome"] == "OK"]
    named = "keys_revoked=1/schedules_stopped=2/runs_dropped=3/runs_cancelled=1/credentials_destroyed=GCP/dataset=KEPT"
    assert resources[-1] == named
    assert resources[0].endswith("dataset=DELETED")
