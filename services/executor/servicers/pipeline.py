"""PipelineService: starts, dry-runs, lists and cancels runs."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

import grpc
from convergence.executor.v1 import pipeline_service_pb2 as messages
from convergence.executor.v1 import run_pb2
from convergence.executor.v1.pipeline_service_pb2_grpc import PipelineServiceServicer

from services.executor.metering.cap import RunAllowance
from services.executor.records import DqResult, Run, RunFilter, RunStatus, StepLog, StepStatus
from services.executor.runs.cancel import Canceller
from services.executor.runs.dry_run import DryRunner
from services.executor.runs.idempotency import IdempotentStarts
from services.executor.runs.prepared import RunPreparer, RunRequest
from services.executor.servicers.from_request import to_day, to_pipeline, to_status
from services.executor.servicers.template_list import TemplateList
from services.executor.servicers.to_proto import to_dry_run, to_run
from services.executor.store import ID_LENGTH, Store, no_such_run
from services.executor.templates.name import PipelineName
from services.platform.access.caller import current_caller
from services.platform.clock import Clock, SystemClock
from services.platform.group_commit import SharedReads
from services.platform.rpc.idempotency import key_of
from services.platform.rpc.paging import from_token, page_size, to_token
from services.platform.rpc.structs import to_mapping

type Context = grpc.aio.ServicerContext[Any, Any]

LAST_LINES_SECONDS = 0.5
"""The executor of a run writes its last lines within this time after its end, if it can stream them."""
JUST_ENDED = timedelta(seconds=10)
"""A run that ended longer ago gets no more lines: its executor died when it had ended."""


class PipelineServicer(PipelineServiceServicer):
    """Runs pipelines for tenants."""

    def __init__(
        self,
        *,
        preparer: RunPreparer,
        starts: IdempotentStarts,
        dry_runner: DryRunner,
        canceller: Canceller,
        store: Store,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._preparer, self._starts, self._dry_runner, self._canceller, self._store = preparer, starts, dry_runner, canceller, store
        self._runs: SharedReads[tuple[str, str], run_pb2.Run] = SharedReads(self._read_run)
        self._lists: SharedReads[tuple[str, RunFilter, int], Sequence[Run]] = SharedReads(self._read_runs)
        self._template_list = TemplateList()

    async def RunPipeline(self, request: messages.RunPipelineRequest, context: Context) -> messages.RunPipelineResponse:
        """Starts a run and returns at once; with an Idempotency-Key it returns the key's run, whether it was started now or earlier."""
        prepared, key = self._preparer.prepare(_to_request(request)), key_of(context)
        identity = await self._starts.start(prepared, key)
        # The response to the same key is the same even if its run has ended meanwhile.
        return messages.RunPipelineResponse(
            pipeline_logging_id=identity,
            tenant_id=request.tenant_id,
            status=RunStatus.RUNNING,
            message="Pipeline triggered successfully",
        )

    async def ValidatePipeline(self, request: messages.ValidatePipelineRequest, context: Context) -> messages.ValidatePipelineResponse:
        """A dry run, see `runs/dry_run`."""
        allowance = RunAllowance(max_export_bytes=current_caller().limits.max_export_bytes)
        prepared = self._preparer.prepare(_to_request(request)).admitted(allowance)
        return to_dry_run(prepared, await self._dry_runner.dry_run(prepared))

    async def ListRuns(self, request: messages.ListRunsRequest, context: Context) -> messages.ListRunsResponse:
        """A tenant's runs, newest first."""
        size = page_size(request.page_size)
        day, pipeline = to_day(request.date, "date"), to_pipeline(request.pipeline)
        began_from = datetime.combine(day, time(), UTC) if day else None
        wanted = RunFilter(
            status=to_status(request.status),
            pipeline_id=pipeline.pipeline_id(request.tenant_id) if pipeline else None,
            began_from=began_from,
            began_before=began_from + timedelta(days=1) if began_from else None,
            after=from_token(request.page_token),
        )
        # One more than requested, to know whether there is a next page.
        runs = await self._lists.get((request.tenant_id, wanted, size + 1))
        token = to_token(runs[size - 1].started_at, runs[size - 1].pipeline_logging_id) if len(runs) > size else ""
        return messages.ListRunsResponse(runs=[to_run(run) for run in runs[:size]], next_page_token=token)

    async def GetRun(self, request: messages.GetRunRequest, context: Context) -> run_pb2.Run:
        """One run with its step logs and verdicts."""
        return await self._run(request.tenant_id, request.pipeline_logging_id)

    async def CancelRun(self, request: messages.CancelRunRequest, context: Context) -> run_pb2.Run:
        """Cancels a run, see `runs/cancel`."""
        if len(request.pipeline_logging_id) > ID_LENGTH:
            raise no_such_run()
        await self._canceller.cancel(request.tenant_id, request.pipeline_logging_id)
        return await self._run(request.tenant_id, request.pipeline_logging_id)

    async def ListTemplates(self, request: messages.ListTemplatesRequest, context: Context) -> messages.ListTemplatesResponse:
        """All templates that can be run."""
        return self._template_list.answer(self._preparer.templates)

    async def _run(self, tenant_id: str, identity: str) -> run_pb2.Run:
        """From memory if this process executes the run, else from the tables."""
        led = self._store.led_runs.find(tenant_id, identity)
        if led and (led.last or not led.has_ended):
            steps = [line for line in led.feed.lines if isinstance(line, StepLog)]
            return to_run(led.last or led.run, steps, [line for line in led.feed.lines if isinstance(line, DqResult)])
        return await self._runs.get((tenant_id, identity))

    async def _read_run(self, key: tuple[str, str]) -> run_pb2.Run:
        # The row before its lines: if the run has ended, they are complete, but for those of the step that has ended it by its publish.
        run = await self._store.require_run(*key)
        steps, results = await asyncio.gather(self._store.list_step_logs(*key), self._store.list_dq_results(*key))
        has_just_ended = run.completed_at is not None and self._clock.now() - run.completed_at < JUST_ENDED
        if run.status is RunStatus.COMPLETED and has_just_ended and lacks_an_end(steps):
            await asyncio.sleep(LAST_LINES_SECONDS)
            steps = await self._store.list_step_logs(*key)
        return to_run(run, steps, results)

    async def _read_runs(self, question: tuple[str, RunFilter, int]) -> Sequence[Run]:
        tenant_id, wanted, limit = question
        return await self._store.list_runs(tenant_id, wanted, limit=limit)


def lacks_an_end(steps: Sequence[StepLog]) -> bool:
    """True if the lines of a step say that it has begun, and not that it has ended. `steps` are in order."""
    return StepStatus.RUNNING.action in {(step.step_id, step.attempt): step.action for step in steps}.values()


def _to_request(request: messages.RunPipelineRequest | messages.ValidatePipelineRequest) -> RunRequest:
    return RunRequest(
        pipeline_logging_id=str(uuid.uuid4()),
        tenant_id=request.tenant_id,
        name=PipelineName.of(request.provider, request.domain, request.template),
        given=to_mapping(request.parameters, "parameters"),
        user_id=current_caller().user_id,
    )
