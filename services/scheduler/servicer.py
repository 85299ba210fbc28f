"""The queue's RPCs: proto in, domain call, proto out."""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
from convergence.scheduler.v1 import (
    scheduled_run_pb2,
    scheduled_run_service_pb2,
    scheduled_run_service_pb2_grpc,
    scheduler_service_pb2,
    scheduler_service_pb2_grpc,
)
from google.protobuf import struct_pb2

from services.platform.clock import Clock
from services.platform.errors import FailedPrecondition, InvalidArgument, NotFound
from services.platform.paging import from_token, page_size, to_token
from services.platform.stamps import to_timestamp
from services.scheduler.processing import QueueProcessor
from services.scheduler.queue_store import QueueStore
from services.scheduler.scheduled_runs import RunFilter, ScheduledRun
from services.scheduler.standing import waiting
from services.scheduler.trigger import LeftOut, next_trigger_time
from services.scheduler.triggering import Trigger

type Context = grpc.aio.ServicerContext[Any, Any]

MOST_RUNS = 500
MOST_LEFT_OUT = 100
"""Schedules that a trigger's answer names; the log has them all."""
PROCESSING, IDLE = "PROCESSING", "IDLE"


class SchedulerServicer(scheduler_service_pb2_grpc.SchedulerServiceServicer):
    """See `scheduler_service.proto`."""

    def __init__(self, *, trigger: Trigger, processor: QueueProcessor, store: QueueStore, clock: Clock) -> None:
        self._trigger, self._processor, self._store, self._clock = trigger, processor, store, clock

    async def TriggerDuePipelines(
        self, request: scheduler_service_pb2.TriggerDuePipelinesRequest, context: Context
    ) -> scheduler_service_pb2.TriggerDuePipelinesResponse:
        """See the proto."""
        done = await self._trigger.fire()
        return scheduler_service_pb2.TriggerDuePipelinesResponse(
            triggered_count=done.triggered,
            queued_count=done.queued,
            skipped_count=done.skipped,
            next_trigger_time=to_timestamp(next_trigger_time(self._clock.now())),
            left_out=_to_left_out(done.left_out) if done.left_out else None,
        )

    async def ProcessQueue(
        self, request: scheduler_service_pb2.ProcessQueueRequest, context: Context
    ) -> scheduler_service_pb2.ProcessQueueResponse:
        """See the proto. Raises InvalidArgument."""
        if not 0 <= request.max_runs <= MOST_RUNS:
            raise InvalidArgument("max_runs", f"use 1 to {MOST_RUNS}; 0 means 1.")
        claims = await self._processor.process(request.max_runs or 1)
        if not claims:
            return scheduler_service_pb2.ProcessQueueResponse(processed=False, status=IDLE, message="No run is ready in the queue")
        first, others = claims[0], len(claims) - 1
        also = f", and {others} more" if others else ""
        return scheduler_service_pb2.ProcessQueueResponse(
            processed=True,
            pipeline_logging_id=first.pipeline_logging_id,
            tenant_id=first.tenant_id,
            pipeline_id=first.pipeline_id,
            status=PROCESSING,
            message=f"Pipeline started processing for tenant {first.tenant_id}{also}",
            runs=[
                scheduler_service_pb2.ProcessedRun(
                    run_id=claim.run_id,
                    pipeline_logging_id=claim.pipeline_logging_id,
                    tenant_id=claim.tenant_id,
                    pipeline_id=claim.pipeline_id,
                    status=PROCESSING,
                )
                for claim in claims
            ],
        )

    async def GetSchedulerStatus(
        self, request: scheduler_service_pb2.GetSchedulerStatusRequest, context: Context
    ) -> scheduler_service_pb2.GetSchedulerStatusResponse:
        """See the proto."""
        status = await self._store.status(self._clock.now())
        return scheduler_service_pb2.GetSchedulerStatusResponse(
            due_count=status.due_count,
            queued_count=status.queued_count,
            processing_count=status.processing_count,
            failed_today_count=status.failed_today_count,
            oldest_queued_time=to_timestamp(status.oldest_queued_time),
        )


class ScheduledRunServicer(scheduled_run_service_pb2_grpc.ScheduledRunServiceServicer):
    """See `scheduled_run_service.proto`."""

    def __init__(self, store: QueueStore, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def ListScheduledRuns(
        self, request: scheduled_run_service_pb2.ListScheduledRunsRequest, context: Context
    ) -> scheduled_run_service_pb2.ListScheduledRunsResponse:
        """See the proto. Raises InvalidArgument."""
        wanted = RunFilter(
            tenant_id=request.tenant_id,
            state=request.state or None,
            config_id=request.config_id or None,
            size=page_size(request.page_size),
            after=from_token(request.page_token),
        )
        # One more than asked for: it tells whether there is a next page.
        runs = await self._store.list_runs(wanted, wanted.size + 1)
        token = ""
        if len(runs) > wanted.size:
            last = runs[wanted.size - 1]
            assert last.scheduled_time is not None  # noqa: S101 - every row of ours has one
            token = to_token(last.scheduled_time, last.run_id)
        return scheduled_run_service_pb2.ListScheduledRunsResponse(
            scheduled_runs=[_to_run(run) for run in runs[: wanted.size]], next_page_token=token
        )

    async def GetScheduledRun(
        self, request: scheduled_run_service_pb2.GetScheduledRunRequest, context: Context
    ) -> scheduled_run_pb2.ScheduledRun:
        """See the proto. Raises NotFound."""
        now = self._clock.now()
        run, standing = await asyncio.gather(
            self._store.get_run(request.tenant_id, request.run_id), self._store.standing(request.tenant_id, request.run_id, now)
        )
        if run is None:
            raise _no_such_run()
        answer = _to_run(run)
        if (found := waiting(standing, retry_count=run.retry_count, now=now)) is not None:
            answer.waiting_for, answer.waiting_message = found.reason, found.message
        return answer

    async def RetryScheduledRun(
        self, request: scheduled_run_service_pb2.RetryScheduledRunRequest, context: Context
    ) -> scheduled_run_pb2.ScheduledRun:
        """See the proto. `retry_count` goes on counting and `max_retries` grows: an attempt is numbered by the failures before it, and its
        id must never come again. After a lost reply the row says, by its time, whether it was this call that put it back. Raises NotFound,
        and FailedPrecondition for a run that has not FAILED for good.
        """
        now = self._clock.now()
        await self._store.retry_run(request.tenant_id, request.run_id, now)
        run = await self._store.get_run(request.tenant_id, request.run_id)
        if run is None:
            raise _no_such_run()
        if run.added_at != now:
            raise FailedPrecondition("RUN_NOT_RETRYABLE", "Only a run that FAILED for good can be put back into the queue.")
        return _to_run(run)


def _to_left_out(left_out: Sequence[LeftOut]) -> scheduler_service_pb2.LeftOut:
    slots = [
        scheduler_service_pb2.LeftOutSlots(
            tenant_id=one.tenant_id, config_id=one.config_id, first=to_timestamp(one.first), before=to_timestamp(one.before)
        )
        for one in left_out[:MOST_LEFT_OUT]
    ]
    return scheduler_service_pb2.LeftOut(schedule_count=len(left_out), schedules=slots)


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
