"""The scheduler as one object: what follows runs, and what it serves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from convergence.scheduler.v1 import scheduled_run_service_pb2_grpc, scheduler_service_pb2_grpc

from services.platform.bigquery import BigQuery
from services.platform.clock import Clock
from services.platform.server import Served
from services.scheduler.executor import Executor
from services.scheduler.following import Follower
from services.scheduler.processing import QueueProcessor
from services.scheduler.queue_store import QueueStore
from services.scheduler.servicer import ScheduledRunServicer, SchedulerServicer
from services.scheduler.settings import SchedulerSettings
from services.scheduler.triggering import Trigger


@asynccontextmanager
async def queue_service(
    settings: SchedulerSettings, *, bq: BigQuery, executor: grpc.aio.Channel, clock: Clock
) -> AsyncIterator[list[Served]]:
    """The queue's servicers, ready for `serve`. Runs are followed while the context is open; leaving it hands them over."""
    store, runs = QueueStore(bq), Executor(executor)
    follower = Follower(store=store, executor=runs, clock=clock, settings=settings)
    processor = QueueProcessor(store=store, follower=follower, executor=runs, clock=clock, lease_seconds=settings.claim_lease)
    async with follower, processor:
        yield [
            Served(
                name="convergence.scheduler.v1.SchedulerService",
                add=scheduler_service_pb2_grpc.add_SchedulerServiceServicer_to_server,
                servicer=SchedulerServicer(trigger=Trigger(store, clock), processor=processor, store=store, clock=clock),
            ),
            Served(
                name="convergence.scheduler.v1.ScheduledRunService",
                add=scheduled_run_service_pb2_grpc.add_ScheduledRunServiceServicer_to_server,
                servicer=ScheduledRunServicer(store, clock),
            ),
        ]
