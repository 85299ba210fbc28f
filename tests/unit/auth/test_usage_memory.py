"""What is remembered of tenants' usage, and when it is not used. Time and versions are passed in."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.auth.quota import Usage
from services.auth.store import Settlement
from services.auth.usage.known_plans import KnownPlans
from services.auth.usage.memory import LONGEST_UNREAD, UsageMemory
from services.auth.usage.own_changes import Grant, after
from services.platform.bigquery.table_versions import Version
from tests.unit.platform.test_waiting import Time

NOON = datetime(2027, 3, 14, 12, tzinfo=UTC)
ONE, TWO = ("quotas 1", "subscriptions 1"), ("quotas 2", "subscriptions 1")


def usage(tenant_id: str = "acme", **changes: Any) -> Usage:
    fields: dict[str, Any] = {
        "tenant_id": tenant_id,
        "usage_date": NOON.date(),
        "pipelines_run_today": 3,
        "pipelines_succeeded_today": 1,
        "pipelines_failed_today": 0,
        "pipelines_run_month": 30,
        "concurrent_pipelines_running": 2,
        "daily_limit": None,
        "monthly_limit": None,
        "concurrent_limit": None,
        "cost_usd_month": 1.5,
        "monthly_cost_limit_usd": None,
        "max_export_bytes": 1_000,
        "subscription_active": True,
        "held": frozenset(),
    }
    return Usage(**{**fields, **changes})


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def memory(time: Time) -> UsageMemory:
    """Of 6 seconds, with one row."""
    memory = UsageMemory(seconds=6, monotonic=time)
    keep(memory, ONE, usage())
    return memory


def keep(memory: UsageMemory, version: Version | None, *usages: Usage, now: datetime = NOON) -> None:
    with memory.reading(now) as reading:
        memory.keep(reading, version, usages)


def recall(memory: UsageMemory, version: Version | None, *tenant_ids: str, now: datetime = NOON) -> Mapping[str, Usage]:
    with memory.reading(now) as reading:
        return memory.recall(reading, version, tenant_ids)


def end(run: str, **changes: Any) -> Settlement:
    return Settlement(**{"tenant_id": "acme", "reservation_id": run, "usage_date": NOON.date(), "outcome": "COMPLETED", **changes})


RUNNING = usage(concurrent_pipelines_running=1, live_runs=frozenset({("a", NOON + timedelta(minutes=5))}), taken=frozenset({("a", 1)}))
GRANT = Grant(tenant_id="acme", reservation_id="b", units=1, usage_date=NOON.date(), lease_expires_at=NOON + timedelta(minutes=5))


def test_what_was_read_is_known_to_be_true_while_the_version_is_the_same(memory: UsageMemory) -> None:
    assert recall(memory, ONE, "acme", "other") == {"acme": usage()}
    assert recall(memory, TWO, "acme") == {}
    assert recall(memory, None, "acme") == {}, "it could not be read"
    keep(memory, None, usage("other"))
    assert recall(memory, ONE, "other") == {}
    keep(memory, TWO, usage("other"))
    assert recall(memory, TWO, "acme", "other") == {"other": usage("other")}
    assert recall(memory, ONE, "acme") == {"acme": usage()}, "another tenant's reading takes nothing away"


def test_a_row_is_used_for_a_moment_counted_from_when_it_was_asked_for(memory: UsageMemory, time: Time) -> None:
    with memory.reading(NOON) as reading:
        time.now += 4
        assert memory.is_ageing("acme"), "a sixth of its time is over"
        assert memory.recall(reading, ONE, ["acme"]) == {"acme": usage()}
    time.now += 1
    assert memory.confirmed("acme", NOON) == usage()
    assert memory.confirmed("other", NOON) is None
    with memory.reading(NOON) as reading:
        time.now += 1
        assert memory.confirmed("acme", NOON) is None
        memory.keep(reading, TWO, [usage(pipelines_run_today=4)])
    assert memory.confirmed("acme", NOON) == usage(pipelines_run_today=4)
    assert memory.is_ageing("acme")


def test_of_two_readings_at_once_the_one_that_began_last_counts(memory: UsageMemory, time: Time) -> None:
    with memory.reading(NOON) as first:
        time.now += 1
        keep(memory, TWO, usage(pipelines_run_today=5))
        memory.keep(first, TWO, [usage(pipelines_run_today=4)])
    assert memory.confirmed("acme", NOON) == usage(pipelines_run_today=5)


def test_what_this_process_was_answered_shows_at_once(memory: UsageMemory, time: Time) -> None:
    keep(memory, ONE, RUNNING, usage("other"))
    with memory.changing([("acme", "b")], is_settling=False) as changes:
        assert memory.confirmed("acme", NOON) == RUNNING, "no answer is promised yet"
        changes.append(GRANT)
    shown = memory.confirmed("acme", NOON)
    assert shown is not None
    assert (shown.pipelines_run_today, shown.concurrent_pipelines_running) == (4, 2)
    assert memory.confirmed("other", NOON) == usage("other")
    with memory.changing([("acme", "a")], is_settling=True) as changes:
        changes.append(end("a"))
    shown = memory.confirmed("acme", NOON)
    assert shown is not None
    assert (shown.pipelines_succeeded_today, shown.concurrent_pipelines_running) == (2, 1)
    collected = memory.confirmed("acme", NOON, [end("b", outcome="FAILED")])
    assert collected is not None
    assert (collected.pipelines_failed_today, collected.concurrent_pipelines_running) == (1, 0)
    assert memory.confirmed("acme", NOON) == shown, "it was only collected"


def test_after_a_change_that_was_not_answered_only_a_reading_shows_the_row(memory: UsageMemory) -> None:
    keep(memory, ONE, RUNNING, usage("other"))
    with pytest.raises(TimeoutError), memory.changing([("acme", "b")], is_settling=False):
        raise TimeoutError
    assert memory.confirmed("acme", NOON) is None
    assert memory.confirmed("other", NOON) == usage("other")
    keep(memory, ONE, RUNNING)
    with memory.changing([("acme", "of another process")], is_settling=True) as changes:
        changes.append(end("of another process"))
    assert memory.confirmed("acme", NOON) is None


@pytest.mark.parametrize("has_it", [True, False])
def test_a_reading_may_have_seen_what_was_in_flight(memory: UsageMemory, time: Time, *, has_it: bool) -> None:
    """Granted while it lasted, or granted after it was kept: it is counted once."""
    granted = after(RUNNING, [GRANT], NOON)
    assert granted is not None
    seen = granted if has_it else RUNNING
    with memory.reading(NOON) as reading:
        with memory.changing([("acme", "b")], is_settling=False) as changes:
            changes.append(GRANT)
        memory.keep(reading, TWO, [seen])
    assert memory.confirmed("acme", NOON) == granted

    time.now += 1
    with memory.changing([("acme", "b")], is_settling=False) as changes:
        keep(memory, TWO, seen)
        changes.append(GRANT)
    assert memory.confirmed("acme", NOON) == granted


def test_a_reading_beside_a_settlement_or_a_whole_life_of_an_id_is_not_kept(memory: UsageMemory, time: Time) -> None:
    """It may have forgotten the id, so what is known stays."""
    keep(memory, ONE, RUNNING)
    time.now += 1
    with memory.changing([("acme", "a")], is_settling=True) as changes:
        keep(memory, TWO, usage(pipelines_run_today=9), usage("other"))
        assert memory.confirmed("acme", NOON) == RUNNING
        assert memory.confirmed("other", NOON) == usage("other")
        changes.append(end("a"))
    settled = memory.confirmed("acme", NOON)
    assert settled == after(RUNNING, [end("a")], NOON)

    with memory.reading(NOON) as reading:
        with memory.changing([("acme", "b")], is_settling=False) as changes:
            changes.append(GRANT)
        with memory.changing([("acme", "b")], is_settling=True) as changes:
            changes.append(end("b"))
        memory.keep(reading, TWO, [usage(pipelines_run_today=9)])
    assert settled is not None
    assert memory.confirmed("acme", NOON) == after(settled, [GRANT, end("b")], NOON)


@pytest.mark.parametrize("tenant_id", ["acme", None])
def test_after_a_doubt_no_reading_that_was_on_its_way_is_kept(memory: UsageMemory, tenant_id: str | None) -> None:
    with memory.reading(NOON) as reading:
        memory.doubt(tenant_id)
        memory.keep(reading, ONE, [usage(), usage("other")])
    assert memory.confirmed("acme", NOON) is None
    assert memory.confirmed("other", NOON) == (None if tenant_id is None else usage("other"))
    keep(memory, ONE, usage())
    assert memory.confirmed("acme", NOON) == usage()


def test_a_row_from_before_a_refusal_is_forgotten(memory: UsageMemory, time: Time) -> None:
    time.now += 1
    began = memory.moment()
    keep(memory, ONE, usage("other"))
    memory.forget_older(["acme", "other", "unknown"], than=began)
    assert memory.confirmed("acme", NOON) is None
    assert memory.confirmed("other", NOON) == usage("other")


def test_those_that_asked_lately_are_read_ahead(memory: UsageMemory, time: Time) -> None:
    for tenant_id in ("acme", "other", "third"):
        memory.confirmed(tenant_id, NOON)
        time.now += 3
    assert memory.wanted(9) == ["third", "other"]
    assert memory.wanted(1) == ["third"]


def test_time_alone_ends_a_day_a_lease_and_the_whole_memory(memory: UsageMemory) -> None:
    late = NOON.replace(hour=23, minute=59, second=59)
    keep(memory, ONE, usage(), now=late)
    assert recall(memory, ONE, "acme", now=late) == {"acme": usage()}
    assert recall(memory, ONE, "acme", now=late + timedelta(seconds=1)) == {}

    leased = usage(live_runs=frozenset({("a", NOON + timedelta(seconds=5)), ("expired", NOON), ("without", None)}))
    keep(memory, ONE, leased)
    assert memory.confirmed("acme", NOON + timedelta(seconds=4.9)) == leased
    assert memory.confirmed("acme", NOON + timedelta(seconds=5)) is None

    keep(memory, ONE, usage())
    assert recall(memory, ONE, "acme", now=NOON + LONGEST_UNREAD - timedelta(seconds=1)) == {"acme": usage()}
    assert recall(memory, ONE, "acme", now=NOON + LONGEST_UNREAD) == {}


def test_a_plan_without_a_limit_of_cost_is_known_while_the_subscriptions_have_not_changed() -> None:
    plans = KnownPlans()
    plans.note(ONE, [usage("a"), usage("b", max_export_bytes=7), usage("capped", monthly_cost_limit_usd=9.0)])
    assert plans.export_bytes(ONE, ["a", "b"]) == {"a": 1_000, "b": 7}
    assert plans.export_bytes(ONE, ["a", "capped"]) is None
    assert plans.export_bytes(ONE, ["a", "unknown"]) is None
    assert plans.export_bytes(TWO, ["a"]) is None
    assert plans.export_bytes(None, ["a"]) is None
    plans.note(ONE, [usage("a", subscription_active=False)])
    assert plans.export_bytes(ONE, ["a"]) is None


@pytest.mark.parametrize(
    ("limits", "asked", "expected"),
    [
        ({}, 500, True),
        ({"daily_limit": 23}, 10, True),
        ({"daily_limit": 23}, 11, False),
        ({"concurrent_limit": 6}, 2, True),
        ({"concurrent_limit": 6}, 3, False),
        ({"monthly_limit": 30}, 1, False),
        ({"monthly_cost_limit_usd": 1.0}, 3, True),
    ],
)
def test_all_is_expected_to_be_granted_where_the_limits_are_far_away(limits: dict[str, Any], asked: int, *, expected: bool) -> None:
    """Only how the statement is put depends on it: BigQuery's answer decides."""
    plans = KnownPlans()
    plans.note(ONE, [usage(**limits)])
    assert plans.expect(["acme"] * asked) is expected
    assert plans.expect(["acme", "unknown"]) is False


def test_what_was_granted_since_is_not_expected_again() -> None:
    plans = KnownPlans()
    plans.note(ONE, [usage(daily_limit=13)])
    assert plans.expect(["acme"] * 5)
    plans.granted(["acme"] * 5)
    assert plans.expect(["acme"] * 2)
    assert not plans.expect(["acme"] * 3)
