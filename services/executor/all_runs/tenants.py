"""Which tenants exist, as auth knows it: the executor may not read their profiles."""

import grpc
from convergence.auth.v1.tenant_check_service_pb2 import CheckTenantRequest
from convergence.auth.v1.tenant_check_service_pb2_grpc import TenantCheckServiceStub

from services.platform.errors import Internal


class AuthTenants:
    """A client of auth's TenantCheckService."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = TenantCheckServiceStub(channel)

    async def require(self, tenant_id: str) -> None:
        """Raises NotFound if there is no such tenant, Unavailable if auth does not answer."""
        try:
            await self._stub.CheckTenant(CheckTenantRequest(tenant_id=tenant_id))
        except Internal as error:
            cause = error.__cause__
            if not (isinstance(cause, grpc.aio.AioRpcError) and cause.code() is grpc.StatusCode.UNIMPLEMENTED):
                raise
            # An auth of the release before, during an upgrade: it cannot say, and an empty list is what that release answered.
