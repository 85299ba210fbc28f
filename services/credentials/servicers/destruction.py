"""DestructionService, for the scheduler: decode, call the domain, encode."""

from typing import Any

import grpc
from convergence.credentials.v1 import destruction_service_pb2 as messages
from convergence.credentials.v1.destruction_service_pb2_grpc import DestructionServiceServicer

from services.credentials.exports.process import DatasetExports
from services.credentials.set_credentials import CredentialChanges

type Context = grpc.aio.ServicerContext[Any, Any]


class DestructionServicer(DestructionServiceServicer):
    """DestructionService, as the proto describes it."""

    def __init__(self, changes: CredentialChanges, exports: DatasetExports) -> None:
        self._changes, self._exports = changes, exports

    async def DestroyTenantData(self, request: messages.DestroyTenantDataRequest, context: Context) -> messages.DestroyTenantDataResponse:
        """Raises FailedPrecondition, Unavailable."""
        done = await self._changes.destroy(request.tenant_id, with_dataset=request.delete_dataset)
        return messages.DestroyTenantDataResponse(providers=done.providers, dataset=done.dataset)

    async def ExportTenantData(self, request: messages.ExportTenantDataRequest, context: Context) -> messages.ExportTenantDataResponse:
        """Raises FailedPrecondition, Unavailable."""
        done = await self._exports.export(request.tenant_id, request.export_uri)
        tables = [messages.ExportedTenantTable(table_name=one.table, row_count=one.rows, uri=one.uri) for one in done]
        return messages.ExportTenantDataResponse(tables=tables)
