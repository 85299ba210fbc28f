"""Cancelling a run through the real gateway, and what operators see of runs and jobs."""

import uuid
from datetime import date
from typing import Any

import pytest

from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, DETAILED, load, many
from tests.system.tenants import Suite, until

pytestmark = pytest.mark.timeout(180)


def _stopped(run: dict[str, Any]) -> bool:
    """Every step that has begun has ended."""
    actions = [step["action"] for step in run["steps"]]
    return actions.count("STEP_STARTED") * 2 == len(actions)


def test_a_cancelled_run_gives_its_slot_back_and_leaves_nothing(running: Suite, private_key: Rsa) -> None:
    """Cancelled as soon as it has begun: the slot is free before the answer, nothing is published, nothing stays staged, and the run's
    record stays CANCELLED. Cancelling again answers the same; what is unknown, or another's, is refused.
    """
    tenant = running.tenant(private_key)
    table = f"{tenant.project}.cloud_costs.gcp_billing_export_resource_v1_{ACCOUNT}"
    load(running.env["BIGQUERY_EMULATOR_HOST"], table, many(date(2025, 11, 17), 300), DETAILED)
    assert tenant.set_credentials().status == 200
    run = tenant.start("2025-11-17").body["pipeline_logging_id"]
    path = f"/api/v1/pipelines/runs/{tenant.tenant_id}/{run}"

    cancelled = tenant.rest.call("POST", f"{path}:cancel")

    assert (cancelled.status, cancelled.body["status"]) == (200, "CANCELLED"), cancelled.body
    quota = tenant.quota()
    assert (quota["pipelines_run_today"], quota["concurrent_pipelines_running"], quota["pipelines_failed_today"]) == (1, 0, 0)
    record = until(lambda: tenant.rest.call("GET", path).body, _stopped, seconds=30)
    assert (record["status"], record["completed_at"]) == ("CANCELLED", cancelled.body["completed_at"])
    names = f"SELECT table_name AS name FROM {tenant.tenant_id}.INFORMATION_SCHEMA.TABLES"
    until(lambda: [one["name"] for one in running.query(names) if one["name"].startswith("x_staging")], lambda left: not left, seconds=30)
    if "billing_cost_daily" in [one["name"] for one in running.query(names)]:  # made by a publish that then found its fence closed
        assert running.query(f"SELECT COUNT(*) AS n FROM {tenant.tenant_id}.billing_cost_daily") == [{"n": 0}]
    again = tenant.rest.call("POST", f"{path}:cancel", {})
    assert (again.status, again.body["completed_at"]) == (200, cancelled.body["completed_at"])
    unknown = tenant.rest.call("POST", f"/api/v1/pipelines/runs/{tenant.tenant_id}/{uuid.uuid4()}:cancel")
    assert (unknown.status, unknown.body["details"][0]["reason"]) == (404, "RUN_NOT_FOUND")
    other = running.tenant(private_key).rest.call("POST", f"{path}:cancel")
    assert (other.status, other.body["details"][0]["reason"]) == (403, "TENANT_MISMATCH")

    def seen_by_operators() -> list[tuple[str, str]]:
        found = running.admin.call("GET", f"/api/v1/runs?tenant_id={tenant.tenant_id}").body["runs"]
        return [(one["pipeline_logging_id"], one["status"]) for one in found]

    until(seen_by_operators, lambda found: found == [(run, "CANCELLED")], seconds=30)


def test_operators_see_that_the_jobs_come(running: Suite) -> None:
    """Each is answered by another service, and all report to the scheduler's page."""

    def succeeded() -> set[str]:
        fleet = running.admin.call("GET", "/api/v1/fleet")
        assert fleet.status == 200, fleet.body
        return {job["job"] for job in fleet.body["jobs"] if "last_success_at" in job and not job["overdue"]}

    jobs = {"trigger", "process-queue", "reset-daily-quotas", "check-credentials"}
    for job in jobs:
        assert running.admin.call("POST", f"/api/v1/scheduler/{job}", {}).status == 200
    until(succeeded, lambda found: found == jobs, seconds=30)
