"""Runs that overtake each other, or begin from something odd: after the next run, what is published is the export as it is."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from services.executor.errors import StepError
from services.executor.records import RunOutcome, RunStatus
from services.executor.store import Store
from services.executor.templates.step import Step, StepContext, StepResult
from services.executor.templates.step_reader import Joining, TemplateStep
from services.platform.bigquery.client import BigQuery
from services.platform.settings import REPOSITORY
from tests.integration.executor.replay.conftest import Replaying
from tests.support.executor.replay.charge import Charge
from tests.support.executor.replay.month import DAY, HOUR, LAG, Month, Scale, replayed_month
from tests.support.executor.replay.replay import Replay
from tests.support.executor.replay.timeline import Recreation

DDL = REPOSITORY / "configs" / "bigquery" / "tenant"


@pytest.fixture
def month() -> Month:
    return replayed_month(seed=12, scale=Scale(rows_a_day=3))


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A step that begins when it is let."""

    step: Step
    reached: asyncio.Event
    let: asyncio.Event

    @property
    def OUTPUTS(self) -> Mapping[str, str]:
        return self.step.OUTPUTS

    async def run(self, context: StepContext) -> StepResult:
        self.reached.set()
        await self.let.wait()
        return await self.step.run(context)

    def joined(self, first: Step) -> "Waiting":
        return self

    async def run_both(self, first: StepContext, own: StepContext) -> tuple[StepResult, StepResult | StepError | None]:
        assert isinstance(self.step, Joining)
        self.reached.set()
        await self.let.wait()
        return await self.step.run_both(first, own)


@pytest.mark.parametrize("by_hand", [False, True], ids=["changed days", "a day by hand that may lose rows"])
async def test_the_older_read_is_published_later(replaying: Replaying, month: Month, by_hand: bool) -> None:
    """A run has read, and waits; rows arrive, and another run reads and publishes them; then the first one publishes."""
    async with replaying(month) as replay:
        await replay.pass_time(month.start + 10 * HOUR)
        await replay.run_judged()
        await replay.pass_time(month.start + 2 * DAY)
        given = {"date": str(month.first), "accept_less": True} if by_hand else {}
        older, let = await waiting_run(replay, "publish", **given)
        await replay.pass_time(month.start + 4 * DAY)
        await replay.run_judged()
        replay.clock.time += timedelta(minutes=1)
        let.set()
        outcome = await older
        assert outcome.status in {RunStatus.COMPLETED, RunStatus.FAILED}
        replay.judge.adopt(await replay.published())
        replay.clock.time += timedelta(minutes=1)
        await replay.run_judged()
        assert replay.judge.behind(replay.judge.last) == set()


async def waiting_run(replay: Replay, *steps: str, **given: Any) -> tuple[asyncio.Task[RunOutcome], asyncio.Event]:
    """A run that waits before each of these steps, until the event is set: before a publish also where another one joins it; one that is
    itself named joins none.
    """
    reached, let = {step: asyncio.Event() for step in steps}, asyncio.Event()
    job = await replay.prepare(**given)

    def held(one: TemplateStep) -> TemplateStep:
        if one.id in reached:
            return replace(one, joins=None, action=Waiting(step=one.action, reached=reached[one.id], let=let))
        if one.joins in reached:
            return replace(one, action=Waiting(step=one.action, reached=reached[one.joins], let=let))
        return one

    run = asyncio.create_task(replay.execute(replace(job, template=replace(job.template, steps=tuple(map(held, job.template.steps))))))
    for one in reached.values():
        await one.wait()
    return run, let


async def test_focus_of_the_older_read_is_published_later(replaying: Replaying, month: Month) -> None:
    """A run waits before it publishes FOCUS; one row arrives, and another run publishes both tables; then the first one goes on."""
    arrived = month.start + 2 * DAY + 19 * HOUR
    sample = next(one for one in month.charges if one.day == month.first)
    late = replace(sample, key="late", arrived=arrived, export_time=arrived - LAG)
    charges = tuple(sorted((*month.charges, late), key=lambda one: (one.arrived, one.key)))
    async with replaying(replace(month, charges=charges)) as replay:
        await replay.pass_time(month.start + 10 * HOUR)
        await replay.run_judged()
        await replay.pass_time(arrived - HOUR)
        assert replay.model.groups(arrived.date())
        older, let = await waiting_run(replay, "focus_publish")
        replay.judge.whenever(replay.clock.now(), await replay.published(), focus_may_lag=True)
        await replay.pass_time(arrived + HOUR)
        await replay.run_judged()
        replay.clock.time += timedelta(minutes=1)
        let.set()
        await older
        replay.clock.time += timedelta(minutes=1)
        await replay.run_judged()


