"""SchedulerService, the jobs `trigger` and `process-queue` and the status: decode, call the domain, encode."""

from collections.abc import Sequence
from typing import Any

import grpc
from convergence.scheduler.v1 import (
    scheduler_service_pb2,
    scheduler_service_pb2_grpc,
)

from services.platform.clock import Clock
from services.platform.errors import InvalidArgument, no_such_tenant
from services.platform.rpc.paging import from_token, page_size, to_token
from services.platform.timestamps import to_timestamp
from services.scheduler.cron.trigger_times import next_trigger
from services.scheduler.queue.processor import QueueProcessor
from services.scheduler.queue.scheduled_runs import QueueEntry
from services.scheduler.queue.store import QueueStore
from services.scheduler.queue.trigger import Trigger
from services.scheduler.queue.trigger_plan import LeftOut

type Context = grpc.aio.ServicerContext[Any, Any]

MAX_RUNS = 500
MAX_LEFT_OUT = 100
"""Schedules that a trigger's response names; the log names them all."""
PROCESSING, IDLE = "PROCESSING", "IDLE"


class SchedulerServicer(scheduler_service_pb2_grpc.SchedulerServiceServicer):
    """SchedulerService, as the proto describes it."""

    def __init__(self, *, trigger: Trigger, processor: QueueProcessor, store: QueueStore, clock: Clock, trigger_cron: str) -> None:
        """`trigger_cron`: when the trigger comes, in UTC."""
        self._trigger, self._processor, self._store, self._clock = trigger, processor, store, clock
        self._trigger_cron = trigger_cron

    async def TriggerDuePipelines(
        self, request: scheduler_service_pb2.TriggerDuePipelinesRequest, context: Context
    ) -> scheduler_service_pb2.TriggerDuePipelinesResponse:
        """Flow 3A. Raises Unavailable if BigQuery does not answer."""
        done = await self._trigger.fire()
        return scheduler_service_pb2.TriggerDuePipelinesResponse(
            triggered_count=done.triggered,
            queued_count=done.queued,
            skipped_count=done.skipped,
            next_trigger_time=to_timestamp(next_trigger(self._trigger_cron, self._clock.now())),
            left_out=_to_left_out(done.left_out) if done.left_out else None,
        )

    async def ProcessQueue(
        self, request: scheduler_service_pb2.ProcessQueueRequest, context: Context
    ) -> scheduler_service_pb2.ProcessQueueResponse:
        """Flow 3B. Raises InvalidArgument, Unavailable."""
        if not 0 <= request.max_runs <= MAX_RUNS:
            raise InvalidArgument("max_runs", f"use 1 to {MAX_RUNS}; 0 means 1.")
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

    async def ListQueue(self, request: scheduler_service_pb2.ListQueueRequest, context: Context) -> scheduler_service_pb2.ListQueueResponse:
        """The longest there first. Raises InvalidArgument, NotFound, Unavailable."""
        size = page_size(request.page_size)
        # One more than requested, to know whether there is a next page.
        runs = await self._store.list_queue(request.tenant_id or None, from_token(request.page_token), size + 1)
        if not runs and request.tenant_id and not await self._store.knows(request.tenant_id):
            raise no_such_tenant(request.tenant_id)
        token = to_token(runs[size - 1].added_at, runs[size - 1].run_id) if len(runs) > size else ""
        return scheduler_service_pb2.ListQueueResponse(runs=[_to_queued(run) for run in runs[:size]], next_page_token=token)

    async def GetSchedulerStatus(
        self, request: scheduler_service_pb2.GetSchedulerStatusRequest, context: Context
    ) -> scheduler_service_pb2.GetSchedulerStatusResponse:
        """Counts of the queue. Raises Unavailable if BigQuery does not answer."""
        status = await self._store.status(self._clock.now())
        return scheduler_service_pb2.GetSchedulerStatusResponse(
            due_count=status.due_count,
            queued_count=status.queued_count,
            processing_count=status.processing_count,
            failed_today_count=status.failed_today_count,
            oldest_queued_time=to_timestamp(status.oldest_queued_time),
        )


def _to_queued(run: QueueEntry) -> scheduler_service_pb2.QueuedRun:
    return scheduler_service_pb2.QueuedRun(
        run_id=run.run_id,
        tenant_id=run.tenant_id,
        config_id=run.config_id,
        pipeline_id=run.pipeline_id,
        state=run.state,
        priority=run.priority,
        scheduled_time=to_timestamp(run.scheduled_time),
        added_at=to_timestamp(run.added_at),
        not_before=to_timestamp(run.not_before),
        processing_started_at=to_timestamp(run.processing_started_at),
    )


def _to_left_out(left_out: Sequence[LeftOut]) -> scheduler_service_pb2.LeftOut:
    slots = [
        scheduler_service_pb2.LeftOutSlots(
            tenant_id=one.tenant_id, config_id=one.config_id, first=to_timestamp(one.first), before=to_timestamp(one.before)
        )
        for one in left_out[:MAX_LEFT_OUT]
    ]
    return scheduler_service_pb2.LeftOut(schedule_count=len(left_out), schedules=slots)
