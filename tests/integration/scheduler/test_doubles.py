"""A tenant's first schedule that two processes create at once has two rows, until one of them is deleted: nothing is done twice for it."""

import asyncio
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from services.scheduler.schedules.schedule import Schedule
from services.scheduler.schedules.store import ScheduleStore
from tests.integration.scheduler.conftest import MakeScheduler, Tables
from tests.integration.scheduler.stub_executor import StubExecutor
from tests.support.overlap import slowly


class Halfway(ScheduleStore):
    """Its process dies behind the INSERT, which takes a second."""

    async def insert(self, schedule: Schedule, *, request_sha256: str | None, max_schedules: int) -> None:  # type: ignore[override]
        values = {"request_sha256": request_sha256, "created_by_call": str(uuid.uuid4()), "max_schedules": max_schedules}
        params = {name: ({**as_row(schedule), **values})[name] for name in self._blocks["insert_schedule"].params}
        await self._bq.query(slowly(self._blocks["insert_schedule"]), params, dataset=self._bq.control(), seconds=30)


def as_row(schedule: Schedule) -> dict[str, object]:
    return {name: getattr(schedule, name) for name in Schedule.__dataclass_fields__}


async def first_schedule_twice(tables: Tables, *, first: str) -> Schedule:
    """Both rows are of one id, and the second is the one that counts."""
    [tenant_id] = await tables.tenants()
    now = tables.clock.now()
    blank = Schedule.blank(config_id=str(uuid.uuid4()), tenant_id=tenant_id, provider="gcp", domain="cost", pipeline_template="billing")
    second = replace(blank, schedule_cron="0 * * * *", next_run_time=now - timedelta(minutes=1), created_at=now, updated_at=now)
    earlier = replace(second, schedule_cron=first, created_at=now - timedelta(seconds=1))
    store = Halfway(tables.bq)
    await asyncio.gather(*(store.insert(one, request_sha256="x", max_schedules=10) for one in (earlier, second)))
    rows = await tables.run("SELECT config_id FROM tenant_pipeline_configs")
    assert [row["config_id"] for row in rows] == [second.config_id] * 2
    return second


@pytest.mark.parametrize("first", ["0 * * * *", "30 * * * *"])
async def test_a_schedule_with_two_rows_is_queued_claimed_and_started_once(
    tables: Tables, make_scheduler: MakeScheduler, executor: StubExecutor, first: str
) -> None:
    schedule, one = await first_schedule_twice(tables, first=first), await make_scheduler()

    assert [due.config_id for due in await one.store.due_schedules(tables.clock.now())] == [schedule.config_id]
    done = await one.trigger.fire()
    again = await one.trigger.fire()

    look = await one.store.look(tables.clock.now())
    status = await one.store.status(tables.clock.now())
    assert (done.triggered > 0, done.queued, again.queued, look.ready, status.due_count, len(await tables.runs())) == (True, 1, 0, 1, 0, 1)
    assert (await one.process(2), len(executor.asked)) == (1, 1)
    tables.clock.time += timedelta(minutes=2)
    other = await make_scheduler()
    await other.reconcile()
    executor.end_all()
    await asyncio.gather(one.poll(), other.poll())
    assert (set(executor.started.values()), [run["state"] for run in await tables.runs()]) == ({1}, ["COMPLETED"])


async def test_two_rows_of_one_call_stay_and_count_as_one(tables: Tables) -> None:
    """BigQuery did not answer, and the INSERT was sent again while the first one was still at work."""
    [tenant_id] = await tables.tenants()
    store, now = ScheduleStore(tables.bq), tables.clock.now()
    blank = Schedule.blank(config_id=str(uuid.uuid4()), tenant_id=tenant_id, provider="gcp", domain="cost", pipeline_template="billing")
    values = {**as_row(replace(blank, schedule_cron="0 * * * *", created_at=now)), "request_sha256": None, "created_by_call": "one"}
    block = slowly(store._blocks["insert_schedule"])
    params = {name: ({**values, "max_schedules": 1})[name] for name in block.params}
    await asyncio.gather(*(tables.bq.query(block, params, dataset=tables.bq.control(), seconds=30) for _ in range(2)))

    kept = await store._inserted("drop_surplus_schedule", {**values, "max_schedules": 1})

    assert (kept.schedules, kept.copies, kept.is_new) == (1, 2, True)
    assert [key.rpartition("\t")[2] for key, _ in await store.page(tenant_id, "", 10)] == [blank.config_id]
