"""ScheduledRunService: decode, call the domain, encode."""

import asyncio
from typing import Any

import grpc
from convergence.scheduler.v1 import (
    scheduled_run_pb2,
    scheduled_run_service_pb2,
    scheduled_run_service_pb2_grpc,
)
from google.protobuf import struct_pb2

from services.platform.access.caller import current_caller
from services.platform.clock import Clock
from services.platform.errors import FailedPrecondition, NotFound
from services.platform.rpc.paging import from_token, page_size, to_token
from services.platform.timestamps import to_timestamp
from services.scheduler.offboarding.store import OffboardingStore
from services.scheduler.queue.position import waiting
from services.scheduler.queue.scheduled_runs import RunFilter, ScheduledRun
from services.scheduler.queue.store import QueueStore
from services.scheduler.schedules.changes import queue_full

type Context = grpc.aio.ServicerContext[Any, Any]


class ScheduledRunServicer(scheduled_run_service_pb2_grpc.ScheduledRunServiceServicer):
    """ScheduledRunService, as the proto describes it."""

    def __init__(self, store: QueueStore, offboarding: OffboardingStore, clock: Clock) -> None:
        self._store, self._offboarding, self._clock = store, offboarding, clock

    async def ListScheduledRuns(
        self, request: scheduled_run_service_pb2.ListScheduledRunsRequest, context: Context
    ) -> scheduled_run_service_pb2.ListScheduledRunsResponse:
        """The latest fire time first. Raises InvalidArgument."""
        wanted = RunFilter(
            tenant_id=request.tenant_id,
            state=request.state or None,
            config_id=request.config_id or None,
            size=page_size(request.page_size),
            after=from_token(request.page_token),
        )
        # One more than requested, to know whether there is a next page.
        runs = await self._store.list_runs(wanted, wanted.size + 1)
        token = ""
        if len(runs) > wanted.size:
            last = runs[wanted.size - 1]
            assert last.scheduled_time is not None  # noqa: S101 - every row of ours has one
            token = to_token(last.scheduled_time, last.run_id)
        shown = await asyncio.to_thread(lambda: [_to_run(run) for run in runs[: wanted.size]])
        return scheduled_run_service_pb2.ListScheduledRunsResponse(scheduled_runs=shown, next_page_token=token)

    async def GetScheduledRun(
        self, request: scheduled_run_service_pb2.GetScheduledRunRequest, context: Context
    ) -> scheduled_run_pb2.ScheduledRun:
        """Raises NotFound."""
        now = self._clock.now()
        run, position = await asyncio.gather(
            self._store.find_run(request.tenant_id, request.run_id), self._store.position(request.tenant_id, request.run_id, now)
        )
        if run is None:
            raise _no_such_run()
        answer = _to_run(run)
        found = waiting(position, retry_count=run.retry_count, started_at=run.started_at, now=now)
        if found is not None:
            answer.waiting_for, answer.waiting_message = found.reason, found.message
        return answer

    async def RetryScheduledRun(
        self, request: scheduled_run_service_pb2.RetryScheduledRunRequest, context: Context
    ) -> scheduled_run_pb2.ScheduledRun:
        """Queues the run again. `retry_count` keeps counting and `max_retries` grows: an attempt is numbered by the failures before it, and
        its id must never be repeated. After a lost response, the row's `added_at` shows whether this call queued the run. Raises NotFound,
        FailedPrecondition for a run that has not FAILED finally, and ResourceExhausted if no more of the tenant's runs may wait.
        """
        now = self._clock.now()
        limits = current_caller().limits
        retried = await self._store.retry_run(request.tenant_id, request.run_id, now, max_queued_runs=limits.max_queued_runs)
        if retried.is_offboarded:
            await self._offboarding.refuse(request.tenant_id, now)
        run = await self._store.find_run(request.tenant_id, request.run_id)
        if run is None:
            raise _no_such_run()
        if run.added_at != now and run.state == "FAILED" and run.queue_state is None and retried.waiting >= limits.max_queued_runs:
            raise queue_full(limits)
        if run.added_at != now:
            raise FailedPrecondition("RUN_NOT_RETRYABLE", "Only a run that FAILED for good can be put back into the queue.")
        return _to_run(run)


def _no_such_run() -> NotFound:
    return NotFound("SCHEDULED_RUN_NOT_FOUND", "This tenant has no such scheduled run. List its scheduled runs to find it.")


def _to_run(run: ScheduledRun) -> scheduled_run_pb2.ScheduledRun:
    parameters = struct_pb2.Struct()
    parameters.update(run.parameters)
    return scheduled_run_pb2.ScheduledRun(
        run_id=run.run_id,
        config_id=run.config_id,
        tenant_id=run.tenant_id,
        pipeline_id=run.pipeline_id,
        state=run.state,
        queue_state=run.queue_state,
        scheduled_time=to_timestamp(run.scheduled_time),
        priority=run.priority,
        parameters=parameters,
        pipeline_logging_id=run.pipeline_logging_id,
        retry_count=run.retry_count,
        max_retries=run.max_retries,
        error_message=run.error_message,
        created_at=to_timestamp(run.created_at),
        started_at=to_timestamp(run.started_at),
        completed_at=to_timestamp(run.completed_at),
        not_before=to_timestamp(run.not_before),
    )
