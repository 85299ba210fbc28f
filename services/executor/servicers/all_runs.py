"""AllRunsService: decode, call the store, encode."""

from datetime import UTC, datetime, time, timedelta
from typing import Any, Protocol

import grpc
from convergence.executor.v1 import all_runs_service_pb2 as messages
from convergence.executor.v1.all_runs_service_pb2_grpc import AllRunsServiceServicer

from services.executor.all_runs.store import AllRuns
from services.executor.all_runs.tenant_run import AllRunsFilter, TenantRun, last_days
from services.executor.servicers.from_request import to_day, to_pipeline, to_status
from services.platform.clock import Clock
from services.platform.rpc.paging import from_token, page_size, to_token
from services.platform.timestamps import to_timestamp

type Context = grpc.aio.ServicerContext[Any, Any]


class Tenants(Protocol):
    """Which tenants exist."""

    async def require(self, tenant_id: str) -> None:
        """Raises NotFound if there is no such tenant, Unavailable if that cannot be known now."""
        ...


class AllRunsServicer(AllRunsServiceServicer):
    """AllRunsService, as the proto describes it."""

    def __init__(self, runs: AllRuns, tenants: Tenants, clock: Clock) -> None:
        self._runs, self._tenants, self._clock = runs, tenants, clock

    async def ListAllRuns(self, request: messages.ListAllRunsRequest, context: Context) -> messages.ListAllRunsResponse:
        """Raises InvalidArgument, NotFound, Unavailable."""
        size, pipeline = page_size(request.page_size), to_pipeline(request.pipeline)
        began_from, began_before = last_days(self._clock.now())
        if day := to_day(request.date, "date"):
            began_from = datetime.combine(day, time(), UTC)
            began_before = began_from + timedelta(days=1)
        wanted = AllRunsFilter(
            tenant_id=request.tenant_id or None,
            status=to_status(request.status),
            pipeline_id=pipeline.hyphenated if pipeline else None,
            began_from=began_from,
            began_before=began_before,
            after=from_token(request.page_token),
        )
        # One more than requested, to know whether there is a next page.
        runs = await self._runs.list_runs(wanted, limit=size + 1)
        if not runs and request.tenant_id:
            await self._tenants.require(request.tenant_id)
        token = to_token(runs[size - 1].started_at, runs[size - 1].pipeline_logging_id) if len(runs) > size else ""
        return messages.ListAllRunsResponse(runs=[_to_proto(run) for run in runs[:size]], next_page_token=token)


def _to_proto(run: TenantRun) -> messages.TenantRun:
    return messages.TenantRun(
        pipeline_logging_id=run.pipeline_logging_id,
        tenant_id=run.tenant_id,
        pipeline_id=run.pipeline_id,
        status=run.status,
        trigger_type=run.trigger_type,
        started_at=to_timestamp(run.started_at),
        completed_at=to_timestamp(run.completed_at),
        error_message=run.error_message,
        cost_usd=run.cost_usd,
    )
