"""RunService, for the scheduler: decode, call the domain, encode."""

import asyncio
import re
from collections import defaultdict
from datetime import date
from typing import Any

import grpc
import structlog
from convergence.executor.v1 import run_service_pb2 as messages
from convergence.executor.v1.run_service_pb2_grpc import RunServiceServicer

from services.executor.records import RunEnd, RunStatus
from services.executor.runs.quota import QuotaClient
from services.executor.runs.reconcile import OVERDUE, Reconciler
from services.executor.runs.start import RunRequest, RunStarter
from services.executor.store import Store
from services.executor.templates.name import PipelineName
from services.executor.templates.parameters import ParameterType, parse
from services.platform.errors import InvalidArgument, Unavailable
from services.platform.rpc.structs import to_mapping

_log = structlog.get_logger()

type Context = grpc.aio.ServicerContext[Any, Any]

MAX_RUNS = 1_000
MAX_CONCURRENT_TENANTS = 8
TRIGGER_TYPES = ("scheduler", "backfill")
UNKNOWN = "UNKNOWN"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class RunServicer(RunServiceServicer):
    """RunService, as the proto describes it."""

    def __init__(self, *, starter: RunStarter, quota: QuotaClient, store: Store, reconciler: Reconciler) -> None:
        self._starter, self._quota, self._store, self._reconciler = starter, quota, store, reconciler

    async def CheckPipeline(self, request: messages.CheckPipelineRequest, context: Context) -> messages.CheckPipelineResponse:
        """Checks that a pipeline exists and accepts these parameters. Raises NotFound, InvalidArgument."""
        wanted = RunRequest(
            pipeline_logging_id="",
            tenant_id=request.tenant_id,
            name=PipelineName.of(request.provider, request.domain, request.template),
            given=to_mapping(request.parameters, "parameters"),
            trigger_type="scheduler",
        )
        template, _ = self._starter.check(wanted)
        dates = [spec.name for spec in template.parameters if spec.type is ParameterType.DATE]
        return messages.CheckPipelineResponse(pipeline_id=template.name.hyphenated, date_parameters=dates)

    async def StartRun(self, request: messages.StartRunRequest, context: Context) -> messages.StartRunResponse:
        """Starts an attempt of a scheduled run, once. Raises as `RunStarter.start` does."""
        return messages.StartRunResponse(status=await self._starter.start_once(_to_request(request)))

    async def GetRunStates(self, request: messages.GetRunStatesRequest, context: Context) -> messages.GetRunStatesResponse:
        """The states of runs. A run with a reservation is RUNNING: this process knows its own active runs; one query to auth covers all
        others, of all tenants. The rest is read with one statement a tenant: how a run ended, or that it never began. If that cannot be
        read, the tenant's runs are UNKNOWN and the other tenants' states are still returned. Raises InvalidArgument, or Unavailable if auth
        does not answer.
        """
        if len(request.runs) > MAX_RUNS:
            raise InvalidArgument("runs", f"ask about at most {MAX_RUNS} at once.")
        running = {key.pipeline_logging_id for key in request.runs if self._starter.is_here(key.pipeline_logging_id)}
        if elsewhere := [key.pipeline_logging_id for key in request.runs if key.pipeline_logging_id not in running]:
            running |= await self._quota.held(elsewhere)
        to_read = defaultdict[str, list[str]](list)
        for key in request.runs:
            if key.pipeline_logging_id not in running:
                to_read[key.tenant_id].append(key.pipeline_logging_id)
        room = asyncio.Semaphore(MAX_CONCURRENT_TENANTS)

        async def read(tenant_id: str, runs: list[str]) -> dict[str, RunEnd] | None:
            async with room:
                try:
                    return await self._read(tenant_id, runs)
                except Unavailable:
                    _log.warning("runs_unreadable", tenant_id=tenant_id, runs=len(runs))
                    return None

        tenants = await asyncio.gather(*(read(tenant_id, runs) for tenant_id, runs in to_read.items()))
        ends = dict(zip(to_read, tenants, strict=True))

        def state(key: messages.RunKey) -> messages.RunState:
            run = key.pipeline_logging_id
            if run in running:
                return messages.RunState(pipeline_logging_id=run, status=RunStatus.RUNNING)
            of_tenant = ends[key.tenant_id]
            if of_tenant is None:
                return messages.RunState(pipeline_logging_id=run, status=UNKNOWN)
            return _state(run, of_tenant.get(run))

        return messages.GetRunStatesResponse(states=map(state, request.runs))

    async def ReconcileRuns(self, request: messages.ReconcileRunsRequest, context: Context) -> messages.ReconcileRunsResponse:
        """Ends runs whose reservation has expired, now. Raises Unavailable if auth does not answer."""
        return messages.ReconcileRunsResponse(settled_count=len(await self._reconciler.reconcile_expired()))

    async def _read(self, tenant_id: str, runs: list[str]) -> dict[str, RunEnd]:
        """A tenant's runs; those past their deadline are ended first."""
        ends = await self._store.run_ends(tenant_id, runs, self._reconciler.overdue_since)
        overdue = [run for run, end in ends.items() if end.is_overdue]
        for run, status in (await self._reconciler.fail_overdue(tenant_id, overdue)).items():
            if status is RunStatus.FAILED:
                ends[run] = RunEnd(status=status, error_message=OVERDUE, is_final=False, is_overdue=False)
        return ends


def _state(run: str, end: RunEnd | None) -> messages.RunState:
    if end is None:
        return messages.RunState(pipeline_logging_id=run)
    why = (end.error_message or "") if end.status is RunStatus.FAILED else ""
    return messages.RunState(pipeline_logging_id=run, status=end.status, error_message=why, is_final=end.is_final)


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
    )


def _day(text: str) -> date:
    try:
        day = parse(ParameterType.DATE, text)
    except ValueError as error:
        raise InvalidArgument("as_of_date", str(error)) from error
    if not isinstance(day, date):
        raise TypeError("a date parameter is a date")
    return day
