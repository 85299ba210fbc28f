"""KMS and BigQuery are down for a while: what callers are answered meanwhile, and that it works again. The rest is in test_chaos."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from localcloud.rest import Answer
from localcloud.stack import Stack
from tests.support.chaos.world import LEASE
from tests.support.credentials.samples import Rsa
from tests.system.outages.conftest import DAY
from tests.system.tenants import Suite, Tenant, until

pytestmark = pytest.mark.timeout(240)


def loaded(tenant: Tenant) -> int:
    rows = tenant.rows(f"SELECT COUNT(*) AS n FROM {{}}.billing_cost_daily WHERE usage_date = '{DAY}'")
    count: int = rows[0]["n"]
    return count


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

    def quota_is_unknown() -> Answer:
        # For half a second the ledger need not be asked again.
        return until(acme.quota_answer, lambda answer: answer.status != 200, seconds=30)

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda call: call(), [lambda: acme.start(DAY), acme.set_credentials, quota_is_unknown]))
    stack.restart("bigquery") if how is signal.SIGKILL else stack.resume("bigquery")

    assert [(answer.status, answer.reason) for answer in answers] == [(503, "BIGQUERY_UNAVAILABLE")] * 3
    until(acme.quota_answer, lambda answer: answer.status == 200, seconds=30)
    # A reservation whose reply was lost may stand until its lease has run out; then its units come back as well.
    settled = until(acme.quota, lambda quota: quota["concurrent_pipelines_running"] == 0, seconds=LEASE * 10)
    assert settled["daily_limit"] == before["daily_limit"]
    until(acme.quota, lambda quota: quota["pipelines_run_today"] == before["pipelines_run_today"], seconds=LEASE * 10)
    assert acme.finished(acme.start(DAY))["status"] == "COMPLETED"
    assert loaded(acme) == 100
