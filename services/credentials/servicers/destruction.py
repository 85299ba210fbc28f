"""DestructionService, for the scheduler: decode, call the domain, encode."""

from typing import Any

import grpc
from convergence.credentials.v1 import destruction_service_pb2 as messages
from convergence.credentials.v1.destruction_service_pb2_grpc import DestructionServiceServicer

from services.credentials.set_credentials import CredentialChanges

type Context = grpc.aio.ServicerContext[Any, Any]


class DestructionServicer(DestructionServiceServicer):
    """DestructionService, as the proto describes it."""

    def __init__(self, changes: CredentialChanges) -> None:
        self._changes = changes

    async def DestroyTenantData(self, request: messages.DestroyTenantDataRequest, context: Context) -> messages.DestroyTenantDataResponse:
        """Raises FailedPrecondition, Unavailable."""
        done = await self._changes.destroy(request.tenant_id, with_dataset=request.delete_dataset)
        return messages.DestroyTenantDataResponse(providers=done.providers, dataset=done.dataset)
