"""OffboardingService: decode, call the domain, encode."""

from typing import Any

import grpc
from convergence.scheduler.v1 import offboarding_service_pb2 as messages
from convergence.scheduler.v1.offboarding_service_pb2_grpc import OffboardingServiceServicer

from services.platform.timestamps import to_timestamp
from services.scheduler.offboarding.ends import deletes_dataset, export_prefix
from services.scheduler.offboarding.process import TenantOffboarding

type Context = grpc.aio.ServicerContext[Any, Any]


class OffboardingServicer(OffboardingServiceServicer):
    """OffboardingService, as the proto describes it."""

    def __init__(self, offboarding: TenantOffboarding) -> None:
        self._offboarding = offboarding

    async def OffboardTenant(self, request: messages.OffboardTenantRequest, context: Context) -> messages.OffboardTenantResponse:
        """Raises InvalidArgument, NotFound, FailedPrecondition, Unavailable."""
        delete_dataset = deletes_dataset(request.tenant_id, confirm=request.confirm, dataset=request.dataset)
        export_uri = export_prefix(request.export_uri)
        proof = await self._offboarding.offboard(request.tenant_id, delete_dataset=delete_dataset, export_uri=export_uri)
        return messages.OffboardTenantResponse(
            tenant_id=request.tenant_id,
            offboarded_at=to_timestamp(proof.closed_at),
            keys_revoked=proof.keys_revoked,
            schedules_stopped=proof.schedules_stopped,
            runs_dropped=proof.runs_dropped,
            runs_cancelled=proof.runs_cancelled,
            credentials_destroyed=proof.credentials_destroyed,
            dataset=proof.dataset or "",
            exported=[messages.ExportedTable(table_name=one.table_name, row_count=one.row_count, uri=one.uri) for one in proof.exported],
        )
