"""The life of a tenant inside auth: what a change leaves, what is refused, and what its keys do meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from convergence.auth.v1 import api_key_service_pb2, closing_service_pb2, tenant_pb2
from convergence.auth.v1 import tenant_service_pb2 as messages
from google.cloud.bigquery import Dataset

from services.auth.authenticator import LocalAuthenticator
from services.auth.key_change_feed import KeyChangeFeed
from services.auth.key_digests import KeyDigests
from services.auth.key_memory import KeyMemory
from services.auth.key_usage import KeyUsage
from services.auth.ledger import Ledger
from services.auth.servicers.api_key import ApiKeyServicer
from services.auth.servicers.closing import ClosingServicer
from services.auth.servicers.tenant import TenantServicer
from services.auth.store import AuthStore, Settlement
from services.auth.tenants.location import MADE_WITHIN, TenantLocations
from services.auth.tenants.store import TenantStore
from services.platform.access.api_keys import hash_key
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.clock import utc_day
from services.platform.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from tests.support.counting import jobs
from tests.support.set_clock import SetClock

NONE: Any = None


@dataclass
class Auth:
    """One process."""

    tenants: TenantServicer
    closing: ClosingServicer
    keys: ApiKeyServicer
    authenticator: LocalAuthenticator
    changes: KeyChangeFeed
    clock: SetClock

    async def put(self, tenant_id: str, **fields: Any) -> messages.PutTenantResponse:
        self.clock.time += timedelta(seconds=1)
        return await self.tenants.PutTenant(messages.PutTenantRequest(tenant_id=tenant_id, **{"company_name": "Acme", **fields}), NONE)

    async def get(self, tenant_id: str) -> tenant_pb2.Tenant:
        return await self.tenants.GetTenant(messages.GetTenantRequest(tenant_id=tenant_id), NONE)

    async def suspend(self, tenant_id: str) -> tenant_pb2.Tenant:
        return await self.tenants.SuspendTenant(messages.SuspendTenantRequest(tenant_id=tenant_id), NONE)

    async def resume(self, tenant_id: str) -> tenant_pb2.Tenant:
        return await self.tenants.ResumeTenant(messages.ResumeTenantRequest(tenant_id=tenant_id), NONE)

    async def close(self, tenant_id: str) -> closing_service_pb2.CloseTenantResponse:
        self.clock.time += timedelta(seconds=1)
        return await self.closing.CloseTenant(closing_service_pb2.CloseTenantRequest(tenant_id=tenant_id), NONE)

    async def issue(self, tenant_id: str) -> api_key_service_pb2.CreateApiKeyResponse:
        return await self.keys.CreateApiKey(api_key_service_pb2.CreateApiKeyRequest(tenant_id=tenant_id), NONE)

    async def page(self, **asked: Any) -> messages.ListTenantsResponse:
        return await self.tenants.ListTenants(messages.ListTenantsRequest(**asked), NONE)

    async def is_active(self, api_key: str) -> bool | None:
        """Whether the key's tenant may call; None: the key is unknown."""
        try:
            return (await self.authenticator.authenticate(hash_key(api_key))).tenant_active
        except Unauthenticated:
            return None


@pytest.fixture
async def auth(bq: BigQuery, store: AuthStore, ledger: Ledger, clock: SetClock) -> AsyncIterator[Auth]:
    tenants, memory = TenantStore(bq), KeyMemory(seconds=300, size=100)
    changes = KeyChangeFeed(memory)
    async with KeyUsage(store, clock, seconds=3600) as usage:
        yield Auth(
            tenants=TenantServicer(tenants, ledger, clock, changes, TenantLocations(bq, allowed=("US", "EU"))),
            closing=ClosingServicer(tenants, ledger, clock, changes),
            keys=ApiKeyServicer(store, tenants, clock, changes),
            authenticator=LocalAuthenticator(store, clock, memory=memory, digests=KeyDigests(seconds=300), usage=usage, changes=changes),
            changes=changes,
            clock=clock,
        )


async def refused(call: Any) -> str:
    with pytest.raises((FailedPrecondition, NotFound, PermissionDenied)) as error:
        await call
    return error.value.reason


async def test_an_operator_reads_a_tenants_quota(auth: Auth, tenant_id: str) -> None:
    with pytest.raises(NotFound):
        await auth.tenants.GetTenantQuota(messages.GetTenantQuotaRequest(tenant_id=tenant_id), NONE)
    await auth.put(tenant_id, daily_limit=3)
    quota = await auth.tenants.GetTenantQuota(messages.GetTenantQuotaRequest(tenant_id=tenant_id), NONE)
    assert (quota.tenant_id, quota.daily_limit, quota.remaining_today, quota.refusing_limit) == (tenant_id, 3, 3, "")


