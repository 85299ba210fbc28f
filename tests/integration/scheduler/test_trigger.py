"""Flow 3A on a real BigQuery emulator: due runs are queued once, within the quota."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from services.scheduler.queue.trigger import Triggered
from services.scheduler.queue.trigger_plan import DueSchedule, LeftOut, plan_trigger
from tests.integration.scheduler.conftest import MakeScheduler, Scheduler, Tables, full_hour
from tests.support.counting import jobs

NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)


def due(**fields: object) -> DueSchedule:
    values = {
        "config_id": "c",
        "tenant_id": "t",
        "schedule_cron": "0 * * * *",
        "timezone": "UTC",
        "priority": 50,
        "catch_up": "days",
        "next_run_time": NOW.replace(minute=0),
        "units_left": None,
        "places_left": 1_000,
    }
    return DueSchedule(**{**values, **fields})  # type: ignore[arg-type]


def test_missed_slots_run_once_or_each() -> None:
    """`latest` runs the last slot, `all` each of them; both stand at their own next slot afterwards."""
    since = NOW - timedelta(hours=3, minutes=30)
    latest = plan_trigger([due(next_run_time=since, catch_up="latest")], NOW).firings[0]
    every = plan_trigger([due(next_run_time=since, catch_up="all")], NOW).firings[0]
    assert [run.scheduled_time.hour for run in latest.runs] == [12]
    assert [run.scheduled_time.hour for run in every.runs] == [9, 10, 11, 12]
    assert latest.next_run_time == every.next_run_time == NOW.replace(hour=13, minute=0)


@pytest.mark.parametrize(
    ("cron", "zone", "since", "slots"),
    [
        ("0 3 * * *", "UTC", "2026-03-07T03:00", ["07T03", "08T03", "09T03", "10T03"]),
        ("0 4 * * *", "Pacific/Auckland", "2026-03-07T15:00", ["07T15", "08T15", "09T15"]),
        ("0 */6 * * *", "UTC", "2026-03-08T12:00", ["08T18", "09T18", "10T12"]),  # one a UTC day: the others would load it again
        ("0 3 * * 1", "UTC", "2026-02-23T03:00", ["23T03", "02T03", "09T03"]),
        ("0 3 * * *", "UTC", "2026-03-07T01:30", ["07T03", "08T03", "09T03", "10T03"]),  # a slot of an earlier time table
        ("0 3 * * *", "UTC", "2026-03-07T13:30", ["07T13", "08T03", "09T03", "10T03"]),
        ("0 12 * * *", "UTC", "2026-03-10T12:00", ["10T12"]),
    ],
)
def test_of_every_day_that_was_missed_a_slot_is_queued(cron: str, zone: str, since: str, slots: list[str]) -> None:
    """Oldest first, and nothing is left out."""
    first = datetime.fromisoformat(since).replace(tzinfo=UTC)
    (firing,) = plan_trigger([due(schedule_cron=cron, timezone=zone, next_run_time=first)], NOW).firings
    assert [f"{run.scheduled_time:%dT%H}" for run in firing.runs] == slots
    assert (firing.left_out, firing.next_run_time > NOW) == (None, True)


@pytest.mark.parametrize(
    ("catch_up", "missed", "queued", "left_out"),
    [("days", 40, 31, True), ("days", 31, 31, False), ("latest", 3, 1, True), ("all", 40, 40, False)],
)
def test_days_that_are_left_out_are_reported(catch_up: str, missed: int, queued: int, left_out: bool) -> None:
    first = NOW.replace(minute=0) - timedelta(days=missed - 1)
    (firing,) = plan_trigger([due(schedule_cron="0 12 * * *", next_run_time=first, catch_up=catch_up)], NOW).firings
    assert len(firing.runs) == queued
    gap = LeftOut(tenant_id="t", config_id="c", first=first, before=first + timedelta(days=missed - queued))
    assert firing.left_out == (gap if left_out else None)


def test_the_quota_lets_the_oldest_days_pass_and_the_others_stay_due() -> None:
    first = NOW.replace(hour=3, minute=0) - timedelta(days=3)
    plan = plan_trigger([due(schedule_cron="0 3 * * *", next_run_time=first, units_left=2)], NOW)
    assert [run.scheduled_time for run in plan.firings[0].runs] == [first, first + timedelta(days=1)]
    assert (plan.firings[0].next_run_time, plan.skipped_count, plan.firings[0].left_out) == (first + timedelta(days=2), 2, None)


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
    assert [one.next_run_time for one in plan.first_fire_times] == [NOW.replace(hour=13, minute=0)]


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


async def test_nights_that_were_missed_are_queued_and_what_is_left_out_is_reported(tables: Tables, scheduler: Scheduler) -> None:
    """In two jobs, however many schedules."""
    (tenant_id,) = await tables.tenants()
    first = tables.clock.now().replace(hour=3, minute=0, second=0, microsecond=0) - timedelta(days=4)
    (nightly,) = await tables.schedules([tenant_id], schedule_cron="0 3 * * *", next_run_time=first)
    (latest,) = await tables.schedules([tenant_id], schedule_cron="0 3 * * *", next_run_time=first, catch_up="latest")
    (fixed,) = await tables.schedules([tenant_id], schedule_cron="0 3 * * *", next_run_time=first, parameters='{"date": "2026-11-05"}')
    before = jobs()
    done = await scheduler.trigger.fire()
    assert jobs() - before == 2
    slots = {one: [run["scheduled_time"] for run in await tables.runs() if run["config_id"] == one] for one in (nightly, latest, fixed)}
    assert slots[nightly][:4] == [first + timedelta(days=day) for day in range(4)]
    assert slots[latest] == slots[fixed] == slots[nightly][-1:]
    assert set(done.left_out) == {
        LeftOut(tenant_id=tenant_id, config_id=one, first=first, before=slots[latest][0]) for one in (latest, fixed)
    }


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
