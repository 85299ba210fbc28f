"""A ledger on this worker's control dataset, with a clock that tests set."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from services.auth.ledger import Ledger
from services.auth.store import AuthStore
from services.auth.tenants.spec import TenantSpec
from services.auth.tenants.store import TenantStore
from services.platform.bigquery.client import BigQuery
from services.platform.clock import utc_day
from tests.support.set_clock import SetClock

LEASE = timedelta(seconds=60)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def store(bq: BigQuery) -> AuthStore:
    return AuthStore(bq)


@pytest.fixture
async def ledger(store: AuthStore, clock: SetClock) -> AsyncIterator[Ledger]:
    async with Ledger(store, clock, lease=LEASE) as ledger:
        yield ledger


type Provision = Callable[..., Awaitable[str]]


@pytest.fixture
def provision(bq: BigQuery, clock: SetClock, tenant_id: str) -> Provision:
    """Makes tenants, several by `name`."""

    async def make(
        *,
        name: str = "",
        daily_limit: int | None = None,
        monthly_limit: int | None = None,
        concurrent_limit: int | None = None,
        monthly_cost_limit_usd: float | None = None,
        max_export_bytes: int | None = None,
        status: str = "ACTIVE",
        subscription_status: str = "ACTIVE",
    ) -> str:
        spec = TenantSpec(
            tenant_id=tenant_id + name,
            company_name="Acme",
            admin_email="ops@acme.example",
            status=status,
            plan_name="STANDARD",
            subscription_status=subscription_status,
            daily_limit=daily_limit,
            monthly_limit=monthly_limit,
            concurrent_limit=concurrent_limit,
            monthly_cost_limit_usd=monthly_cost_limit_usd,
            max_export_bytes=max_export_bytes,
        )
        await TenantStore(bq).put(spec, clock.now(), utc_day(clock.now()))
        return spec.tenant_id

    return make
