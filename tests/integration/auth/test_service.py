"""Auth through a real server: who may call what, and the life of an API key."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import grpc
import pytest
from convergence.auth.v1 import (
    api_key_service_pb2,
    api_key_service_pb2_grpc,
    authentication_service_pb2,
    authentication_service_pb2_grpc,
    ledger_service_pb2,
    ledger_service_pb2_grpc,
    quota_service_pb2,
    quota_service_pb2_grpc,
    tenant_service_pb2,
    tenant_service_pb2_grpc,
)
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from services.auth.authenticator import LocalAuthenticator
from services.auth.key_change_feed import KeyChangeFeed
from services.auth.key_digests import KeyDigests
from services.auth.key_memory import KeyMemory
from services.auth.key_usage import KeyUsage
from services.auth.ledger import Ledger
from services.auth.service import served, tenants_served
from services.auth.store import AuthStore
from services.auth.tenants.location import TenantLocations
from services.auth.tenants.store import TenantStore
from services.platform import metrics
from services.platform.access.authenticator import RemoteAuthenticator
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.settings import AdminKey, ServiceSettings
from tests.conftest import channel_as, serving
from tests.integration.auth.conftest import LEASE
from tests.support.counting import asked
from tests.support.set_clock import SetClock

PROVISIONER, SCHEDULER = "admin-provisioner", "admin-scheduler"
type Metadata = list[tuple[str, str]]


@dataclass
class Auth:
    """Stubs as the gateway has them, and one as the executor has it."""

    tenants: tenant_service_pb2_grpc.TenantServiceStub
    keys: api_key_service_pb2_grpc.ApiKeyServiceStub
    quota: quota_service_pb2_grpc.QuotaServiceStub
    authentication: authentication_service_pb2_grpc.AuthenticationServiceStub
    ledger: ledger_service_pb2_grpc.LedgerServiceStub
    ledger_as_gateway: ledger_service_pb2_grpc.LedgerServiceStub
    used: KeyUsage
    remote: RemoteAuthenticator
    clock: SetClock

    async def put(self, tenant_id: str, **fields: Any) -> tenant_service_pb2.PutTenantResponse:
        request = tenant_service_pb2.PutTenantRequest(tenant_id=tenant_id, **{"company_name": "Acme", **fields})
        answer: tenant_service_pb2.PutTenantResponse = await self.tenants.PutTenant(request, metadata=admin())
        return answer

    async def issue(self, tenant_id: str, **fields: Any) -> api_key_service_pb2.CreateApiKeyResponse:
        request = api_key_service_pb2.CreateApiKeyRequest(tenant_id=tenant_id, **fields)
        answer: api_key_service_pb2.CreateApiKeyResponse = await self.keys.CreateApiKey(request, metadata=admin())
        return answer

    async def usage(self, tenant_id: str, api_key: str, *extra: tuple[str, str]) -> quota_service_pb2.GetQuotaResponse:
        request = quota_service_pb2.GetQuotaRequest(tenant_id=tenant_id)
        answer: quota_service_pb2.GetQuotaResponse = await self.quota.GetQuota(request, metadata=[("x-api-key", api_key), *extra])
        return answer


def admin(key: str = PROVISIONER) -> Metadata:
    return [("x-admin-key", key)]


def statements(table: str) -> float:
    """Statements that changed the table so far."""
    value: float = metrics.BIGQUERY_STATEMENTS.labels(table, "dml")._value.get()
    return value


async def refusal(call: Any) -> tuple[str, str]:
    """The code and reason that a call is refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    status = rpc_status.from_call(refused.value)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return refused.value.code().name, info.reason


