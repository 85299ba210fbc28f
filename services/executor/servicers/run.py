"""RunService, for the scheduler: decode, call the domain, encode."""

import re
from datetime import UTC, date
from typing import Any, Final

import grpc
from convergence.executor.v1 import run_service_pb2 as messages
from convergence.executor.v1.run_service_pb2_grpc import RunServiceServicer

from services.executor.runs.cancel_tenant import TenantCanceller
from services.executor.runs.prepared import RunPreparer, RunRequest
from services.executor.runs.reconcile import Reconciler
from services.executor.runs.start import RunStarter
from services.executor.runs.states import ReportedState, RunKey, RunStates
from services.executor.templates.name import PipelineName
from services.executor.templates.parameters import ParameterType, parse
from services.platform.errors import InvalidArgument
from services.platform.rpc.structs import to_mapping

type Context = grpc.aio.ServicerContext[Any, Any]

MAX_RUNS = 1_000
TRIGGER_TYPES = ("scheduler", "backfill")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

SENT_BEFORE: Final = "grpc-previous-rpc-attempts"
"""The metadata by which gRPC says that it repeats a call."""


class RunServicer(RunServiceServicer):
    """RunService, as the proto describes it."""

    def __init__(
        self, *, preparer: RunPreparer, starter: RunStarter, states: RunStates, tenants: TenantCanceller, reconciler: Reconciler
    ) -> None:
        self._preparer, self._starter, self._states = preparer, starter, states
        self._tenants, self._reconciler = tenants, reconciler

    async def CheckPipeline(self, request: messages.CheckPipelineRequest, context: Context) -> messages.CheckPipelineResponse:
        """Checks that a pipeline exists and accepts these parameters. Raises NotFound, InvalidArgument."""
        wanted = RunRequest(
            pipeline_logging_id="",
            tenant_id=request.tenant_id,
            name=PipelineName.of(request.provider, request.domain, request.template),
            given=to_mapping(request.parameters, "parameters"),
            trigger_type="scheduler",
        )
        template = self._preparer.prepare(wanted).template
        dates = [spec.name for spec in template.parameters if spec.type is ParameterType.DATE]
        return messages.CheckPipelineResponse(
            pipeline_id=template.name.hyphenated, date_parameters=dates, covers_months=template.covers_months
        )

    async def StartRun(self, request: messages.StartRunRequest, context: Context) -> messages.StartRunResponse:
        """Starts an attempt of a scheduled run, once. Raises as `RunStarter.start_attempt` does."""
        # The first of the calls that gRPC makes of one may have arrived.
        is_new = request.is_new and not any(key == SENT_BEFORE for key, _ in context.invocation_metadata() or ())
        return messages.StartRunResponse(status=await self._starter.start_attempt(_to_request(request), is_new=is_new))

    async def GetRunStates(self, request: messages.GetRunStatesRequest, context: Context) -> messages.GetRunStatesResponse:
        """The states of runs, see `RunStates.of`. Raises InvalidArgument, or Unavailable if auth does not answer."""
        if len(request.runs) > MAX_RUNS:
            raise InvalidArgument("runs", f"ask about at most {MAX_RUNS} at once.")
        keys = [RunKey(tenant_id=key.tenant_id, pipeline_logging_id=key.pipeline_logging_id) for key in request.runs]
        states = zip(keys, await self._states.of(keys), strict=True)
        return messages.GetRunStatesResponse(states=[_state(key, state) for key, state in states])

    async def CancelTenantRuns(self, request: messages.CancelTenantRunsRequest, context: Context) -> messages.CancelTenantRunsResponse:
        """Cancels the active runs of an offboarded tenant, see `TenantCanceller.cancel_all`. Raises Unavailable."""
        return messages.CancelTenantRunsResponse(cancelled_count=await self._tenants.cancel_all(request.tenant_id))

    async def ReconcileRuns(self, request: messages.ReconcileRunsRequest, context: Context) -> messages.ReconcileRunsResponse:
        """Ends runs whose reservation has expired, now. Raises Unavailable if auth does not answer."""
        return messages.ReconcileRunsResponse(settled_count=len(await self._reconciler.reconcile_expired()))


def _state(key: RunKey, state: ReportedState) -> messages.RunState:
    return messages.RunState(
        pipeline_logging_id=key.pipeline_logging_id,
        status=state.status,
        error_message=state.error_message,
        is_final=state.is_final,
    )


def _to_request(request: messages.StartRunRequest) -> RunRequest:
    if not _UUID.fullmatch(request.pipeline_logging_id):
        raise InvalidArgument("pipeline_logging_id", "use a UUID in lower case.")
    if request.attempt < 1:
        raise InvalidArgument("attempt", "use 1 for the first attempt, then 2, 3, ...")
    if request.trigger_type not in TRIGGER_TYPES:
        raise InvalidArgument("trigger_type", f"use one of {', '.join(TRIGGER_TYPES)}.")
    return RunRequest(
        pipeline_logging_id=request.pipeline_logging_id,
        tenant_id=request.tenant_id,
        name=PipelineName.of(request.provider, request.domain, request.template),
        given=to_mapping(request.parameters, "parameters"),
        trigger_type=request.trigger_type,
        trigger_by=request.trigger_by,
        run_id=request.run_id,
        attempt=request.attempt,
        fire_day=_day(request.as_of_date),
        start_by=request.start_by.ToDatetime(UTC) if request.HasField("start_by") else None,
    )


def _day(text: str) -> date:
    try:
        day = parse(ParameterType.DATE, text)
    except ValueError as error:
        raise InvalidArgument("as_of_date", str(error)) from error
    if not isinstance(day, date):
        raise TypeError("a date parameter is a date")
    return day