async def test_what_was_read_can_be_put_back(auth: Auth, tenant_id: str) -> None:
    """With all limits, and with none: absent stays absent."""
    limits = {"daily_limit": 0, "concurrent_limit": 3, "monthly_cost_limit_usd": 12.5, "max_schedules": 0, "max_export_bytes": 2**40}
    for fields in ({}, {"admin_email": "a@acme.example", "plan_name": "SCALE", "status": "INACTIVE", **limits}):
        put = (await auth.put(tenant_id, **fields)).tenant
        read = await auth.get(tenant_id)
        assert read == put
        given = {field.name for field, _ in read.ListFields()}
        assert given & {*limits, "monthly_limit"} == limits.keys() & fields.keys()
        writable = messages.PutTenantRequest.DESCRIPTOR.fields_by_name
        again = await auth.put(**{field.name: value for field, value in read.ListFields() if field.name in writable})
        assert again.action == "UPDATED"
        again.tenant.updated_at.CopyFrom(read.updated_at)
        assert again.tenant == read
    assert await refused(auth.get(f"{tenant_id}_no")) == "TENANT_NOT_FOUND"


@pytest.mark.parametrize("status", ["ACTIVE", "INACTIVE"])
async def test_a_suspension_is_undone_to_what_was_before(auth: Auth, tenant_id: str, status: str) -> None:
    """Repeated calls, and a plan that is changed meanwhile, keep it. What is not suspended is not resumed."""
    await auth.put(tenant_id, status=status)
    assert (await auth.resume(tenant_id)).status == status
    for _ in range(2):
        assert (await auth.suspend(tenant_id)).status == "SUSPENDED"
    await auth.put(tenant_id, status="SUSPENDED", daily_limit=7)
    for _ in range(2):
        tenant = await auth.resume(tenant_id)
        assert (tenant.status, tenant.daily_limit) == (status, 7)
    for call in (auth.suspend, auth.resume):
        assert await refused(call(f"{tenant_id}_no")) == "TENANT_NOT_FOUND"


async def test_a_suspension_is_announced_at_once(auth: Auth, tenant_id: str) -> None:
    """To the services that watch, as a revocation is; here it is known at once."""
    await auth.put(tenant_id)
    key = (await auth.issue(tenant_id)).api_key
    assert await auth.is_active(key) is True
    heard, feed = list[str](), auth.changes.subscribe()
    await anext(feed)
    for call, active in ((auth.suspend, False), (auth.resume, True)):
        await call(tenant_id)
        heard.append(await asyncio.wait_for(anext(feed), 5))
        assert await auth.is_active(key) is active
    await auth.close(tenant_id)
    heard.append(await asyncio.wait_for(anext(feed), 5))
    await feed.aclose()
    assert (heard, await auth.is_active(key)) == ([tenant_id] * 3, None)


async def test_a_closed_tenant_is_final(auth: Auth, ledger: Ledger, bq: BigQuery, tenant_id: str) -> None:
    """Its keys are unknown, no run of it is admitted, and no call changes it; a run that was admitted before counts until it is settled."""
    await auth.put(tenant_id)
    keys = [await auth.issue(tenant_id) for _ in range(2)]
    await ledger.reserve(tenant_id, f"{tenant_id}-before", is_retry=False)

    first, again = await auth.close(tenant_id), await auth.close(tenant_id)

    assert (first.keys_revoked, first.active_runs, again.keys_revoked, again.active_runs) == (2, 1, 0, 1)
    assert first.closed_at == again.closed_at
    assert await refused(ledger.reserve(tenant_id, f"{tenant_id}-after", is_retry=False)) == "SUBSCRIPTION_NOT_ACTIVE"
    assert await refused(ledger.reserve(tenant_id, f"{tenant_id}-retry", is_retry=True)) == "SUBSCRIPTION_NOT_ACTIVE"
    assert f"{tenant_id}-before" in (await ledger.renew([f"{tenant_id}-before"])).held
    day = utc_day(auth.clock.now())
    await ledger.settle([Settlement(tenant_id=tenant_id, reservation_id=f"{tenant_id}-before", usage_date=day, outcome="CANCELLED")])
    assert (await auth.close(tenant_id)).active_runs == 0

    rotate = api_key_service_pb2.RotateApiKeyRequest(tenant_id=tenant_id, api_key_id=keys[0].api_key_id)
    for call in (
        auth.put(tenant_id),
        auth.suspend(tenant_id),
        auth.resume(tenant_id),
        auth.issue(tenant_id),
        auth.keys.RotateApiKey(rotate, NONE),
    ):
        assert await refused(call) == "TENANT_OFFBOARDED"
    tenant = await auth.get(tenant_id)
    assert (tenant.status, tenant.subscription_status, tenant.updated_at) == ("OFFBOARDED", "CANCELLED", first.closed_at)
    # A key that was issued at the moment of the closing.
    late = make_block(
        "late", "UPDATE tenant_api_keys SET is_active = TRUE, expires_at = NULL WHERE tenant_id = @tenant", {"tenant": "STRING"}
    )
    await bq.query(late, {"tenant": tenant_id}, dataset=bq.control())
    assert [await auth.is_active(key.api_key) for key in keys] == [None, None]
    assert await refused(auth.close(f"{tenant_id}_no")) == "TENANT_NOT_FOUND"