@pytest.fixture(scope="module")
async def auth(service_settings: ServiceSettings, bq: BigQuery) -> AsyncIterator[Auth]:
    keys = [
        AdminKey(role="provisioner", sha256=sha256(PROVISIONER.encode()).hexdigest()),
        AdminKey(role="scheduler", sha256=sha256(SCHEDULER.encode()).hexdigest()),
    ]
    settings = service_settings.model_copy(update={"admin_keys": tuple(keys), "key_cache_seconds": 0.0})
    store, clock = AuthStore(bq), SetClock()
    usage = KeyUsage(store, clock, seconds=3600)
    memory = KeyMemory(seconds=300, size=100)
    changes = KeyChangeFeed(memory)
    authenticator = LocalAuthenticator(store, clock, memory=memory, digests=KeyDigests(seconds=300), usage=usage, changes=changes)
    async with (
        usage,
        Ledger(store, clock, lease=LEASE) as ledger,
        serving(
            settings,
            name="auth",
            authenticator=authenticator,
            served=[
                *tenants_served(store, TenantStore(bq), ledger, clock, changes, TenantLocations(bq, allowed=("US",))),
                *served(store, ledger, authenticator, clock, changes),
            ],
        ) as address,
        channel_as(settings, caller="gateway", peer="auth", address=address) as gateway,
        channel_as(settings, caller="executor", peer="auth", address=address) as executor,
    ):
        yield Auth(
            tenants=tenant_service_pb2_grpc.TenantServiceStub(gateway),
            keys=api_key_service_pb2_grpc.ApiKeyServiceStub(gateway),
            quota=quota_service_pb2_grpc.QuotaServiceStub(gateway),
            authentication=authentication_service_pb2_grpc.AuthenticationServiceStub(executor),
            ledger=ledger_service_pb2_grpc.LedgerServiceStub(executor),
            ledger_as_gateway=ledger_service_pb2_grpc.LedgerServiceStub(gateway),
            used=usage,
            remote=RemoteAuthenticator(executor),
            clock=clock,
        )


async def test_provision_issue_and_use(auth: Auth, tenant_id: str) -> None:
    created = await auth.put(tenant_id, daily_limit=25, admin_email="ops@acme.example")
    auth.clock.time += timedelta(seconds=1)
    updated = await auth.put(tenant_id, daily_limit=30, concurrent_limit=2)
    key = await auth.issue(tenant_id, scopes=["runs:read"])

    quota = await auth.usage(tenant_id, key.api_key)

    assert (created.action, created.tenant.status, updated.action, updated.tenant.daily_limit) == ("CREATED", "ACTIVE", "UPDATED", 30)
    assert key.api_key.startswith(f"{tenant_id}_api_")
    assert (quota.daily_limit, quota.concurrent_limit, quota.HasField("monthly_limit"), quota.pipelines_run_today) == (30, 2, False, 0)


async def test_new_limits_hold_today(auth: Auth, tenant_id: str) -> None:
    await auth.put(tenant_id, daily_limit=1)
    key = await auth.issue(tenant_id)
    await auth.usage(tenant_id, key.api_key)
    await auth.put(tenant_id, daily_limit=7)
    assert (await auth.usage(tenant_id, key.api_key)).daily_limit == 7


async def test_a_key_dies_by_revocation_and_by_its_date(auth: Auth, tenant_id: str, bq: BigQuery) -> None:
    await auth.put(tenant_id)
    revoked, expiring = await auth.issue(tenant_id), await auth.issue(tenant_id, expires_at=stamp(hours=1))
    await auth.keys.RevokeApiKey(
        api_key_service_pb2.RevokeApiKeyRequest(tenant_id=tenant_id, api_key_id=revoked.api_key_id), metadata=admin()
    )
    expire = make_block("expire", "UPDATE tenant_api_keys SET expires_at = TIMESTAMP '2020-01-01' WHERE api_key_id = @id", {"id": "STRING"})
    await auth.usage(tenant_id, expiring.api_key)
    await bq.query(expire, {"id": expiring.api_key_id}, dataset=bq.control())

    for key in (revoked.api_key, expiring.api_key, f"{tenant_id}_api_xyz789", revoked.api_key[:-1] + "#"):
        assert await refusal(auth.usage(tenant_id, key)) == ("UNAUTHENTICATED", "API_KEY_INVALID")
    listed = await auth.keys.ListApiKeys(api_key_service_pb2.ListApiKeysRequest(tenant_id=tenant_id), metadata=admin())
    assert {key.api_key_id: key.is_active for key in listed.api_keys} == {revoked.api_key_id: False, expiring.api_key_id: True}


