"""A tenant's location, of auth, which fixes it before the tenant's dataset is made."""

from typing import Protocol

import grpc
from convergence.auth.v1.location_service_pb2 import FixLocationRequest
from convergence.auth.v1.location_service_pb2_grpc import LocationServiceStub

from services.platform.errors import Internal


class Locations(Protocol):
    """Where tenants' datasets are to be made."""

    async def fix(self, tenant_id: str) -> str:
        """The tenant's location, which no call changes afterwards. Raises NotFound, Unavailable."""
        ...


class AuthLocations:
    """A client of auth's LocationService."""

    def __init__(self, channel: grpc.aio.Channel, *, usual: str) -> None:
        """`usual`: the installation's location."""
        self._stub, self._usual = LocationServiceStub(channel), usual

    async def fix(self, tenant_id: str) -> str:
        """As in `Locations`."""
        try:
            answer = await self._stub.FixLocation(FixLocationRequest(tenant_id=tenant_id))
        except Internal as error:
            cause = error.__cause__
            if isinstance(cause, grpc.aio.AioRpcError) and cause.code() is grpc.StatusCode.UNIMPLEMENTED:
                return self._usual  # an auth of the release before, during an upgrade: no tenant of its has another one
            raise
        return str(answer.location)
