"""LocationService, for credentials: decode, call the domain, encode."""

from typing import Any

import grpc
from convergence.auth.v1 import location_service_pb2 as messages
from convergence.auth.v1.location_service_pb2_grpc import LocationServiceServicer

from services.auth.tenants.store import TenantStore
from services.platform.clock import Clock

type Context = grpc.aio.ServicerContext[Any, Any]


class LocationServicer(LocationServiceServicer):
    """LocationService, as the proto describes it."""

    def __init__(self, store: TenantStore, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def FixLocation(self, request: messages.FixLocationRequest, context: Context) -> messages.FixLocationResponse:
        """Raises NotFound."""
        return messages.FixLocationResponse(location=await self._store.fix_location(request.tenant_id, self._clock.now()))