async def test_keys_are_listed_page_by_page_newest_first(auth: Auth, tenant_id: str, bq: BigQuery) -> None:
    """Also those that the subscription system stored, without the time, which are the oldest."""
    await auth.put(tenant_id)
    issued = list[str]()
    for _ in range(2):
        auth.clock.time += timedelta(seconds=1)
        issued.append((await auth.issue(tenant_id)).api_key_id)
    undated = ["subscribed-1", "subscribed-2", "subscribed-3"]
    sql = "INSERT INTO tenant_api_keys (api_key_id, tenant_id, api_key_hash) SELECT n, @tenant_id, n FROM UNNEST(@names) AS n"
    block = make_block("subscribe", sql, {"tenant_id": "STRING", "names": "ARRAY<STRING>"})
    await bq.query(block, {"tenant_id": tenant_id, "names": undated}, dataset=bq.control())

    async def page(size: int, token: str, *, of: str = tenant_id) -> api_key_service_pb2.ListApiKeysResponse:
        asked = api_key_service_pb2.ListApiKeysRequest(tenant_id=of, page_size=size, page_token=token)
        listed: api_key_service_pb2.ListApiKeysResponse = await auth.keys.ListApiKeys(asked, metadata=admin())
        return listed

    found, token = list[str](), ""
    while True:
        answer = await page(2, token)
        found += [key.api_key_id for key in answer.api_keys]
        if not answer.next_page_token:
            break
        token = answer.next_page_token
    assert found == [*reversed(issued), *undated]
    assert await refusal(page(2, token, of=f"{tenant_id}_2")) == ("INVALID_ARGUMENT", "BAD_FIELD")
    assert await refusal(page(201, "")) == ("INVALID_ARGUMENT", "BAD_FIELD")


async def test_a_rotated_key_works_until_its_stated_end_and_the_new_one_has_its_scopes(auth: Auth, tenant_id: str, bq: BigQuery) -> None:
    """The end is never put off; what is not active any more, or not there, is not rotated."""

    async def rotate(api_key_id: str, **fields: Any) -> api_key_service_pb2.RotateApiKeyResponse:
        request = api_key_service_pb2.RotateApiKeyRequest(tenant_id=tenant_id, api_key_id=api_key_id, **fields)
        answer: api_key_service_pb2.RotateApiKeyResponse = await auth.keys.RotateApiKey(request, metadata=admin())
        return answer

    await auth.put(tenant_id)
    old = await auth.issue(tenant_id, scopes=["runs:read"])
    new = await rotate(old.api_key_id, overlap_seconds=3600)
    assert (list(new.scopes), new.rotated_api_key.api_key_id, new.HasField("expires_at")) == (["runs:read"], old.api_key_id, False)
    assert abs(new.rotated_api_key.expires_at.ToDatetime(UTC) - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=5)
    for key in (old.api_key, new.api_key):
        assert (await auth.usage(tenant_id, key)).tenant_id == tenant_id
    again = await rotate(old.api_key_id)
    assert again.rotated_api_key.expires_at == new.rotated_api_key.expires_at
    at_once = await rotate(new.api_key_id, overlap_seconds=0)
    assert await refusal(auth.usage(tenant_id, new.api_key)) == ("UNAUTHENTICATED", "API_KEY_INVALID")
    assert (await auth.usage(tenant_id, at_once.api_key)).tenant_id == tenant_id
    assert await refusal(rotate(new.api_key_id)) == ("FAILED_PRECONDITION", "API_KEY_NOT_ACTIVE")
    assert await refusal(rotate("nothing")) == ("NOT_FOUND", "API_KEY_NOT_FOUND")
    assert await refusal(rotate(old.api_key_id, overlap_seconds=-1)) == ("INVALID_ARGUMENT", "BAD_FIELD")
    listed = await auth.keys.ListApiKeys(api_key_service_pb2.ListApiKeysRequest(tenant_id=tenant_id), metadata=admin())
    assert len(listed.api_keys) == 4


