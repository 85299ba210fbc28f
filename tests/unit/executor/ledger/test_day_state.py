"""When a day is open, settling or final."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.ledger.day_state import DayState, state_of

DAY = date(2025, 11, 17)
MOMENTS = st.datetimes(datetime(2025, 11, 17), datetime(2026, 3, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis adds the zone


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "changed", "state", "rule"),
    [
        ("2025-11-17T23:59", None, DayState.OPEN, "the day is not over"),
        ("2025-11-18T00:00", None, DayState.OPEN, "rows usually arrive for 5 days after the day"),
        ("2025-11-23T00:00", None, DayState.SETTLING, "the invoice of 2025-11 is out on 2025-12-05"),
        ("2025-12-05T00:00", None, DayState.SETTLING, "2025-11 is final if nothing of it changes until 2025-12-19"),
        ("2025-12-19T00:00", None, DayState.FINAL, "the invoice of 2025-11 is out, and nothing of the month has changed for 14 days"),
        ("2025-12-19T00:00", "2025-12-10T00:00", DayState.SETTLING, "2025-11 is final if nothing of it changes until 2025-12-24"),
        (
            "2025-12-24T00:00",
            "2025-12-10T00:00",
            DayState.FINAL,
            "the invoice of 2025-11 is out, and nothing of the month has changed for 14 days",
        ),
    ],
)
def test_it_follows_from_the_time_and_the_months_last_change(now: str, changed: str | None, state: DayState, rule: str) -> None:
    found = state_of(DAY, month_changed_at=at(changed) if changed else None, now=at(now))
    assert (found.state, found.rule) == (state, rule)


def test_a_december_is_invoiced_in_january() -> None:
    found = state_of(date(2025, 12, 31), month_changed_at=None, now=at("2026-01-06T00:00"))
    assert found.rule == "2025-12 is final if nothing of it changes until 2026-01-19" or found.state is DayState.OPEN
    assert state_of(date(2025, 12, 31), month_changed_at=None, now=at("2026-01-19T00:00")).state is DayState.FINAL


@given(now=MOMENTS, later=st.timedeltas(timedelta(0), timedelta(days=60)), changed=st.none() | MOMENTS)
def test_time_alone_only_makes_it_more_final(now: datetime, later: timedelta, changed: datetime | None) -> None:
    order = list(DayState)
    first = state_of(DAY, month_changed_at=changed, now=now).state
    assert order.index(state_of(DAY, month_changed_at=changed, now=now + later).state) >= order.index(first)
