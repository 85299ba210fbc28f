"""TenantCheckService, for the executor: decode, call the store, encode."""

from typing import Any

import grpc
from convergence.auth.v1 import tenant_check_service_pb2 as messages
from convergence.auth.v1.tenant_check_service_pb2_grpc import TenantCheckServiceServicer

from services.auth.tenants.store import TenantStore

type Context = grpc.aio.ServicerContext[Any, Any]


class TenantCheckServicer(TenantCheckServiceServicer):
    """TenantCheckService, as the proto describes it."""

    def __init__(self, store: TenantStore) -> None:
        self._store = store

    async def CheckTenant(self, request: messages.CheckTenantRequest, context: Context) -> messages.CheckTenantResponse:
        """Raises NotFound, Unavailable."""
        await self._store.get(request.tenant_id)
        return messages.CheckTenantResponse()