async def test_changes_of_keys_are_reported_as_they_happen(auth: Auth, tenant_id: str) -> None:
    """A watcher hears first that it is connected, then of each revocation, rotation and change of the tenant."""
    await auth.put(tenant_id)
    key = await auth.issue(tenant_id)
    changes = auth.remote.changes()
    async with asyncio.timeout(20):
        assert await anext(changes) == ""
        revoke = api_key_service_pb2.RevokeApiKeyRequest(tenant_id=tenant_id, api_key_id=key.api_key_id)
        await auth.keys.RevokeApiKey(revoke, metadata=admin())
        assert await anext(changes) == tenant_id
        await auth.put(tenant_id, status="SUSPENDED")
        assert await anext(changes) == tenant_id
    await changes.aclose()  # type: ignore[attr-defined]


async def test_when_a_key_was_used_is_written_in_one_statement_for_all(auth: Auth, tenant_id: str) -> None:
    await auth.put(tenant_id)
    used, other, idle = [await auth.issue(tenant_id) for _ in range(3)]
    for key in (used, used, other):
        await auth.usage(tenant_id, key.api_key)
    before = statements("tenant_api_keys")
    await auth.used.write()
    await auth.used.write()
    assert statements("tenant_api_keys") - before == 1
    listed = await auth.keys.ListApiKeys(api_key_service_pb2.ListApiKeysRequest(tenant_id=tenant_id), metadata=admin())
    told = {key.api_key_id: key.HasField("last_used_at") for key in listed.api_keys}
    assert told == {used.api_key_id: True, other.api_key_id: True, idle.api_key_id: False}


async def test_the_quota_says_what_would_become_of_the_next_run(auth: Auth, tenant_id: str) -> None:
    await auth.put(tenant_id, daily_limit=0, concurrent_limit=2)
    key = (await auth.issue(tenant_id)).api_key
    none = await auth.usage(tenant_id, key)
    assert (none.refusing_limit, none.remaining_today, none.free_slots, none.HasField("remaining_this_month")) == ("DAILY", 0, 2, False)
    assert "limit is 0" in none.message
    await auth.put(tenant_id, daily_limit=5)
    some = await auth.usage(tenant_id, key)
    assert (some.refusing_limit, some.message, some.remaining_today) == ("", "The next run is admitted.", 5)
    midnight = some.daily_resets_at.ToDatetime(UTC)
    assert (midnight.hour, midnight.minute, midnight > datetime.now(UTC)) == (0, 0, True)
    assert (some.monthly_resets_at.ToDatetime(UTC).day, some.monthly_resets_at.ToDatetime(UTC) >= midnight) == (1, True)


async def test_a_key_the_subscription_system_wrote_is_taken(auth: Auth, tenant_id: str, bq: BigQuery) -> None:
    """Documented columns only: `is_active` is NULL and the key has a shape of its own."""
    await auth.put(tenant_id)
    api_key = f"{tenant_id}_12312025_api_xyz789"
    insert = "INSERT INTO tenant_api_keys (api_key_id, tenant_id, api_key_hash) VALUES (@id, @tenant, @hash)"
    block = make_block("foreign_key", insert, {"id": "STRING", "tenant": "STRING", "hash": "STRING"})
    params = {"id": str(uuid.uuid4()), "tenant": tenant_id, "hash": sha256(api_key.encode()).hexdigest()}
    await bq.query(block, params, dataset=bq.control())
    assert (await auth.usage(tenant_id, api_key)).tenant_id == tenant_id


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"status": "SUSPENDED"}, "TENANT_NOT_ACTIVE"), ({"subscription_status": "CANCELLED"}, "SUBSCRIPTION_NOT_ACTIVE")],
)
async def test_only_active_tenants_call(auth: Auth, tenant_id: str, fields: dict[str, str], reason: str) -> None:
    await auth.put(tenant_id)
    key = await auth.issue(tenant_id)
    await auth.put(tenant_id, **fields)
    assert await refusal(auth.usage(tenant_id, key.api_key)) == ("PERMISSION_DENIED", reason)