async def test_a_day_by_hand_neither_hides_rows_of_others_nor_doubles_its_own(replaying: Replaying, month: Month) -> None:
    """A run of one date reads rows that came after the watermark, and leaves those of other days."""
    async with replaying(month) as replay:
        await replay.pass_time(month.start + 10 * HOUR)
        await replay.run_judged()
        for days in (2, 3):
            await replay.pass_time(month.start + days * DAY)
            behind = replay.judge.behind(replay.judge.last)
            assert len(behind) > 1
            by_hand = {"date": str(max(behind)), "accept_less": True} if days == 2 else {"date": str(min(behind)), "accept_less": True}
            await replay.run(**by_hand)
            replay.judge.whenever(replay.clock.now(), await replay.published())
            replay.clock.time += timedelta(minutes=1)
            await replay.run_judged()


async def test_an_old_tenant_gets_a_ledger(replaying: Replaying, month: Month, bq: BigQuery) -> None:
    """billing_cost_daily was filled before there was a ledger; its tables do not even exist."""
    async with replaying(month) as replay:
        await replay.pass_time(month.start + 10 * HOUR)
        await replay.run(start_date=str(month.first - 20 * DAY), end_date=str(month.first - DAY))
        for table in ("x_meta_cost_days", "x_meta_cost_changes", "x_meta_cost_sources", "focus_cost_daily"):
            await replay.tenant.rows(f"DROP TABLE IF EXISTS {table}")
        replay.tools = replace(replay.tools, store=Store(bq, ddl=DDL))
        await replay.pass_time(month.start + 2 * DAY)
        replay.judge.adopt(await replay.published())
        await replay.run()
        published = await replay.published()
        replay.judge.adopt(published)
        replay.clock.time += timedelta(minutes=1)
        await replay.run_judged()
        await replay.pass_time(month.start + 4 * DAY)
        await replay.run_judged()


async def test_a_first_run_with_nothing_in_the_export(replaying: Replaying, month: Month) -> None:
    """It completes without rows; what arrives then is loaded, as by a first run."""
    late = replace(month, charges=tuple(_after(one, month) for one in month.charges))
    late = replace(late, charges=tuple(sorted(late.charges, key=lambda one: (one.arrived, one.key))))
    async with replaying(late) as replay:
        await replay.pass_time(month.start + HOUR)
        outcome = await replay.run_judged()
        assert not outcome.rows_processed
        await replay.pass_time(month.start + 2 * DAY)
        outcome = await replay.run_judged()
        assert outcome.rows_processed
        assert replay.judge.behind(replay.judge.last) == set()


def _after(charge: Charge, month: Month) -> Charge:
    """The row, arrived on the second day of the month at the earliest."""
    arrived = month.start + DAY
    return charge if charge.arrived > arrived else replace(charge, arrived=arrived, export_time=arrived - LAG)


async def test_a_late_row_of_a_day_that_the_new_export_does_not_have(replaying: Replaying, month: Month) -> None:
    """The export was made anew without the month before. A late row of that month must not empty its day, and not stop the others."""
    anew = Recreation(at=month.start + 2 * DAY + 8 * HOUR, since=month.start)
    day = month.first - 5 * DAY
    sample = next(one for one in month.charges if one.day == day)
    arrived = month.start + 3 * DAY + HOUR
    late = replace(sample, key="late", arrived=arrived, export_time=arrived - LAG)
    charges = tuple(sorted((*month.charges, late), key=lambda one: (one.arrived, one.key)))
    charges = tuple(one for one in charges if one.key == "late" or one.day >= month.first or one.arrived < anew.at)
    async with replaying(replace(month, charges=charges), [anew]) as replay:
        await replay.pass_time(month.start + 2 * DAY)
        await replay.run_judged()
        before = replay.judge.last.billing[day]
        await replay.pass_time(month.start + 4 * DAY)
        job = await replay.prepare()
        outcome = await replay.execute(job)
        published = await replay.published()
        keys = {key for sums in published.billing[day].values() for key in sums.keys}
        assert {key for sums in before.values() for key in sums.keys} <= keys, f"{day} was emptied: {outcome}"
        today = (month.start + 3 * DAY).date()
        others = {one for one in replay.judge.behind(published) if one >= month.first}
        assert others == set(), f"other days wait for {day}: {outcome}; not {sorted(others)}, today {today}"


