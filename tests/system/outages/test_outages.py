"""Processes die and come back: an executor killed during a run, KMS and BigQuery down for a while."""

import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from localcloud.stack import Stack
from tests.support.credentials.samples import Rsa
from tests.system.outages.conftest import DAY, LEASE
from tests.system.tenants import Suite, Tenant, until

pytestmark = pytest.mark.timeout(240)


def loaded(tenant: Tenant) -> int:
    rows = tenant.rows(f"SELECT COUNT(*) AS n FROM {{}}.billing_cost_daily WHERE usage_date = '{DAY}'")
    count: int = rows[0]["n"]
    return count


def test_an_executor_killed_in_mid_run_gives_its_slot_back(stack: Stack, acme: Tenant) -> None:
    """The run is failed, the slot frees itself, the next run works and leaves each row once."""
    started = acme.start(DAY)
    assert started.status == 200
    stack.kill("executor")
    stack.restart("executor")

    run = acme.finished(started, seconds=LEASE * 10)
    quota = until(acme.quota, lambda quota: quota["pipelines_failed_today"] == 1, seconds=LEASE * 10)
    again = acme.finished(until(lambda: acme.start(DAY), lambda answer: answer.status == 200, seconds=LEASE * 10))

    assert (run["status"], quota["concurrent_pipelines_running"], again["status"]) == ("FAILED", 0, "COMPLETED")
    assert "run it again" in run["error_message"]
    assert loaded(acme) == 100


def test_an_executor_killed_between_load_and_replace_leaves_no_hole_and_no_duplicate(own: Suite, stack: Stack, acme: Tenant) -> None:
    """The day stays as it was published before until the next run replaces it. A staging table is all that is left, and that expires."""
    before = acme.finished(acme.start(DAY))
    assert (before["status"], loaded(acme)) == ("COMPLETED", 100)

    def killed_in_between() -> dict[str, Any]:
        """A run whose executor dies when the export is staged. Where it was quicker than us, it is told again."""
        started = acme.start(DAY)
        assert started.status == 200
        run = started.body["pipeline_logging_id"]
        story = f"SELECT step_id, action FROM {{}}.x_meta_step_logs WHERE pipeline_logging_id = '{run}'"
        until(lambda: acme.rows(story), lambda lines: {"step_id": "extract", "action": "STEP_COMPLETED"} in lines, seconds=60, every=0.05)
        stack.kill("executor")
        stack.restart("executor")
        return acme.finished(started, seconds=LEASE * 10)

    until(killed_in_between, lambda run: run["status"] == "FAILED", seconds=120)
    assert loaded(acme) == 100
    with own.warehouse as client:
        left = [client.get_table(table) for table in client.list_tables(acme.tenant_id) if table.table_id.startswith("x_staging")]
    assert left
    assert all(table.expires is not None and table.expires - table.created <= timedelta(hours=25) for table in left)
    until(acme.quota, lambda quota: quota["concurrent_pipelines_running"] == 0, seconds=LEASE * 10)

    again = acme.finished(until(lambda: acme.start(DAY), lambda answer: answer.status == 200, seconds=LEASE * 10))
    assert (again["status"], again["rows_processed"], loaded(acme)) == ("COMPLETED", "100", 100)


def test_a_stopping_executor_finishes_or_fails_its_runs(stack: Stack, acme: Tenant) -> None:
    started = acme.start(DAY)
    stack.stop_process("executor")
    stack.restart("executor")
    until(lambda: acme.rest.call("GET", "/api/v1/pipelines/templates"), lambda answer: answer.status == 200, seconds=20)
    run = acme.finished(started, seconds=LEASE * 6)
    assert run["status"] in {"COMPLETED", "FAILED"}
    # The row says first that the run has ended, then its slot is settled.
    until(acme.quota, lambda quota: quota["concurrent_pipelines_running"] == 0, seconds=LEASE * 6)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_without_kms_nothing_is_stored_and_it_works_again_when_it_is_back(
    stack: Stack, own: Suite, private_key: Rsa, how: signal.Signals
) -> None:
    tenant = own.tenant(private_key)
    stack.kill("kms", how)
    refused = tenant.set_credentials()
    stored = own.query(f"SELECT COUNT(*) AS n FROM tenants.tenant_cloud_credentials WHERE tenant_id = '{tenant.tenant_id}'")
    stack.restart("kms") if how is signal.SIGKILL else stack.resume("kms")

    assert (refused.status, refused.reason, stored) == (503, "KMS_UNAVAILABLE", [{"n": 0}])
    again = until(tenant.set_credentials, lambda answer: answer.status == 200, seconds=20)
    assert (again.body["action"], len(again.body["tables_created"])) == ("CREATED", 3)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_without_bigquery_calls_are_503_and_work_again_when_it_is_back(stack: Stack, acme: Tenant, how: signal.Signals) -> None:
    assert acme.finished(until(lambda: acme.start(DAY), lambda answer: answer.status == 200, seconds=30))["status"] == "COMPLETED"
    before = acme.quota()
    stack.kill("bigquery", how)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda call: call(), [lambda: acme.start(DAY), acme.set_credentials, acme.quota_answer]))
    stack.restart("bigquery") if how is signal.SIGKILL else stack.resume("bigquery")

    assert [(answer.status, answer.reason) for answer in answers] == [(503, "BIGQUERY_UNAVAILABLE")] * 3
    until(acme.quota_answer, lambda answer: answer.status == 200, seconds=30)
    # A reservation whose reply was lost may stand until its lease has run out; then its units come back as well.
    settled = until(acme.quota, lambda quota: quota["concurrent_pipelines_running"] == 0, seconds=LEASE * 10)
    assert settled["daily_limit"] == before["daily_limit"]
    until(acme.quota, lambda quota: quota["pipelines_run_today"] == before["pipelines_run_today"], seconds=LEASE * 10)
    assert acme.finished(acme.start(DAY))["status"] == "COMPLETED"
    assert loaded(acme) == 100