async def test_a_key_opens_its_own_tenant_only(auth: Auth, tenant_id: str) -> None:
    await auth.put(tenant_id)
    key = await auth.issue(tenant_id)
    assert await refusal(auth.usage(f"{tenant_id}x", key.api_key)) == ("PERMISSION_DENIED", "TENANT_MISMATCH")
    # Access comes before validation: a bad name is somebody else's too.
    assert await refusal(auth.usage("tenants", key.api_key)) == ("PERMISSION_DENIED", "TENANT_MISMATCH")


async def test_no_key_and_wrong_admin_keys(auth: Auth, tenant_id: str) -> None:
    put = tenant_service_pb2.PutTenantRequest(tenant_id=tenant_id, company_name="x")
    assert await refusal(auth.quota.GetQuota(quota_service_pb2.GetQuotaRequest(tenant_id=tenant_id))) == (
        "UNAUTHENTICATED",
        "API_KEY_MISSING",
    )
    assert await refusal(auth.tenants.PutTenant(put)) == ("UNAUTHENTICATED", "ADMIN_KEY_MISSING")
    assert await refusal(auth.tenants.PutTenant(put, metadata=admin("guess"))) == ("UNAUTHENTICATED", "ADMIN_KEY_INVALID")
    assert await refusal(auth.tenants.PutTenant(put, metadata=admin(SCHEDULER))) == ("PERMISSION_DENIED", "ADMIN_ROLE_DENIED")


async def test_only_the_scheduler_resets(auth: Auth, tenant_id: str, bq: BigQuery) -> None:
    """Flow 3C's answer; a provisioner is refused and resets nothing."""
    await auth.put(tenant_id)
    insert = f"INSERT INTO tenant_usage_quotas (tenant_id, usage_date, pipelines_run_today) VALUES ('{tenant_id}', '1999-01-01', 7)"
    await bq.query(make_block("old_row", insert, {}), {}, dataset=bq.control())
    count = "SELECT COUNT(*) AS n FROM tenant_usage_quotas WHERE usage_date < DATE_SUB(CURRENT_DATE(), INTERVAL 90 DAY)"
    old = (await bq.query(make_block("count_old", count, {}), {}, dataset=bq.control())).rows[0]["n"]
    request = quota_service_pb2.ResetDailyQuotasRequest()
    denied = await refusal(auth.quota.ResetDailyQuotas(request, metadata=admin()))

    answer = await auth.quota.ResetDailyQuotas(request, metadata=admin(SCHEDULER))

    assert denied == ("PERMISSION_DENIED", "ADMIN_ROLE_DENIED")
    assert (answer.status, answer.records_archived) == ("success", old)
    assert answer.message == f"Reset {answer.records_updated} daily quotas, archived {old} old records"
    assert answer.executed_at.seconds > 0


async def test_the_ledger_is_for_peers_by_certificate(auth: Auth, tenant_id: str) -> None:
    await auth.put(tenant_id, daily_limit=1)
    request = ledger_service_pb2.ReserveRequest(tenant_id=tenant_id, reservation_id=str(uuid.uuid4()))
    assert await refusal(auth.ledger_as_gateway.Reserve(request)) == ("PERMISSION_DENIED", "CALLER_DENIED")
    slot = await auth.ledger.Reserve(request)
    assert slot.usage_date == datetime.now(UTC).date().isoformat()
    another = ledger_service_pb2.ReserveRequest(tenant_id=tenant_id, reservation_id=str(uuid.uuid4()))
    assert await refusal(auth.ledger.Reserve(another)) == ("RESOURCE_EXHAUSTED", "DAILY_LIMIT_REACHED")
    check = ledger_service_pb2.CheckReservationsRequest(reservation_ids=[request.reservation_id, another.reservation_id])
    assert await refusal(auth.ledger_as_gateway.CheckReservations(check)) == ("PERMISSION_DENIED", "CALLER_DENIED")
    assert list((await auth.ledger.CheckReservations(check)).held_reservation_ids) == [request.reservation_id]
    too_many = ledger_service_pb2.CheckReservationsRequest(reservation_ids=["x"] * 10_001)
    assert await refusal(auth.ledger.CheckReservations(too_many)) == ("INVALID_ARGUMENT", "BAD_FIELD")


