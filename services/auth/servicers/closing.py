"""ClosingService, for the scheduler: decode, call the domain, encode."""

from typing import Any

import grpc
from convergence.auth.v1 import closing_service_pb2 as messages
from convergence.auth.v1.closing_service_pb2_grpc import ClosingServiceServicer

from services.auth.key_change_feed import KeyChangeFeed
from services.auth.ledger import Ledger
from services.auth.tenants.store import TenantStore
from services.platform.clock import Clock
from services.platform.timestamps import to_timestamp

type Context = grpc.aio.ServicerContext[Any, Any]


class ClosingServicer(ClosingServiceServicer):
    """ClosingService, as the proto describes it."""

    def __init__(self, store: TenantStore, ledger: Ledger, clock: Clock, changes: KeyChangeFeed) -> None:
        self._store, self._ledger, self._clock, self._changes = store, ledger, clock, changes

    async def CloseTenant(self, request: messages.CloseTenantRequest, context: Context) -> messages.CloseTenantResponse:
        """Raises NotFound."""
        closed = await self._store.close(request.tenant_id, self._clock.now())
        self._changes.publish(request.tenant_id)
        return messages.CloseTenantResponse(
            keys_revoked=closed.keys_revoked,
            closed_at=to_timestamp(closed.closed_at),
            active_runs=await self._ledger.active_runs(request.tenant_id),
        )
