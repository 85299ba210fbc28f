"""A whole suite whose processes these tests kill: leases are short, calls to dead processes fail soon, nothing restarts by itself."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from localcloud.stack import Stack
from tests.support.chaos.world import World, chaos_world
from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.system.tenants import Suite, Tenant

DAY = date(2025, 11, 17)


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two executors and two schedulers; what is behind what can be held, cut and killed."""
    with chaos_world(tmp_path_factory.mktemp("outages")) as world:
        yield world


@pytest.fixture(scope="package")
def stack(world: World) -> Stack:
    return world.stack


@pytest.fixture(scope="package")
def own(world: World) -> Suite:
    return world.suite


def exporting(suite: Suite, private_key: Rsa, **plan: Any) -> Tenant:
    """A tenant with credentials and 100 rows of DAY in its export."""
    tenant = suite.tenant(private_key, **plan)
    load(suite.env["BIGQUERY_EMULATOR_HOST"], f"{tenant.project}.exports.gcp_billing_export_v1_{ACCOUNT}", many(DAY, 100), STANDARD)
    assert tenant.set_credentials().status == 200
    return tenant


@pytest.fixture(scope="package")
def acme(own: Suite, private_key: Rsa) -> Tenant:
    return exporting(own, private_key, concurrent_limit=1, daily_limit=50)
