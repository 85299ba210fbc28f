"""Wires the scheduler: its parts and the servicers it serves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from convergence.scheduler.v1 import (
    fleet_service_pb2_grpc,
    offboarding_service_pb2_grpc,
    schedule_service_pb2_grpc,
    scheduled_run_service_pb2_grpc,
    scheduler_service_pb2_grpc,
)

from services.platform.bigquery.client import BigQuery
from services.platform.clock import Clock
from services.platform.reporting.events import RecordEvent, unrecorded
from services.platform.server import Served
from services.scheduler.cron.trigger_times import HOURLY
from services.scheduler.fleet.store import FleetStore
from services.scheduler.offboarding.peers import Peers
from services.scheduler.offboarding.process import TenantOffboarding
from services.scheduler.offboarding.store import OffboardingStore
from services.scheduler.queue.claim_watcher import ClaimWatcher
from services.scheduler.queue.executor_client import ExecutorClient
from services.scheduler.queue.processor import QueueProcessor
from services.scheduler.queue.rules import QueueRules
from services.scheduler.queue.store import QueueStore
from services.scheduler.queue.trigger import Trigger
from services.scheduler.retention.old_runs import retention
from services.scheduler.schedules.changes import ScheduleChanges
from services.scheduler.schedules.pipeline_check import PipelineCheck
from services.scheduler.schedules.store import ScheduleStore
from services.scheduler.servicers.fleet import FleetServicer
from services.scheduler.servicers.offboarding import OffboardingServicer
from services.scheduler.servicers.schedule import ScheduleServicer
from services.scheduler.servicers.scheduled_run import ScheduledRunServicer
from services.scheduler.servicers.scheduler import SchedulerServicer
from services.scheduler.settings import SchedulerSettings


@asynccontextmanager
async def scheduler_service(
    settings: SchedulerSettings, *, bq: BigQuery, peers: Peers, clock: Clock, record: RecordEvent = unrecorded
) -> AsyncIterator[list[Served]]:
    """The servicers, ready for `serve`. Claimed runs are watched while the context is open; leaving it expires their leases.
    `record` learns of claims that were lost.
    """
    async with (
        queue_service(settings, bq=bq, executor=peers.executor, clock=clock, record=record) as queue,
        retention(bq, clock, run_days=settings.run_days),
    ):
        yield [
            *queue,
            schedule_served(bq, peers.executor, clock, trigger_cron=settings.trigger_cron),
            offboarding_served(bq, peers, clock),
        ]


def offboarding_served(bq: BigQuery, peers: Peers, clock: Clock) -> Served:
    """The servicer of the end of a tenant."""
    return Served(
        name="convergence.scheduler.v1.OffboardingService",
        add=offboarding_service_pb2_grpc.add_OffboardingServiceServicer_to_server,
        servicer=OffboardingServicer(TenantOffboarding(store=OffboardingStore(bq), queue=QueueStore(bq), peers=peers, clock=clock)),
    )


@asynccontextmanager
async def queue_service(
    settings: SchedulerSettings, *, bq: BigQuery, executor: grpc.aio.Channel, clock: Clock, record: RecordEvent = unrecorded
) -> AsyncIterator[list[Served]]:
    """The servicers of the queue and of what depends on it."""
    rules = QueueRules(ageing_seconds=settings.ageing_seconds, plan_defaults=settings.plan_defaults)
    store, runs = QueueStore(bq, rules), ExecutorClient(executor)
    watcher = ClaimWatcher(store=store, executor=runs, clock=clock, settings=settings)
    processor = QueueProcessor(store=store, watcher=watcher, executor=runs, clock=clock, lease_seconds=settings.claim_lease, record=record)
    async with watcher, processor:
        yield [
            Served(
                name="convergence.scheduler.v1.SchedulerService",
                add=scheduler_service_pb2_grpc.add_SchedulerServiceServicer_to_server,
                servicer=SchedulerServicer(
                    trigger=Trigger(store, clock), processor=processor, store=store, clock=clock, trigger_cron=settings.trigger_cron
                ),
            ),
            Served(
                name="convergence.scheduler.v1.ScheduledRunService",
                add=scheduled_run_service_pb2_grpc.add_ScheduledRunServiceServicer_to_server,
                servicer=ScheduledRunServicer(store, OffboardingStore(bq), clock),
            ),
            Served(
                name="convergence.scheduler.v1.FleetService",
                add=fleet_service_pb2_grpc.add_FleetServiceServicer_to_server,
                servicer=FleetServicer(store, FleetStore(bq), clock),
            ),
        ]


def schedule_served(bq: BigQuery, executor: grpc.aio.Channel, clock: Clock, *, trigger_cron: str = HOURLY) -> Served:
    """The servicer of schedules. `trigger_cron`: when the trigger comes, in UTC."""
    store = ScheduleStore(bq)
    changes = ScheduleChanges(store, PipelineCheck(executor), OffboardingStore(bq), clock)
    return Served(
        name="convergence.scheduler.v1.ScheduleService",
        add=schedule_service_pb2_grpc.add_ScheduleServiceServicer_to_server,
        servicer=ScheduleServicer(changes, store, clock, trigger_cron=trigger_cron),
    )
