"""What is remembered of tenants' usage, and when it is not used. Time and versions are passed in."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.auth.quota import Usage
from services.auth.usage.known_plans import KnownPlans
from services.auth.usage.memory import LONGEST_UNREAD, UsageMemory
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
    memory = UsageMemory(seconds=0.25, monotonic=time)
    memory.keep(ONE, NOON, [usage()])
    return memory


def test_what_was_read_is_used_while_the_version_is_the_same(memory: UsageMemory) -> None:
    assert memory.recall(ONE, ["acme", "other"], NOON) == {"acme": usage()}
    assert memory.recall(TWO, ["acme"], NOON) == {}
    assert memory.recall(None, ["acme"], NOON) == {}, "it could not be read"
    memory.keep(None, NOON, [usage("other")])
    assert memory.recall(ONE, ["other"], NOON) == {}
    memory.keep(TWO, NOON, [usage("other")])
    assert memory.recall(TWO, ["acme", "other"], NOON) == {"other": usage("other")}


def test_the_version_is_taken_for_the_same_for_a_moment_only(memory: UsageMemory, time: Time) -> None:
    """Counted from when it was asked for."""
    assert memory.confirmed("acme", NOON) is None, "it was never confirmed"
    asked_at = time.now
    time.now += 0.2
    memory.confirm(ONE, asked_at=asked_at, doubts=memory.doubts)
    assert memory.confirmed("acme", NOON) == usage()
    assert memory.confirmed("other", NOON) is None
    assert memory.is_ageing(), "half of its time is over"
    time.now += 0.05
    assert memory.confirmed("acme", NOON) is None


def test_a_change_by_this_process_counts_at_once(memory: UsageMemory, time: Time) -> None:
    """A reading of the version that was on its way says nothing of the time after it."""
    doubts = memory.doubts
    memory.confirm(ONE, asked_at=time.now, doubts=doubts)
    assert memory.confirmed("acme", NOON) == usage()
    memory.doubt()
    assert memory.confirmed("acme", NOON) is None
    memory.confirm(ONE, asked_at=time.now, doubts=doubts)
    assert memory.confirmed("acme", NOON) is None
    memory.confirm(ONE, asked_at=time.now, doubts=memory.doubts)
    assert memory.confirmed("acme", NOON) == usage()
    memory.keep(TWO, NOON, [usage("other")])
    assert memory.confirmed("other", NOON) is None, "another version was confirmed"


def test_time_alone_ends_a_day_a_lease_and_the_whole_memory(memory: UsageMemory) -> None:
    late = NOON.replace(hour=23, minute=59, second=59)
    memory.keep(ONE, late, [usage()])
    assert memory.recall(ONE, ["acme"], late) == {"acme": usage()}
    assert memory.recall(ONE, ["acme"], late + timedelta(seconds=1)) == {}

    leased = usage(first_lease_ends_at=NOON + timedelta(seconds=5))
    memory.keep(ONE, NOON, [leased])
    assert memory.recall(ONE, ["acme"], NOON + timedelta(seconds=4.9)) == {"acme": leased}
    assert memory.recall(ONE, ["acme"], NOON + timedelta(seconds=5)) == {}

    memory.keep(ONE, NOON, [usage()])
    assert memory.recall(ONE, ["acme"], NOON + LONGEST_UNREAD - timedelta(seconds=1)) == {"acme": usage()}
    assert memory.recall(ONE, ["acme"], NOON + LONGEST_UNREAD) == {}


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
