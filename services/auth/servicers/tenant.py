"""TenantService: decode, call the domain, encode."""

import asyncio
from typing import Any

import grpc
from convergence.auth.v1 import (
    tenant_pb2,
    tenant_service_pb2,
    tenant_service_pb2_grpc,
)

from services.auth.key_change_feed import KeyChangeFeed
from services.auth.store import AuthStore
from services.auth.tenants import TenantSpec, check_tenant
from services.platform.clock import Clock, utc_day
from services.platform.plan import PLAN_LIMITS
from services.platform.timestamps import to_timestamp

type Context = grpc.aio.ServicerContext[Any, Any]


class TenantServicer(tenant_service_pb2_grpc.TenantServiceServicer):
    """TenantService, as the proto describes it."""

    def __init__(self, store: AuthStore, clock: Clock, changes: KeyChangeFeed) -> None:
        self._store = store
        self._clock = clock
        self._changes = changes
        self._one_at_a_time = asyncio.Lock()

    async def PutTenant(self, request: tenant_service_pb2.PutTenantRequest, context: Context) -> tenant_service_pb2.PutTenantResponse:
        """Raises InvalidArgument."""
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
            **{field.name: value for field, value in request.ListFields() if field.name in PLAN_LIMITS},
        )
        check_tenant(spec)
        # Provisioning is rare; one at a time, so that the transactions do not conflict.
        async with self._one_at_a_time:
            now = self._clock.now()
            known = await self._store.find_tenant(spec.tenant_id)
            await self._store.put_tenant(spec, now, utc_day(now))
        self._changes.publish(spec.tenant_id)
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
            monthly_cost_limit_usd=spec.monthly_cost_limit_usd,
            **{name: getattr(spec, name) for name in PLAN_LIMITS},
            created_at=to_timestamp(known.created_at if known else now),
            updated_at=to_timestamp(now),
        )
        return tenant_service_pb2.PutTenantResponse(tenant=tenant, action="UPDATED" if known else "CREATED")
