"""Flow 3A on a real BigQuery emulator: what is due is queued once, as far as the quota reaches."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from services.scheduler.trigger import DueSchedule, plan_trigger
from services.scheduler.triggering import Triggered
from tests.counting import jobs
from tests.scheduler.conftest import MakeScheduler, Scheduler, Tables, full_hour

NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)


def due(**fields: object) -> DueSchedule:
    values = {
        "config_id": "c",
        "tenant_id": "t",
        "schedule_cron": "0 * * * *",
        "timezone": "UTC",
        "priority": 50,
        "catch_up": None,
        "next_run_time": NOW.replace(minute=0),
        "units_left": None,
    }
    return DueSchedule(**{**values, **fields})  # type: ignore[arg-type]


def test_missed_slots_run_once_or_each() -> None:
    """`latest` runs the last slot, `all` each of them; both stand at their own next slot afterwards."""
    since = NOW - timedelta(hours=3, minutes=30)
    latest = plan_trigger([due(next_run_time=since)], NOW).firings[0]
    every = plan_trigger([due(next_run_time=since, catch_up="all")], NOW).firings[0]
    assert [run.scheduled_time.hour for run in latest.runs] == [12]
    assert [run.scheduled_time.hour for run in every.runs] == [9, 10, 11, 12]
    assert latest.next_run_time == every.next_run_time == NOW.replace(hour=13, minute=0)


def test_a_hundred_slots_at_a_time_and_the_rest_stays_due() -> None:
    firing = plan_trigger([due(schedule_cron="* * * * *", next_run_time=NOW - timedelta(minutes=150), catch_up="all")], NOW).firings[0]
    assert len(firing.runs) == 100
    assert firing.next_run_time == NOW - timedelta(minutes=50)


def test_the_quota_lets_the_best_pass_and_a_schedule_in_part() -> None:
    plan = plan_trigger(
        [
            due(config_id="low", priority=10, units_left=3),
            due(config_id="many", priority=50, units_left=3, catch_up="all", next_run_time=NOW - timedelta(hours=3, minutes=30)),
            due(config_id="high", priority=90, units_left=3),
        ],
        NOW,
    )
    assert {firing.config_id: len(firing.runs) for firing in plan.firings} == {"high": 1, "many": 2}
    many = next(firing for firing in plan.firings if firing.config_id == "many")
    assert (many.next_run_time, plan.skipped_count) == (NOW.replace(hour=11, minute=0), 3)


def test_what_cannot_be_read_is_left_and_what_was_never_computed_begins() -> None:
    plan = plan_trigger(
        [due(config_id="bad", schedule_cron="every day"), due(config_id="zone", timezone="Mars/Olympus"), due(next_run_time=None)], NOW
    )
    assert ([one.config_id for one in plan.unreadable], plan.firings) == (["bad", "zone"], ())
    assert [one.next_run_time for one in plan.first_slots] == [NOW.replace(hour=13, minute=0)]


async def test_a_due_schedule_is_queued_with_all_it_needs(tables: Tables, scheduler: Scheduler) -> None:
    (tenant_id,) = await tables.tenants()
    (config_id,) = await tables.schedules([tenant_id])
    await tables.schedules([tenant_id], is_active=False)
    await tables.schedules([tenant_id], next_run_time=tables.clock.now() + timedelta(minutes=1))

    assert await scheduler.trigger.fire() == Triggered(triggered=1, queued=1, skipped=0)

    run = await tables.the_run()
    assert (run["config_id"], run["tenant_id"], run["state"], run["queue_state"]) == (config_id, tenant_id, "PENDING", "QUEUED")
    assert (run["retry_count"], run["max_retries"], run["priority"]) == (0, 3, 50)
    following = (await tables.configs())[config_id]["next_run_time"]
    assert following == full_hour(tables.clock.now()) + timedelta(hours=1)


async def test_five_triggers_from_two_schedulers_queue_each_slot_once(tables: Tables, make_scheduler: MakeScheduler) -> None:
    one, other = await make_scheduler(), await make_scheduler()
    await tables.schedules(await tables.tenants(10) * 6)

    done = await asyncio.gather(*(side.trigger.fire() for side in (one, other, one, other, one)))

    runs = await tables.runs()
    assert (len(runs), len({run["run_id"] for run in runs}), {run["queue_state"] for run in runs}) == (60, 60, {"QUEUED"})
    assert (sum(each.triggered for each in done), sum(each.queued for each in done), sum(each.skipped for each in done)) == (60, 60, 0)


@pytest.mark.parametrize("count", [5, 60])
async def test_any_number_of_schedules_takes_two_jobs(tables: Tables, scheduler: Scheduler, count: int) -> None:
    (tenant_id,) = await tables.tenants()
    await tables.schedules([tenant_id] * count)
    before = jobs()
    assert (await scheduler.trigger.fire()).queued == count
    assert jobs() - before == 2


async def test_the_quota_skips_what_it_has_no_room_for(tables: Tables, scheduler: Scheduler) -> None:
    """Also when it is asked again, for then the queue holds what is left of it. A tenant without a row in the ledger can run."""
    (tenant_id,) = await tables.tenants(daily_limit=3)
    await tables.schedules([tenant_id] * 5)
    assert await scheduler.trigger.fire() == Triggered(triggered=3, queued=3, skipped=2)
    before = jobs()
    assert await scheduler.trigger.fire() == Triggered(triggered=0, queued=0, skipped=2)
    assert jobs() - before == 1
    assert sum(one["next_run_time"] <= tables.clock.now() for one in (await tables.configs()).values()) == 2


async def test_tenants_that_are_not_active_do_not_fire(tables: Tables, scheduler: Scheduler) -> None:
    suspended, unpaid = await tables.tenants(2)
    await tables.schedules([suspended, unpaid])
    await tables.run("UPDATE tenant_profiles SET status = 'SUSPENDED' WHERE tenant_id = @t", {"t": ("STRING", suspended)})
    await tables.run("UPDATE tenant_subscriptions SET status = 'CANCELLED' WHERE tenant_id = @t", {"t": ("STRING", unpaid)})
    assert await scheduler.trigger.fire() == Triggered(triggered=0, queued=0, skipped=0)
