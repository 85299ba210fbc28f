"""A whole stack whose processes these tests kill: leases are short, calls to dead processes fail soon, nothing restarts by itself."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from localcloud.settings import SERVICES, LocalSettings
from localcloud.stack import Stack
from tests.conftest import CACHE
from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.system.tenants import Suite, Tenant

DAY = date(2025, 11, 17)
LEASE = 6
"""Seconds; renewed every two, which a busy machine still manages."""
SECONDS = {
    "BIGQUERY_DEADLINE": "4",
    "BIGQUERY_SCRIPT": "8",
    "KMS_DEADLINE": "2",
    "SETTLE_GATHER": "0.2",
    "JOURNAL_GATHER": "0.2",
    "POLL": "1",
    "RETRY_BASE": "1",
}


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    state = tmp_path_factory.mktemp("outages") / "state"
    settings = LocalSettings.on_free_ports(state, cache_dir=CACHE, lease_seconds=LEASE, cloud_scheduler=False)
    short = {f"CONVERGENCE_{name}_SECONDS": value for name, value in SECONDS.items()}
    with Stack(settings, auto_restart=False, extra=dict.fromkeys(SERVICES, short), report=print) as stack:
        yield stack


@pytest.fixture(scope="package")
def own(stack: Stack) -> Suite:
    return Suite(local=stack.settings, env=stack.env)


def exporting(suite: Suite, private_key: Rsa, **plan: Any) -> Tenant:
    """A tenant with credentials and 100 rows of DAY in its export."""
    tenant = suite.tenant(private_key, **plan)
    load(suite.env["BIGQUERY_EMULATOR_HOST"], f"{tenant.project}.exports.gcp_billing_export_v1_{ACCOUNT}", many(DAY, 100), STANDARD)
    assert tenant.set_credentials().status == 200
    return tenant


@pytest.fixture(scope="package")
def acme(own: Suite, private_key: Rsa) -> Tenant:
    return exporting(own, private_key, concurrent_limit=1, daily_limit=50)