async def test_a_plan_that_is_put_while_the_tenant_is_closed_does_not_open_it(auth: Auth, tenant_id: str) -> None:
    await auth.put(tenant_id)
    outcomes = await asyncio.gather(*(auth.put(tenant_id, daily_limit=n) for n in range(3)), auth.close(tenant_id), return_exceptions=True)
    assert all(isinstance(one, messages.PutTenantResponse) or getattr(one, "reason", "") == "TENANT_OFFBOARDED" for one in outcomes[:3])
    tenant = await auth.get(tenant_id)
    assert (tenant.status, tenant.subscription_status) == ("OFFBOARDED", "CANCELLED")


async def test_a_list_shows_what_an_operator_looks_at_first(auth: Auth, ledger: Ledger, bq: BigQuery, tenant_id: str) -> None:
    """One statement a page; by id, filtered by status and by a part of the id or of the company's name."""
    names = [f"{tenant_id}_{letter}" for letter in "abc"]
    for name in names:
        await auth.put(name, company_name=f"Company {name.upper()}")
    await auth.suspend(names[1])
    oldest = auth.clock.now()
    for _ in range(2):
        await auth.issue(names[0])
        auth.clock.time += timedelta(days=1)
    await ledger.reserve(names[0], f"{tenant_id}-1", is_retry=False)
    await record_runs(bq, names[0], auth.clock.now())

    before = jobs("list_tenants")
    first = await auth.page(search=f"y {tenant_id}".upper(), page_size=2)
    assert jobs("list_tenants") - before == 1
    second = await auth.page(search=f"y {tenant_id}", page_size=2, page_token=first.next_page_token)

    assert [one.tenant.tenant_id for one in (*first.tenants, *second.tenants)] == names
    assert (bool(first.next_page_token), second.next_page_token) == (True, "")
    suspended = await auth.page(search=tenant_id, status="SUSPENDED")
    assert [one.tenant.tenant_id for one in suspended.tenants] == [names[1]]
    assert first.tenants[0].tenant == await auth.get(names[0])
    shown, bare = first.tenants[0], first.tenants[1]
    assert (shown.runs_today, shown.runs_month, shown.active_keys, shown.oldest_key_created_at.ToDatetime(oldest.tzinfo)) == (
        1,
        1,
        2,
        oldest,
    )
    ends = [stamp.ToDatetime(oldest.tzinfo) for stamp in (shown.last_completed_at, shown.last_failed_at)]
    assert ends == [auth.clock.now() - timedelta(hours=3), auth.clock.now() - timedelta(hours=1)]
    assert (shown.last_failure, shown.last_failed_run) == ("It broke.", "run-2")
    assert not any(bare.HasField(name) for name in ("last_completed_at", "last_failed_at", "oldest_key_created_at"))
    assert (bare.last_failure, bare.active_keys, bare.cost_month_usd) == ("", 0, 0.0)


