"""Auth's RPCs: proto in, domain call, proto out."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

import grpc
from convergence.auth.v1 import (
    api_key_pb2,
    api_key_service_pb2,
    api_key_service_pb2_grpc,
    authentication_service_pb2,
    authentication_service_pb2_grpc,
    quota_service_pb2,
    quota_service_pb2_grpc,
    tenant_pb2,
    tenant_service_pb2,
    tenant_service_pb2_grpc,
)
from google.protobuf.timestamp_pb2 import Timestamp

from services.auth.key_changes import KeyChanges
from services.auth.ledger import Ledger
from services.auth.quota import left, next_day, next_month, next_run
from services.auth.store import AuthStore, StoredKey
from services.auth.tenants import TenantSpec, check_scopes, check_tenant
from services.platform.access import Authenticator
from services.platform.api_keys import hash_key, new_api_key
from services.platform.clock import Clock, utc_day
from services.platform.errors import FailedPrecondition, InvalidArgument, NotFound
from services.platform.stamps import to_datetime, to_timestamp

DEFAULT_OVERLAP, LONGEST_OVERLAP = timedelta(days=1), timedelta(days=30)
"""How long a rotated key goes on working."""

type Context = grpc.aio.ServicerContext[Any, Any]


class TenantServicer(tenant_service_pb2_grpc.TenantServiceServicer):
    """See `tenant_service.proto`."""

    def __init__(self, store: AuthStore, clock: Clock, changes: KeyChanges) -> None:
        self._store = store
        self._clock = clock
        self._changes = changes
        self._one_at_a_time = asyncio.Lock()

    async def PutTenant(self, request: tenant_service_pb2.PutTenantRequest, context: Context) -> tenant_service_pb2.PutTenantResponse:
        """See the proto. Raises InvalidArgument."""
        spec = TenantSpec(
            tenant_id=request.tenant_id,
            company_name=request.company_name,
            admin_email=request.admin_email,
            status=request.status or "ACTIVE",
            plan_name=request.plan_name or "STANDARD",
            subscription_status=request.subscription_status or "ACTIVE",
            daily_limit=request.daily_limit if request.HasField("daily_limit") else None,
            monthly_limit=request.monthly_limit if request.HasField("monthly_limit") else None,
            concurrent_limit=request.concurrent_limit if request.HasField("concurrent_limit") else None,
        )
        check_tenant(spec)
        # Provisioning is rare; one at a time spares the transactions their conflicts.
        async with self._one_at_a_time:
            now = self._clock.now()
            known = await self._store.find_tenant(spec.tenant_id)
            await self._store.put_tenant(spec, now, utc_day(now))
        self._changes.announce(spec.tenant_id)
        tenant = tenant_pb2.Tenant(
            tenant_id=spec.tenant_id,
            company_name=spec.company_name,
            admin_email=spec.admin_email,
            status=spec.status,
            plan_name=spec.plan_name,
            subscription_status=spec.subscription_status,
            daily_limit=spec.daily_limit,
            monthly_limit=spec.monthly_limit,
            concurrent_limit=spec.concurrent_limit,
            created_at=to_timestamp(known.created_at if known else now),
            updated_at=to_timestamp(now),
        )
        return tenant_service_pb2.PutTenantResponse(tenant=tenant, action="UPDATED" if known else "CREATED")


class ApiKeyServicer(api_key_service_pb2_grpc.ApiKeyServiceServicer):
    """See `api_key_service.proto`."""

    def __init__(self, store: AuthStore, clock: Clock, changes: KeyChanges) -> None:
        self._store = store
        self._clock = clock
        self._changes = changes

    async def CreateApiKey(
        self, request: api_key_service_pb2.CreateApiKeyRequest, context: Context
    ) -> api_key_service_pb2.CreateApiKeyResponse:
        """See the proto. Raises InvalidArgument, NotFound."""
        now = self._clock.now()
        scopes = tuple(request.scopes)
        check_scopes(scopes)
        expires_at = self._expiry(request, now)
        api_key = new_api_key(request.tenant_id)
        stored = StoredKey(
            api_key_id=str(uuid.uuid4()),
            tenant_id=request.tenant_id,
            scopes=scopes,
            is_active=True,
            expires_at=expires_at,
            created_at=now,
            last_used_at=None,
        )
        # Nothing inserted: there is no such tenant, or the statement ran before its answer was lost.
        inserted = await self._store.insert_api_key(stored, hash_key(api_key))
        if not inserted and not await self._store.find_key_holders([hash_key(api_key)], now):
            raise NotFound("TENANT_NOT_FOUND", f"There is no tenant {request.tenant_id}. Provision it with PUT first.")
        return api_key_service_pb2.CreateApiKeyResponse(
            api_key_id=stored.api_key_id,
            api_key=api_key,
            tenant_id=stored.tenant_id,
            scopes=scopes,
            expires_at=to_timestamp(expires_at),
        )

    async def RotateApiKey(
        self, request: api_key_service_pb2.RotateApiKeyRequest, context: Context
    ) -> api_key_service_pb2.RotateApiKeyResponse:
        """See the proto. Raises InvalidArgument, NotFound, FailedPrecondition."""
        now = self._clock.now()
        overlap = timedelta(seconds=request.overlap_seconds) if request.HasField("overlap_seconds") else DEFAULT_OVERLAP
        if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
            raise InvalidArgument("overlap_seconds", f"use 0 to {round(LONGEST_OVERLAP.total_seconds())}.")
        api_key = new_api_key(request.tenant_id)
        new = StoredKey(
            api_key_id=str(uuid.uuid4()),
            tenant_id=request.tenant_id,
            scopes=(),
            is_active=True,
            expires_at=self._expiry(request, now),
            created_at=now,
            last_used_at=None,
        )
        await self._store.rotate_api_key(request.api_key_id, new, hash_key(api_key), old_ends_at=now + overlap)
        self._changes.announce(request.tenant_id)
        # Read back: after a lost reply nobody else knows whether it was done.
        keys = {key.api_key_id: key for key in await self._store.list_api_keys(request.tenant_id)}
        old, made = keys.get(request.api_key_id), keys.get(new.api_key_id)
        if old is None:
            raise _no_such_key()
        if made is None:
            raise FailedPrecondition("API_KEY_NOT_ACTIVE", "This key was revoked or has expired, so it cannot be rotated. Issue a new one.")
        return api_key_service_pb2.RotateApiKeyResponse(
            api_key_id=made.api_key_id,
            api_key=api_key,
            tenant_id=made.tenant_id,
            scopes=made.scopes,
            expires_at=to_timestamp(made.expires_at),
            rotated_api_key=_key_to_proto(old),
        )

    @staticmethod
    def _expiry(request: Any, now: datetime) -> datetime | None:
        expires_at = _moment("expires_at", request.expires_at) if request.HasField("expires_at") else None
        if expires_at is not None and expires_at <= now:
            raise InvalidArgument("expires_at", "give a moment in the future, or leave it out.")
        return expires_at

    async def ListApiKeys(
        self, request: api_key_service_pb2.ListApiKeysRequest, context: Context
    ) -> api_key_service_pb2.ListApiKeysResponse:
        """See the proto. Raises NotFound."""
        keys = await self._store.list_api_keys(request.tenant_id)
        if not keys and await self._store.find_tenant(request.tenant_id) is None:
            raise NotFound("TENANT_NOT_FOUND", f"There is no tenant {request.tenant_id}.")
        return api_key_service_pb2.ListApiKeysResponse(api_keys=map(_key_to_proto, keys))

    async def RevokeApiKey(
        self, request: api_key_service_pb2.RevokeApiKeyRequest, context: Context
    ) -> api_key_service_pb2.RevokeApiKeyResponse:
        """See the proto. Raises NotFound."""
        await self._store.revoke_api_key(request.tenant_id, request.api_key_id)
        self._changes.announce(request.tenant_id)
        for key in await self._store.list_api_keys(request.tenant_id):
            if key.api_key_id == request.api_key_id:
                return api_key_service_pb2.RevokeApiKeyResponse(api_key=_key_to_proto(key))
        raise _no_such_key()


class QuotaServicer(quota_service_pb2_grpc.QuotaServiceServicer):
    """See `quota_service.proto`."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def GetQuota(self, request: quota_service_pb2.GetQuotaRequest, context: Context) -> quota_service_pb2.GetQuotaResponse:
        """See the proto."""
        usage, now = await self._ledger.usage(request.tenant_id), self._clock.now()
        refusing, told = next_run(usage, now)
        return quota_service_pb2.GetQuotaResponse(
            tenant_id=usage.tenant_id,
            usage_date=usage.usage_date.isoformat(),
            pipelines_run_today=usage.pipelines_run_today,
            pipelines_succeeded_today=usage.pipelines_succeeded_today,
            pipelines_failed_today=usage.pipelines_failed_today,
            pipelines_run_month=usage.pipelines_run_month,
            concurrent_pipelines_running=usage.concurrent_pipelines_running,
            daily_limit=usage.daily_limit,
            monthly_limit=usage.monthly_limit,
            concurrent_limit=usage.concurrent_limit,
            remaining_today=left(usage.pipelines_run_today, usage.daily_limit),
            remaining_this_month=left(usage.pipelines_run_month, usage.monthly_limit),
            free_slots=left(usage.concurrent_pipelines_running, usage.concurrent_limit),
            daily_resets_at=to_timestamp(next_day(now)),
            monthly_resets_at=to_timestamp(next_month(now)),
            refusing_limit=refusing or "",
            message=told,
        )

    async def ResetDailyQuotas(
        self, request: quota_service_pb2.ResetDailyQuotasRequest, context: Context
    ) -> quota_service_pb2.ResetDailyQuotasResponse:
        """See the proto."""
        reset = await self._ledger.reset()
        return quota_service_pb2.ResetDailyQuotasResponse(
            status="success",
            records_updated=reset.records_updated,
            records_archived=reset.records_archived,
            message=f"Reset {reset.records_updated} daily quotas, archived {reset.records_archived} old records",
            executed_at=to_timestamp(reset.executed_at),
        )


