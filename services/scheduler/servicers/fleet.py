"""FleetService: reads, judges, encodes."""

import asyncio
from typing import Any

import grpc
from convergence.scheduler.v1 import fleet_service_pb2 as messages
from convergence.scheduler.v1.fleet_service_pb2_grpc import FleetServiceServicer

from services.platform.clock import Clock
from services.platform.timestamps import to_timestamp
from services.scheduler.fleet.state import FleetState, Job
from services.scheduler.fleet.store import FleetStore
from services.scheduler.queue.store import QueueStore

type Context = grpc.aio.ServicerContext[Any, Any]


class FleetServicer(FleetServiceServicer):
    """FleetService, as the proto describes it. Two statements, at once."""

    def __init__(self, queue: QueueStore, fleet: FleetStore, clock: Clock) -> None:
        self._queue, self._fleet, self._clock, self._since = queue, fleet, clock, clock.now()

    async def GetFleet(self, request: messages.GetFleetRequest, context: Context) -> messages.GetFleetResponse:
        """Raises Unavailable if BigQuery does not answer."""
        now = self._clock.now()
        queue, events = await asyncio.gather(self._queue.status(now), self._fleet.events(now))
        state = FleetState.of(events, now=now, since=self._since)
        return messages.GetFleetResponse(
            queued_count=queue.queued_count,
            oldest_queued_time=to_timestamp(queue.oldest_queued_time),
            processing_count=queue.processing_count,
            failed_today_count=queue.failed_today_count,
            due_count=queue.due_count,
            jobs=[_to_job(job) for job in state.jobs],
            leases_lost=state.leases_lost,
            budgets=[messages.TableBudget(table=table, used=used) for table, used in state.budgets.items()],
        )


def _to_job(job: Job) -> messages.JobState:
    return messages.JobState(
        job=job.name,
        last_success_at=to_timestamp(job.last_success_at),
        interval_seconds=round(job.interval.total_seconds()),
        overdue=job.is_overdue,
    )
