"""What dies and comes back: an executor killed in mid-run, KMS and BigQuery gone for a while. On a stack of its own."""

import signal
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from localcloud.rest import until
from localcloud.settings import LocalSettings
from localcloud.stack import Stack
from tests.credentials.samples import Rsa
from tests.e2e.tenants import Suite, Tenant
from tests.executor.billing_export import ACCOUNT, STANDARD, load, many

pytestmark = pytest.mark.timeout(240)

DAY = date(2025, 11, 17)
LEASE = 6


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    cache = Path(__file__).parents[2] / ".cache"
    settings = LocalSettings.on_free_ports(tmp_path_factory.mktemp("outages") / "state", cache_dir=cache, lease_seconds=LEASE)
    seconds = {"BIGQUERY_DEADLINE": "4", "BIGQUERY_SCRIPT": "8", "KMS_DEADLINE": "2"}
    short = {f"CONVERGENCE_{name}_SECONDS": value for name, value in seconds.items()}
    extra = dict.fromkeys(("auth", "credentials", "executor"), short)
    with Stack(settings, auto_restart=False, extra=extra, report=print) as stack:
        yield stack


@pytest.fixture(scope="module")
def own(stack: Stack) -> Suite:
    return Suite(local=stack.settings, env=stack.env)


@pytest.fixture(scope="module")
def acme(own: Suite, private_key: Rsa) -> Tenant:
    tenant = own.tenant(private_key, concurrent_limit=1, daily_limit=50)
    load(own.env["BIGQUERY_EMULATOR_HOST"], f"{tenant.project}.exports.gcp_billing_export_v1_{ACCOUNT}", many(DAY, 100), STANDARD)
    assert tenant.set_credentials().status == 200
    return tenant


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
    quota = until(acme.quota, lambda quota: quota["pipelines_failed_today"] == 1, seconds=LEASE * 5)
    again = acme.finished(until(lambda: acme.start(DAY), lambda answer: answer.status == 200, seconds=LEASE * 5))

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
        until(lambda: acme.rows(story), lambda lines: {"step_id": "extract", "action": "STEP_COMPLETED"} in lines, seconds=20, every=0.01)
        stack.kill("executor")
        stack.restart("executor")
        return acme.finished(started, seconds=LEASE * 10)

    until(killed_in_between, lambda run: run["status"] == "FAILED", seconds=120)
    assert loaded(acme) == 100
    with own.warehouse as client:
        left = [client.get_table(table) for table in client.list_tables(acme.tenant_id) if table.table_id.startswith("x_staging")]
    assert left
    assert all(table.expires is not None and table.expires - table.created <= timedelta(hours=25) for table in left)
    until(acme.quota, lambda quota: quota["concurrent_pipelines_running"] == 0, seconds=LEASE * 5)

    again = acme.finished(until(lambda: acme.start(DAY), lambda answer: answer.status == 200, seconds=LEASE * 5))
    assert (again["status"], again["rows_processed"], loaded(acme)) == ("COMPLETED", "100", 100)


def test_a_stopping_executor_finishes_or_fails_its_runs(stack: Stack, acme: Tenant) -> None:
    started = acme.start(DAY)
    stack.stop_process("executor")
    stack.restart("executor")
    until(lambda: acme.rest.call("GET", "/api/v1/pipelines/templates"), lambda answer: answer.status == 200, seconds=20)
    run = acme.finished(started, seconds=LEASE * 3)
    assert run["status"] in {"COMPLETED", "FAILED"}
    # The row says first that the run has ended, then its slot is settled.
    until(acme.quota, lambda quota: quota["concurrent_pipelines_running"] == 0, seconds=LEASE * 3)


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
    answers = [acme.start(DAY), acme.set_credentials(), acme.quota_answer()]
    stack.restart("bigquery") if how is signal.SIGKILL else stack.resume("bigquery")

    assert [(answer.status, answer.reason) for answer in answers] == [(503, "BIGQUERY_UNAVAILABLE")] * 3
    until(acme.quota_answer, lambda answer: answer.status == 200, seconds=30)
    # A reservation whose reply was lost may stand until its lease has run out; then its units come back as well.
    settled = until(acme.quota, lambda quota: quota["concurrent_pipelines_running"] == 0, seconds=LEASE * 5)
    assert settled["daily_limit"] == before["daily_limit"]
    until(acme.quota, lambda quota: quota["pipelines_run_today"] == before["pipelines_run_today"], seconds=LEASE * 5)
    assert acme.finished(acme.start(DAY))["status"] == "COMPLETED"
    assert loaded(acme) == 100
