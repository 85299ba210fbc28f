"""The statement budget, from the services' own counters. No other caller uses this suite, so every job counts."""

from datetime import date

import pytest

from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.system.tenants import Suite

pytestmark = pytest.mark.timeout(240)

DAY = date(2025, 11, 17)


def test_set_credentials_takes_three_jobs_and_later_two(running: Suite, private_key: Rsa) -> None:
    tenant = running.tenant(private_key)
    counts = [running.all_jobs("credentials")]
    for action in ("CREATED", "UPDATED"):
        assert tenant.set_credentials().body["action"] == action
        counts.append(running.all_jobs("credentials"))
    assert (counts[1] - counts[0], counts[2] - counts[1]) == (3, 2)


def test_a_warm_run_takes_two_jobs_before_it_answers(running: Suite, private_key: Rsa) -> None:
    """Reserve in auth, insert the run in the executor. What was reserved is read back only if not every request was granted."""
    opened = running.jobs("auth", "open_day")
    tenant = running.tenant(private_key)
    load(running.env["BIGQUERY_EMULATOR_HOST"], f"{tenant.project}.exports.gcp_billing_export_v1_{ACCOUNT}", many(DAY, 20), STANDARD)
    assert tenant.set_credentials().status == 200
    tenant.finished(tenant.start(DAY))

    def counted() -> list[float]:
        auth = [running.jobs("auth", statement) for statement in ("reserve", "read_usage", "open_day")]
        return [*auth, running.jobs("executor", "insert_run")]

    before = counted()
    tenant.finished(tenant.start(DAY))
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [1, 0, 0, 1]
    assert running.jobs("auth", "open_day") - opened <= 1
