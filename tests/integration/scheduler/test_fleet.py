"""GetFleet, from the jobs' calls, lost claims and busy tables to the answer. BigQuery is the emulator."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, timedelta
from hashlib import sha256

import grpc
import pytest
from convergence.scheduler.v1 import fleet_service_pb2, fleet_service_pb2_grpc, scheduler_service_pb2, scheduler_service_pb2_grpc

from services.platform.bigquery.client import BigQuery
from services.platform.reporting.events import EventKind, PlatformEvents
from services.platform.server import build_server
from services.platform.settings import AdminKey
from services.scheduler.queue.processor import QueueProcessor
from services.scheduler.service import queue_service
from services.scheduler.settings import SchedulerSettings
from tests.conftest import channel_as
from tests.integration.scheduler.conftest import LEASE, NEVER, MakeScheduler, NoKeys, Tables
from tests.support.counting import jobs
from tests.support.set_clock import SetClock

SCHEDULER = "sched-key"
ADMIN = (("x-admin-key", SCHEDULER),)
_EMPTY = "DELETE FROM platform_events WHERE TRUE"


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The stubs, and what the process reports."""

    jobs: scheduler_service_pb2_grpc.SchedulerServiceStub
    stub: fleet_service_pb2_grpc.FleetServiceStub
    events: PlatformEvents

    async def get(self) -> fleet_service_pb2.GetFleetResponse:
        await self.events.send()
        answer: fleet_service_pb2.GetFleetResponse = await self.stub.GetFleet(fleet_service_pb2.GetFleetRequest(), metadata=ADMIN)
        return answer


@pytest.fixture
async def fleet(
    bq: BigQuery, clock: SetClock, tables: Tables, scheduler_settings: SchedulerSettings, to_executor: grpc.aio.Channel
) -> AsyncIterator[Fleet]:
    await tables.run(_EMPTY)
    keys = (AdminKey(role="scheduler", sha256=sha256(SCHEDULER.encode()).hexdigest()),)
    settings = scheduler_settings.model_copy(update={"admin_keys": keys})
    async with (
        PlatformEvents(bq, clock, service="scheduler", every_seconds=NEVER) as events,
        queue_service(settings, bq=bq, executor=to_executor, clock=clock, record=events.record) as served,
    ):
        built = build_server(settings, name="scheduler", authenticator=NoKeys(), served=served, record=events.record)
        await built.server.start()
        async with channel_as(settings, caller="gateway", peer="scheduler", address=f"127.0.0.1:{built.port}") as gateway:
            yield Fleet(
                jobs=scheduler_service_pb2_grpc.SchedulerServiceStub(gateway),
                stub=fleet_service_pb2_grpc.FleetServiceStub(gateway),
                events=events,
            )
        await built.server.stop(None)


async def test_jobs_that_ended_well_are_known_and_those_that_do_not_come_are_overdue(fleet: Fleet, tables: Tables, clock: SetClock) -> None:
    """Trigger and process-queue come, one of them badly once; the others report from other services; later nothing comes."""
    began = clock.time
    new = await fleet.get()
    assert [(job.job, job.overdue, job.HasField("last_success_at"), job.interval_seconds) for job in new.jobs] == [
        ("trigger", False, False, 3_600),
        ("process-queue", False, False, 300),
        ("reset-daily-quotas", False, False, 86_400),
        ("check-credentials", False, False, 86_400),
    ]
    await tables.schedules(await tables.tenants(2))
    assert (await fleet.get()).due_count == 2
    await fleet.jobs.TriggerDuePipelines(scheduler_service_pb2.TriggerDuePipelinesRequest(), metadata=ADMIN)
    clock.time = began + timedelta(minutes=3)
    with pytest.raises(grpc.aio.AioRpcError):
        await fleet.jobs.ProcessQueue(scheduler_service_pb2.ProcessQueueRequest(max_runs=501), metadata=ADMIN)
    fleet.events.record(EventKind.JOB_SUCCEEDED, "reset-daily-quotas")

    spent = jobs()
    known = await fleet.get()
    assert jobs() - spent == 2
    assert {job.job: job.last_success_at.ToDatetime(UTC) for job in known.jobs if job.HasField("last_success_at")} == {
        "trigger": began,
        "reset-daily-quotas": clock.time,
    }
    assert (known.queued_count, known.due_count, known.oldest_queued_time.ToDatetime(UTC)) == (2, 0, began - timedelta(minutes=1))

    clock.time = began + timedelta(hours=2, minutes=1)
    assert [job.job for job in (await fleet.get()).jobs if job.overdue] == ["trigger", "process-queue"]
    clock.time = began + timedelta(days=8)
    assert [job.overdue for job in (await fleet.get()).jobs] == [True] * 4


async def test_losses_and_busy_tables_are_counted_once_and_for_a_while(
    fleet: Fleet, bq: BigQuery, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two executors end the same run of a third; a loss counts for a day, a busy table for an hour."""
    monkeypatch.setattr(bq, "take_busy_control_tables", lambda: {"pipeline_execution_queue": 0.75})
    async with PlatformEvents(bq, clock, service="executor", every_seconds=NEVER) as other:
        for events in (fleet.events, other):
            events.record(EventKind.SLOT_LOST, "a run")
            await events.look_at_budgets()
        other.record(EventKind.RUN_OVERDUE, "another")
        fleet.events.record(EventKind.CLAIMS_LOST, "a claim", 3)
    found = await fleet.get()
    assert (found.leases_lost, {one.table: one.used for one in found.budgets}) == (5, {"pipeline_execution_queue": 0.75})
    clock.time += timedelta(minutes=61)
    later = await fleet.get()
    assert (later.leases_lost, [*later.budgets]) == (5, [])
    clock.time += timedelta(hours=24)
    assert (await fleet.get()).leases_lost == 0


async def test_claims_of_a_scheduler_that_died_are_lost_and_those_of_one_that_stopped_are_not(
    bq: BigQuery, clock: SetClock, tables: Tables, make_scheduler: MakeScheduler
) -> None:
    noted = list[tuple[EventKind, float]]()

    def note(kind: EventKind, name: str, value: float = 1.0) -> None:
        noted.append((kind, value))

    dead, stopped = await make_scheduler(), await make_scheduler()
    await tables.schedules(await tables.tenants(3))
    await dead.trigger.fire()
    assert (await dead.process(2), await stopped.process(1)) == (2, 1)
    await stopped.watcher.__aexit__(None, None, None)
    heir = await make_scheduler()
    watching = QueueProcessor(
        store=heir.store, watcher=heir.watcher, executor=heir.processor._executor, clock=clock, lease_seconds=60.0, record=note
    )
    await watching.reconcile()
    assert noted == []
    clock.time += LEASE + timedelta(seconds=1)
    await heir.watcher.renew()
    await watching.reconcile()
    assert noted == [(EventKind.CLAIMS_LOST, 2)]
