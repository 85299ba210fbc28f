"""What a change by this process makes of a row that was read before it. That it is what BigQuery makes of it: tests/integration/auth."""

from datetime import timedelta
from typing import Any

import pytest

from services.auth.quota import Usage
from services.auth.store import RecordedUsage, Settlement
from services.auth.usage.own_changes import Grant, after
from tests.unit.auth.test_usage_memory import NOON, usage

SOON, GONE = NOON + timedelta(minutes=1), NOON - timedelta(seconds=1)
ROW = usage(
    concurrent_pipelines_running=1,
    live_runs=frozenset({("alive", SOON), ("expired", GONE)}),
    taken=frozenset({("alive", 1), ("expired", 0), ("given back", 1)}),
    uncosted_runs=frozenset({"uncosted"}),
)


def grant(run: str, **changes: Any) -> Grant:
    fields = {"tenant_id": "acme", "reservation_id": run, "units": 1, "usage_date": NOON.date(), "lease_expires_at": SOON}
    return Grant(**{**fields, **changes})


def end(run: str, outcome: str = "COMPLETED", cost: float | None = None, **changes: Any) -> Settlement:
    recorded = None if cost is None else RecordedUsage(cost_usd=cost)
    fields = {"tenant_id": "acme", "reservation_id": run, "usage_date": NOON.date(), "outcome": outcome, "cost": recorded}
    return Settlement(**{**fields, **changes})


def counts(row: Usage | None) -> tuple[float, ...]:
    """Of today, of the month, succeeded, failed, running, cost."""
    assert row is not None
    return (
        row.pipelines_run_today,
        row.pipelines_run_month,
        row.pipelines_succeeded_today,
        row.pipelines_failed_today,
        row.concurrent_pipelines_running,
        row.cost_usd_month,
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], (3, 30, 1, 0, 1, 1.5)),
        ([grant("new")], (4, 31, 1, 0, 2, 1.5)),
        ([grant("new", units=0)], (3, 30, 1, 0, 2, 1.5)),
        ([grant("alive")], (3, 30, 1, 0, 1, 1.5)),
        ([grant("expired")], (3, 30, 1, 0, 2, 1.5)),
        ([end("alive")], (3, 30, 2, 0, 0, 1.5)),
        ([end("alive", cost=2.0)], (3, 30, 2, 0, 0, 3.5)),
        ([end("alive"), end("alive", cost=2.0)], (3, 30, 2, 0, 0, 3.5)),
        ([end("alive", "FAILED")], (3, 30, 1, 1, 0, 1.5)),
        ([end("alive", "CANCELLED")], (3, 30, 1, 0, 0, 1.5)),
        ([end("alive", "NOT_STARTED")], (2, 29, 1, 0, 0, 1.5)),
        ([end("expired", "NOT_STARTED")], (3, 30, 1, 0, 1, 1.5)),
        ([end("uncosted", cost=2.0)], (3, 30, 1, 0, 1, 3.5)),
        ([end("uncosted")], (3, 30, 1, 0, 1, 1.5)),
        ([grant("new"), end("new", "NOT_STARTED")], (3, 30, 1, 0, 1, 1.5)),
    ],
)
def test_a_change_counts_what_it_changes(changes: list[Grant | Settlement], expected: tuple[float, ...]) -> None:
    assert counts(after(ROW, changes, NOON)) == expected


@pytest.mark.parametrize("change", [grant("new"), end("alive"), end("alive", "FAILED"), end("uncosted", "CANCELLED")])
def test_a_row_that_has_the_change_stays_as_it_is(change: Grant | Settlement) -> None:
    once = after(ROW, [change], NOON)
    assert once is not None
    assert after(once, [change], NOON) == once


@pytest.mark.parametrize(
    "change",
    [
        grant("new", usage_date=NOON.date() - timedelta(days=1)),
        end("alive", usage_date=NOON.date() - timedelta(days=1)),
        end("alive", "NOT_STARTED", only_if_expired=True),
        end("of another process"),
        end("given back"),
    ],
)
def test_what_ids_do_not_say_only_a_reading_shows(change: Grant | Settlement) -> None:
    assert after(ROW, [change], NOON) is None
    assert after(None, [grant("new")], NOON) is None


def test_a_run_that_took_its_unit_on_another_day_is_given_back_by_a_reading() -> None:
    moved = usage(live_runs=frozenset({("moved", SOON)}))
    assert after(moved, [end("moved", "NOT_STARTED")], NOON) is None
    assert counts(after(moved, [end("moved")], NOON)) == (3, 30, 2, 0, 0, 1.5)