async def record_runs(bq: BigQuery, tenant_id: str, now: datetime) -> None:
    """As executors do: a row when a run begins, one when it ends."""
    sql = """
        INSERT INTO tenant_runs (entry_id, tenant_id, pipeline_logging_id, status, started_at, completed_at, error_message)
        SELECT
          GENERATE_UUID(), @tenant_id, r.run, r.status, TIMESTAMP_SUB(@now, INTERVAL 9 HOUR), TIMESTAMP_SUB(@now, INTERVAL r.ago HOUR),
          r.error
        FROM UNNEST([
          STRUCT('run-1' AS run, 'FAILED' AS status, 2 AS ago, 'It broke before.' AS error),
          ('run-2', 'RUNNING', NULL, NULL), ('run-2', 'FAILED', 1, 'It broke.'), ('run-3', 'COMPLETED', 3, NULL)
        ]) AS r
    """
    block = make_block("record_runs", sql, {"tenant_id": "STRING", "now": "TIMESTAMP"})
    await bq.query(block, {"tenant_id": tenant_id, "now": now}, dataset=bq.control())


async def test_a_location_may_change_until_it_is_fixed(auth: Auth, bq: BigQuery, tenant_id: str) -> None:
    """It is given back as BigQuery writes it, kept by a PUT that names none, and fixed for credentials. A refused PUT changes nothing."""
    fresh, store = f"{tenant_id}_fresh", TenantStore(bq)
    assert (await auth.put(fresh)).tenant.location == (await auth.get(fresh)).location == "US"
    assert (await auth.put(fresh, location="eu")).tenant.location == "EU"
    assert (await auth.put(fresh, company_name="Again")).tenant.location == (await auth.get(fresh)).location == "EU"
    [listed] = (await auth.page(search=fresh)).tenants
    assert listed.tenant.location == "EU"
    assert (await auth.put(fresh, location="US")).tenant.location == "US"

    assert await store.fix_location(fresh, auth.clock.now()) == "US"
    before = await auth.get(fresh)
    assert await refused(auth.put(fresh, location="EU", company_name="Another", daily_limit=3)) == "LOCATION_FIXED"
    assert await auth.get(fresh) == before
    assert (await auth.put(fresh, location="US", daily_limit=3)).tenant.daily_limit == 3
    assert await store.fix_location(fresh, auth.clock.now()) == "US"

    # The dataset was not made then, e.g. because KMS refused the key, and nothing is at work any more.
    auth.clock.time += MADE_WITHIN + timedelta(seconds=1)
    assert (await auth.put(fresh, location="EU")).tenant.location == "EU"
    assert await store.fix_location(fresh, auth.clock.now()) == "EU"
    assert await refused(auth.put(fresh, location="US")) == "LOCATION_FIXED"

    for unknown in ("europe-west9", "Berlin", "EU; DROP TABLE x"):
        with pytest.raises(InvalidArgument, match="use one of EU, US"):
            await auth.put(fresh, location=unknown)
    with pytest.raises(NotFound):
        await store.fix_location(f"{tenant_id}_none", auth.clock.now())


async def test_a_dataset_that_is_older_than_locations_stays_where_it_is(auth: Auth, bq: BigQuery, tenant_id: str) -> None:
    """Its tenant's row has no location, and none was fixed."""
    await auth.put(tenant_id)
    await bq.call("test_create", lambda left: bq.client.create_dataset(bq.tenant(tenant_id), timeout=left))
    assert await refused(auth.put(tenant_id, location="EU")) == "LOCATION_FIXED"
    assert (await auth.put(tenant_id, location="US")).tenant.location == (await auth.put(tenant_id)).tenant.location == "US"

    elsewhere = f"{tenant_id}_eu"
    await auth.put(elsewhere)
    made = Dataset(bq.tenant(elsewhere))
    made.location = "EU"
    await bq.call("test_create", lambda left: bq.client.create_dataset(made, timeout=left))
    assert await refused(auth.put(elsewhere, location="US")) == "LOCATION_FIXED"
    assert (await auth.put(elsewhere, location="EU")).tenant.location == "EU"


async def test_a_location_that_is_fixed_at_the_same_moment_as_it_changes(auth: Auth, bq: BigQuery, tenant_id: str) -> None:
    """Whichever comes first: what credentials got is what the tenant has, for good."""
    store = TenantStore(bq)
    for number in range(4):
        tenant = f"{tenant_id}_{number}"
        await auth.put(tenant)
        changed, fixed = await asyncio.gather(
            auth.put(tenant, location="EU"), store.fix_location(tenant, auth.clock.now()), return_exceptions=True
        )
        assert (await auth.get(tenant)).location == fixed == await store.fix_location(tenant, auth.clock.now())
        is_refused = isinstance(changed, FailedPrecondition) and changed.reason == "LOCATION_FIXED"
        assert is_refused == (fixed == "US")