async def test_peers_ask_with_the_hash(auth: Auth, tenant_id: str) -> None:
    await auth.put(tenant_id)
    key = await auth.issue(tenant_id)
    request = authentication_service_pb2.AuthenticateApiKeyRequest(api_key_sha256=sha256(key.api_key.encode()).hexdigest())
    answer = await auth.authentication.AuthenticateApiKey(request)
    assert (answer.tenant_id, answer.api_key_id, answer.tenant_active, answer.subscription_active) == (
        tenant_id,
        key.api_key_id,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"company_name": ""}, "company_name"),
        ({"company_name": "x" * 201}, "company_name"),
        ({"admin_email": "nobody"}, "admin_email"),
        ({"status": "'; DROP TABLE tenant_profiles; --"}, "status"),
        ({"subscription_status": "active"}, "subscription_status"),
        ({"daily_limit": -1}, "daily_limit"),
        ({"tenant_id": "tenants"}, "tenant_id"),
        ({"tenant_id": "information_schema"}, "tenant_id"),
        ({"tenant_id": "Robert'); DROP TABLE"}, "tenant_id"),
        ({"tenant_id": "ab"}, "tenant_id"),
    ],
)
async def test_bad_input_names_its_field_and_changes_nothing(auth: Auth, tenant_id: str, fields: dict[str, Any], field: str) -> None:
    request = tenant_service_pb2.PutTenantRequest(**{"tenant_id": tenant_id, "company_name": "Acme", **fields})
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await auth.tenants.PutTenant(request, metadata=admin())
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (refused.value.details() or "").startswith(f"{field}: ")
    assert await refusal(auth.issue(tenant_id)) == ("NOT_FOUND", "TENANT_NOT_FOUND")


async def test_a_bad_scope_a_past_date_and_a_bad_user_are_refused(auth: Auth, tenant_id: str) -> None:
    await auth.put(tenant_id)
    key = await auth.issue(tenant_id)
    assert await refusal(auth.issue(tenant_id, scopes=["everything"])) == ("INVALID_ARGUMENT", "BAD_FIELD")
    assert await refusal(auth.issue(tenant_id, expires_at=stamp(hours=-1))) == ("INVALID_ARGUMENT", "BAD_FIELD")
    assert await refusal(auth.usage(tenant_id, key.api_key, ("x-user-id", "u" * 129))) == ("INVALID_ARGUMENT", "BAD_FIELD")


async def test_a_guesser_holds_up_no_good_key_behind_the_same_address(auth: Auth, tenant_id: str) -> None:
    """Of tenants or operators; and mistyped keys cost no statement."""
    await auth.put(tenant_id)
    key = await auth.issue(tenant_id)
    same = ("x-forwarded-for", "9.9.9.9, 203.0.113.7")
    listing = api_key_service_pb2.ListApiKeysRequest(tenant_id=tenant_id)
    before = asked("find_key_holders")
    for number in range(300):
        refused = auth.usage(tenant_id, f"{tenant_id}_api_v1_{number:038}", same)
        assert await refusal(refused) == ("UNAUTHENTICATED", "API_KEY_INVALID")
        refused = auth.keys.ListApiKeys(listing, metadata=[*admin(f"guess {number}"), same])
        assert await refusal(refused) == ("UNAUTHENTICATED", "ADMIN_KEY_INVALID")
    assert asked("find_key_holders") == before
    assert (await auth.keys.ListApiKeys(listing, metadata=[*admin(), same])).api_keys
    assert (await auth.usage(tenant_id, key.api_key, same)).tenant_id == tenant_id


def stamp(*, hours: float) -> Timestamp:
    value = Timestamp()
    value.FromDatetime(datetime.now(UTC) + timedelta(hours=hours))
    return value
