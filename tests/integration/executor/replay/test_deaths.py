"""Runs that die at any place, and ten at once: the next run finds everything right, or sets it right."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from services.executor.keyed_locks import KeyedLocks
from services.executor.records import RunOutcome, RunStatus
from services.executor.runs.prepared import PreparedRun
from services.executor.staging.tables import StagingTables
from services.executor.store import Store
from services.executor.templates.step import Toolbox
from services.platform.bigquery.client import BigQuery
from services.platform.clock import SystemClock
from services.platform.settings import REPOSITORY, ServiceSettings
from tests.integration.executor.replay.conftest import Replaying
from tests.support.executor.replay.deaths import Place, PublishDoor, die_at_publish, die_at_step, send
from tests.support.executor.replay.month import DAY, HOUR, Month, Scale, replayed_month
from tests.support.executor.replay.replay import Replay
from tests.support.executor.replay.timeline import EVERY_HOUR
from tests.support.strict_bigquery import strict_bigquery

DDL = REPOSITORY / "configs" / "bigquery" / "tenant"
BILLING_TABLE, FOCUS_TABLE = "billing_cost_daily", "focus_cost_daily"
SECONDS = (0.02, 0.05)
"""What a statement takes, so that runs meet."""
FAILED = RunOutcome(status=RunStatus.FAILED, error_message="The executor is gone.")

type Behind = Callable[[Replay], AbstractAsyncContextManager[tuple[PublishDoor, list[Toolbox]]]]


@pytest.fixture
def month() -> Month:
    return replayed_month(seed=11, scale=Scale(rows_a_day=3))


@pytest.fixture
def behind_door(service_settings: ServiceSettings) -> Behind:
    """What two executors work with, behind one proxy that knows BigQuery's conflicts: their locks do not know of each other."""

    @asynccontextmanager
    async def opened(replay: Replay) -> AsyncIterator[tuple[PublishDoor, list[Toolbox]]]:
        door = PublishDoor(upstream=replay.tenant.host.removeprefix("http://"), seconds=SECONDS, rate=1_000)
        with strict_bigquery(door):
            patient = {"bigquery_deadline_seconds": 60.0, "dml_statements_per_10_seconds": 1_000}
            settings = service_settings.model_copy(update={"bigquery_emulator_host": door.url, **patient})
            async with BigQuery(settings, service="executor") as one, BigQuery(settings, service="executor") as other:
                found = [_with(replay.tools, bq) for bq in (one, other)]
                yield door, found
                for tools in found:
                    await tools.staging.dropped()

    return opened


def _with(tools: Toolbox, bq: BigQuery) -> Toolbox:
    staging = StagingTables(bq, SystemClock())
    return replace(tools, bq=bq, store=Store(bq, ddl=DDL), staging=staging, publish_locks=KeyedLocks())


async def pass_time(replay: Replay, moment: datetime) -> None:
    """Until `moment`, and on until the day that it is in has rows."""
    await replay.pass_time(moment)
    while not replay.model.groups(replay.clock.now().date()):
        await replay.pass_time(replay.clock.time + HOUR)


async def settle(replay: Replay) -> None:
    """Nothing arrives any more: the next run sets right whatever the last one has left."""
    replay.clock.time += timedelta(minutes=1)
    await replay.run_judged()
    assert replay.judge.behind(replay.judge.last) == set()


async def has_died(replay: Replay, job: PreparedRun, *, is_known: bool) -> None:
    """What a run that has died leaves. `is_known`: the reconciler has found it."""
    if is_known:
        await replay.end(job, FAILED)
    replay.judge.whenever(replay.clock.now(), await replay.published(), focus_may_lag=True)


@pytest.mark.timeout(600)
async def test_a_run_that_dies_at_a_step_leaves_nothing_that_the_next_one_does_not_set_right(replaying: Replaying, month: Month) -> None:
    """At the end of each step, when its work is done and not yet recorded, and at the beginning of the first one."""
    async with replaying(month) as replay:
        await pass_time(replay, month.start + 10 * HOUR)
        first = await replay.prepare()
        steps = [step.id for step in first.template.steps if step.id not in {"focus_google", "google"}]
        await die_at_step(first, steps[0], replay.tools, after=False)
        await has_died(replay, first, is_known=True)
        await settle(replay)
        for number, step in enumerate(steps if EVERY_HOUR else steps[:3:2]):
            await pass_time(replay, replay.clock.time + (20 + number) * HOUR)
            job = await replay.prepare()
            await die_at_step(job, step, replay.tools, after=True)
            await has_died(replay, job, is_known=number % 2 == 0)
            await settle(replay)


PLACES = [(table, place) for table in (BILLING_TABLE, FOCUS_TABLE) for place in Place]


@pytest.mark.timeout(600)
async def test_a_run_that_dies_while_it_publishes(replaying: Replaying, month: Month, behind_door: Behind) -> None:
    async with replaying(month) as replay, behind_door(replay) as (door, (tools, _)):
        await replay.pass_time(month.start + 10 * HOUR)
        await replay.run_judged()
        for table, place in PLACES if EVERY_HOUR else PLACES[1::4]:
            await pass_time(replay, replay.clock.time + DAY)
            job = await replay.prepare()
            await die_at_publish(job, tools, door, table, place)
            await has_died(replay, job, is_known=place is not Place.SENT_LATE)
            await settle(replay)
            if place is Place.SENT_LATE:
                await send(tools, door, table)
                await has_died(replay, job, is_known=True)
                await settle(replay)


@pytest.mark.timeout(600)
async def test_ten_runs_at_once_just_after_midnight(replaying: Replaying, month: Month, behind_door: Behind) -> None:
    """Of the same days, in two executors, through BigQuery's conflicts: as if there had been one. The new day has no rows yet."""
    async with replaying(month) as replay, behind_door(replay) as (door, both):
        await replay.pass_time(month.start + 10 * HOUR)
        await replay.run_judged()
        await replay.pass_time(month.start + 3 * DAY)
        await ten_at_once(replay, both)
        assert door.aborted, "no two of them met"


async def ten_at_once(replay: Replay, executors: list[Toolbox]) -> None:
    """All of them complete; what is published is what one would have published."""
    jobs = [await replay.prepare() for _ in range(10)]
    outcomes = await asyncio.gather(*(replay.execute(job, executors[number % 2]) for number, job in enumerate(jobs)))
    assert Counter((one.status, one.error_message) for one in outcomes) == {(RunStatus.COMPLETED, None): 10}
    replay.judge.after_run(replay.clock.now(), await replay.published())
    await settle(replay)


async def test_a_run_that_dies_before_focus_just_after_midnight(replaying: Replaying, month: Month) -> None:
    """The new day has no rows yet, and FOCUS lags by it: the next run brings FOCUS up."""
    async with replaying(month) as replay:
        await replay.pass_time(month.start + DAY)
        job = await replay.prepare()
        await die_at_step(job, "publish", replay.tools, after=True)
        await has_died(replay, job, is_known=True)
        await settle(replay)


async def test_a_day_whose_focus_was_late_can_be_run_by_hand(replaying: Replaying, month: Month) -> None:
    """A run has died between the two tables, and the next one has brought FOCUS up: nothing is special about its days any more."""
    async with replaying(month) as replay:
        await pass_time(replay, month.start + 10 * HOUR)
        await die_at_step(await replay.prepare(), "publish", replay.tools, after=True)
        replay.clock.time += timedelta(minutes=1)
        await replay.run()
        replay.clock.time += timedelta(minutes=1)
        await replay.run(date=str(month.first - 3 * DAY))
