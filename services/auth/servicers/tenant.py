"""TenantService: decode, call the domain, encode."""

import asyncio
from datetime import datetime
from typing import Any

import grpc
from convergence.auth.v1 import tenant_pb2
from convergence.auth.v1 import tenant_service_pb2 as messages
from convergence.auth.v1.quota_service_pb2 import GetQuotaResponse
from convergence.auth.v1.tenant_service_pb2_grpc import TenantServiceServicer

from services.auth.key_change_feed import KeyChangeFeed
from services.auth.ledger import Ledger
from services.auth.servicers.quota import to_quota
from services.auth.tenants.location import TenantLocations, refuse_move
from services.auth.tenants.spec import OFFBOARDED, TenantSpec, check_filter, check_tenant, refuse_offboarded
from services.auth.tenants.store import StoredTenant, TenantFilter, TenantStore, TenantSummary
from services.platform.clock import Clock, utc_day
from services.platform.plan import PLAN_LIMITS
from services.platform.rpc.paging import from_key_token, page_size, to_key_token
from services.platform.timestamps import to_timestamp

type Context = grpc.aio.ServicerContext[Any, Any]

RUN_LIMITS = ("daily_limit", "monthly_limit", "concurrent_limit")


class TenantServicer(TenantServiceServicer):
    """TenantService, as the proto describes it."""

    def __init__(self, store: TenantStore, ledger: Ledger, clock: Clock, changes: KeyChangeFeed, locations: TenantLocations) -> None:
        self._store, self._ledger, self._clock, self._changes, self._locations = store, ledger, clock, changes, locations
        self._one_at_a_time = asyncio.Lock()

    async def PutTenant(self, request: messages.PutTenantRequest, context: Context) -> messages.PutTenantResponse:
        """Raises InvalidArgument, FailedPrecondition."""
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
            monthly_cost_limit_usd=request.monthly_cost_limit_usd or None,
            location=self._locations.check(request.location),
            **{field.name: value for field, value in request.ListFields() if field.name in PLAN_LIMITS},
        )
        check_tenant(spec)
        # Provisioning is rare; one at a time, so that the transactions do not conflict.
        async with self._one_at_a_time:
            now, unmade_before = self._clock.now(), None
            if spec.location:
                unmade_before = await self._locations.require_free(await self._store.find(spec.tenant_id), spec.location, now)
            done = await self._store.put(spec, now, utc_day(now), unmade_before=unmade_before)
        if done.is_offboarded:
            refuse_offboarded(spec.tenant_id, OFFBOARDED)
        location = done.location or self._locations.usual
        refuse_move(spec.tenant_id, location, spec.location or location)
        self._changes.publish(spec.tenant_id)
        return messages.PutTenantResponse(
            tenant=_to_proto(spec, location, created_at=done.created_at, updated_at=now),
            action="CREATED" if done.created_at == now else "UPDATED",
        )

    async def GetTenant(self, request: messages.GetTenantRequest, context: Context) -> tenant_pb2.Tenant:
        """Raises NotFound."""
        return _stored_to_proto(await self._store.get(request.tenant_id), self._locations.usual)

    async def GetTenantQuota(self, request: messages.GetTenantQuotaRequest, context: Context) -> GetQuotaResponse:
        """Raises NotFound."""
        await self._store.get(request.tenant_id)
        return to_quota(await self._ledger.usage(request.tenant_id), self._clock.now())

    async def ListTenants(self, request: messages.ListTenantsRequest, context: Context) -> messages.ListTenantsResponse:
        """Ordered by tenant_id. Raises InvalidArgument."""
        size, after, now = page_size(request.page_size), from_key_token(request.page_token), self._clock.now()
        check_filter(request.status, request.search)
        wanted = TenantFilter(status=request.status or None, search=request.search or None)
        # One more than requested, to know whether there is a next page.
        found = await self._store.page(wanted, after=after, limit=size + 1, now=now, today=utc_day(now))
        token = to_key_token(found[size - 1].tenant.tenant_id) if len(found) > size else ""
        tenants = [_summary_to_proto(one, self._locations.usual) for one in found[:size]]
        return messages.ListTenantsResponse(tenants=tenants, next_page_token=token)

    async def SuspendTenant(self, request: messages.SuspendTenantRequest, context: Context) -> tenant_pb2.Tenant:
        """Raises NotFound, FailedPrecondition."""
        await self._store.suspend(request.tenant_id, self._clock.now())
        return await self._changed(request.tenant_id)

    async def ResumeTenant(self, request: messages.ResumeTenantRequest, context: Context) -> tenant_pb2.Tenant:
        """Raises NotFound, FailedPrecondition."""
        await self._store.resume(request.tenant_id, self._clock.now())
        return await self._changed(request.tenant_id)

    async def _changed(self, tenant_id: str) -> tenant_pb2.Tenant:
        self._changes.publish(tenant_id)
        tenant = await self._store.get(tenant_id)
        refuse_offboarded(tenant_id, tenant.status)
        return _stored_to_proto(tenant, self._locations.usual)


def _summary_to_proto(summary: TenantSummary, usual_location: str) -> messages.TenantSummary:
    return messages.TenantSummary(
        tenant=_stored_to_proto(summary.tenant, usual_location),
        runs_today=summary.runs_today,
        runs_month=summary.runs_month,
        cost_month_usd=summary.cost_month_usd,
        active_keys=summary.active_keys,
        oldest_key_created_at=to_timestamp(summary.oldest_key_created_at),
        last_completed_at=to_timestamp(summary.last_completed_at),
        last_failed_at=to_timestamp(summary.last_failed_at),
        last_failure=summary.last_failure or "",
        last_failed_run=summary.last_failed_run or "",
    )


def _stored_to_proto(tenant: StoredTenant, usual_location: str) -> tenant_pb2.Tenant:
    return _to_proto(tenant, tenant.location or usual_location, created_at=tenant.created_at, updated_at=tenant.updated_at)


def _to_proto(spec: TenantSpec, location: str, *, created_at: datetime | None, updated_at: datetime | None) -> tenant_pb2.Tenant:
    """Fields of None stay absent."""
    return tenant_pb2.Tenant(
        tenant_id=spec.tenant_id,
        company_name=spec.company_name,
        admin_email=spec.admin_email,
        status=spec.status,
        plan_name=spec.plan_name,
        subscription_status=spec.subscription_status,
        monthly_cost_limit_usd=spec.monthly_cost_limit_usd,
        location=location,
        **{name: getattr(spec, name) for name in (*RUN_LIMITS, *PLAN_LIMITS)},
        created_at=to_timestamp(created_at),
        updated_at=to_timestamp(updated_at),
    )
