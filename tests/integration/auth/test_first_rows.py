"""Two processes make the first row of something at once: neither changes a row that the other one changes."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date, datetime

from services.auth.ledger import Ledger
from services.auth.store import BLOCKS as AUTH
from services.auth.store import AuthStore, ReservationRequest, StoredKey
from services.auth.tenants.spec import TenantSpec
from services.auth.tenants.store import BLOCKS as TENANTS
from services.auth.tenants.store import TenantFilter, TenantStore
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.result import QueryResult
from services.platform.bigquery.sql import make_block
from services.platform.clock import utc_day
from services.platform.errors import PermissionDenied
from tests.integration.auth.conftest import LEASE, Provision
from tests.support.overlap import slow_at_first, slowly
from tests.support.set_clock import SetClock


class SlowTenants(TenantStore):
    """Its first statement takes a while."""

    is_slow = True

    async def _run(self, block: str, params: Mapping[str, object]) -> QueryResult:
        sent = slowly(TENANTS[block]) if self.is_slow else TENANTS[block]
        self.is_slow = False
        return await self._bq.query(sent, params, dataset=self._bq.control(), seconds=30)


async def rows(bq: BigQuery, sql: str, tenant_id: str) -> list[Mapping[str, object]]:
    return list((await bq.query(make_block("rows", sql, {"t": "STRING"}), {"t": tenant_id}, dataset=bq.control())).rows)


async def test_a_tenant_that_two_processes_create_is_the_later_one_as_a_whole(bq: BigQuery, clock: SetClock, tenant_id: str) -> None:
    one = TenantSpec(
        tenant_id=tenant_id,
        company_name="one",
        admin_email="1@acme.example",
        status="INACTIVE",
        plan_name="one",
        subscription_status="ACTIVE",
        daily_limit=1,
        monthly_limit=None,
        concurrent_limit=None,
    )
    other = replace(one, company_name="other", status="ACTIVE", plan_name="other", daily_limit=2)
    at = clock.now()
    puts = ((one, at), (other, at.replace(microsecond=(at.microsecond + 1) % 1_000_000)))

    await asyncio.gather(*(SlowTenants(bq).put(spec, now, utc_day(now)) for spec, now in puts))

    profiles = await rows(bq, "SELECT company_name, status FROM tenant_profiles WHERE tenant_id = @t", tenant_id)
    plans = await rows(bq, "SELECT subscription_id, plan_name, daily_limit FROM tenant_subscriptions WHERE tenant_id = @t", tenant_id)
    [left] = [spec for spec in (one, other) if spec.company_name == profiles[0]["company_name"]]
    assert profiles == [{"company_name": left.company_name, "status": left.status}] * 2
    assert plans == [{"subscription_id": left.subscription_id, "plan_name": left.plan_name, "daily_limit": left.daily_limit}] * 2


async def test_the_day_of_a_tenant_without_any_subscription_has_no_two_rows(
    bq: BigQuery, clock: SetClock, ledger: Ledger, tenant_id: str
) -> None:
    """It has none, as two transactions would not meet. Its quota is shown all the same, and its first subscription gives it a row."""
    opened, today = slowly(AUTH["open_day"]), utc_day(clock.now())
    days = "SELECT usage_date FROM tenant_usage_quotas WHERE tenant_id = @t"
    params = {"tenant_ids": [tenant_id], "now": clock.now(), "today": today}

    await asyncio.gather(*(bq.query(opened, params, dataset=bq.control(), seconds=30) for _ in range(2)))

    assert await rows(bq, days, tenant_id) == []
    usage = await ledger.usage(tenant_id)
    assert (usage.usage_date, usage.pipelines_run_today, usage.subscription_active, usage.daily_limit) == (today, 0, False, None)
    await rows(
        bq, "INSERT INTO tenant_subscriptions (subscription_id, tenant_id, status, daily_limit) VALUES ('s', @t, 'ACTIVE', 3)", tenant_id
    )
    usage = await ledger.usage(tenant_id)
    assert (usage.subscription_active, usage.daily_limit, await rows(bq, days, tenant_id)) == (True, 3, [{"usage_date": today}])


async def test_a_key_that_was_inserted_twice_is_listed_once(bq: BigQuery, store: AuthStore, clock: SetClock, provision: Provision) -> None:
    """BigQuery did not answer, and the INSERT was sent again while the first one was still at work."""
    tenant_id, now = await provision(), clock.now()
    key = StoredKey(
        api_key_id=f"key-{tenant_id}", tenant_id=tenant_id, scopes=(), is_active=True, expires_at=None, created_at=now, last_used_at=None
    )
    assert await store.insert_api_key(key, f"hash-{tenant_id}")
    await rows(bq, "INSERT INTO tenant_api_keys SELECT * FROM tenant_api_keys AS k WHERE k.tenant_id = @t", tenant_id)

    assert await store.list_api_keys(tenant_id, after=None, limit=10) == [key]
    tenants = TenantStore(bq)
    [listed] = await tenants.page(TenantFilter(search=tenant_id), after="", limit=10, now=now, today=utc_day(now))
    assert listed.active_keys == 1
    assert (await tenants.close(tenant_id, now)).keys_revoked == 1


class SlowReserve(AuthStore):
    """Its `reserve` takes a while: it sees what was there at its beginning."""

    async def reserve(
        self, requests: Sequence[ReservationRequest], now: datetime, today: date, lease_expires_at: datetime, *, all_or_none: bool = False
    ) -> int:
        params: dict[str, object] = {"ids": [one.reservation_id for one in requests], "all_or_none": all_or_none}
        params |= {"requests": [{**asdict(one), "seq": seq} for seq, one in enumerate(requests)]}
        params |= {"now": now, "today": today, "lease_expires_at": lease_expires_at}
        await self._bq.query(slow_at_first(AUTH["reserve"], times=2), params, dataset=self._bq.control(), seconds=30)
        return 0


async def test_no_run_is_admitted_behind_the_end_of_its_tenant(bq: BigQuery, clock: SetClock, provision: Provision) -> None:
    """A reservation that is at work when the tenant is closed is counted among its active runs, or refused."""
    tenant_id = await provision()
    async with Ledger(AuthStore(bq), clock, lease=LEASE) as ledger, Ledger(SlowReserve(bq), clock, lease=LEASE) as other:
        await ledger.usage(tenant_id)

        async def close() -> int:
            closing = slow_at_first(make_block("wait", "SELECT 1", {}))
            await bq.query(closing, {}, dataset=bq.control(), seconds=30)
            await TenantStore(bq).close(tenant_id, clock.now())
            return await ledger.active_runs(tenant_id)

        admitted, active = await asyncio.gather(other.reserve(tenant_id, "run", is_retry=False), close(), return_exceptions=True)
        assert active == int(not isinstance(admitted, PermissionDenied))