class AuthenticationServicer(authentication_service_pb2_grpc.AuthenticationServiceServicer):
    """See `authentication_service.proto`."""

    def __init__(self, authenticator: Authenticator, changes: KeyChanges) -> None:
        self._authenticator = authenticator
        self._changes = changes

    async def WatchKeyChanges(
        self, request: authentication_service_pb2.WatchKeyChangesRequest, context: Context
    ) -> AsyncIterator[authentication_service_pb2.KeyChange]:
        """See the proto."""
        async with aclosing(self._changes.listen()) as changes:
            async for tenant_id in changes:
                yield authentication_service_pb2.KeyChange(tenant_id=tenant_id)

    async def AuthenticateApiKey(
        self, request: authentication_service_pb2.AuthenticateApiKeyRequest, context: Context
    ) -> authentication_service_pb2.AuthenticateApiKeyResponse:
        """See the proto. Raises Unauthenticated."""
        holder = await self._authenticator.authenticate(request.api_key_sha256)
        return authentication_service_pb2.AuthenticateApiKeyResponse(
            tenant_id=holder.tenant_id,
            api_key_id=holder.api_key_id,
            scopes=holder.scopes,
            tenant_active=holder.tenant_active,
            subscription_active=holder.subscription_active,
            expires_at=to_timestamp(holder.expires_at),
        )


def _no_such_key() -> NotFound:
    return NotFound("API_KEY_NOT_FOUND", "This tenant has no key of this id. List its keys to find it.")


def _key_to_proto(key: StoredKey) -> api_key_pb2.ApiKey:
    return api_key_pb2.ApiKey(
        api_key_id=key.api_key_id,
        tenant_id=key.tenant_id,
        scopes=key.scopes,
        is_active=key.is_active,
        expires_at=to_timestamp(key.expires_at),
        created_at=to_timestamp(key.created_at),
        last_used_at=to_timestamp(key.last_used_at),
    )


def _moment(field: str, stamp: Timestamp) -> datetime:
    try:
        return to_datetime(stamp)
    except (ValueError, OverflowError):
        raise InvalidArgument(field, "give a time such as 2026-12-31T23:59:59Z.") from None