async def test_a_pause_of_forty_days(replaying: Replaying, month: Month) -> None:
    """One run takes the oldest 31 of the days that were never loaded, the next one the rest."""
    async with replaying(month) as replay:
        await replay.pass_time(month.start + 10 * HOUR)
        await replay.run_judged()
        await replay.pass_time(month.start + 40 * DAY)
        await replay.run_judged()
        assert replay.judge.behind(replay.judge.last)
        replay.clock.time += timedelta(minutes=1)
        await replay.run_judged()
        assert replay.judge.behind(replay.judge.last) == set()


async def test_a_row_that_was_not_read_before_the_export_was_made_anew(replaying: Replaying, month: Month) -> None:
    """A row of a day that is kept, but older than what a first run would load, arrives; before a run reads it, the export is made anew."""
    day, arrived = month.first - 25 * DAY, month.start + 13 * DAY
    anew = Recreation(at=arrived + 2 * HOUR)
    sample = next(one for one in month.charges if one.day == day)
    late = replace(sample, key="late", arrived=arrived, export_time=arrived - LAG)
    charges = tuple(sorted((*month.charges, late), key=lambda one: (one.arrived, one.key)))
    async with replaying(replace(month, charges=charges), [anew]) as replay:
        await replay.pass_time(month.start + 10 * HOUR)
        await replay.run_judged()
        await replay.pass_time(arrived - HOUR)
        await replay.run_judged()
        await replay.pass_time(anew.at + HOUR)
        for _ in range(2):  # it may be more than one run takes
            await replay.run()
            replay.clock.time += timedelta(minutes=1)
        published = await replay.published()
        assert "late" in {key for sums in published.billing[day].values() for key in sums.keys}, f"{day} lacks its late row for good"


async def test_an_old_day_by_hand(replaying: Replaying, month: Month) -> None:
    """A day older than what is kept is loaded by its date; later rows of it may stay out, but never come in part or twice."""
    day = month.first - 36 * DAY
    async with replaying(month) as replay:
        await replay.pass_time(month.start + 10 * HOUR)
        await replay.run_judged()
        replay.clock.time += timedelta(minutes=1)
        await replay.run(date=str(day))
        replay.judge.whenever(replay.clock.now(), await replay.published())
        assert day in replay.judge.last.billing
        await replay.pass_time(month.start + 2 * DAY)
        await replay.run_judged()


async def test_rows_that_stay_are_replaced_while_a_run_works(replaying: Replaying, month: Month) -> None:
    """A run has derived FOCUS of a day's newer rows and of those that stay, and waits before it publishes billing; another run replaces the
    day as a whole. FOCUS of that day is not published, and the run says so; the next one derives it.
    """
    async with replaying(month) as replay:
        await replay.pass_time(month.start + 10 * HOUR)
        await replay.run_judged()
        await replay.pass_time(month.start + 2 * DAY)
        behind = replay.judge.behind(replay.judge.last)
        followed = min(day for day in behind if day in replay.judge.last.ledger)
        older, let = await waiting_run(replay, "publish")
        await replay.run(date=str(followed), accept_less=True)
        replay.judge.whenever(replay.clock.now(), await replay.published())
        replay.clock.time += timedelta(minutes=1)
        let.set()
        outcome = await older
        assert (outcome.status, outcome.is_final) == (RunStatus.FAILED, False)
        assert outcome.error_message
        assert outcome.error_message.startswith("Step focus_publish: Nothing was published: another run has published one of these days")
        published = await replay.published()
        replay.judge.whenever(replay.clock.now(), published, focus_may_lag=True)
        assert published.ledger[followed].focus_version != published.ledger[followed].version
        replay.clock.time += timedelta(minutes=1)
        await replay.run_judged()
