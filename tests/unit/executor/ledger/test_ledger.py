"""The ledger's rows, and the states that the passing of time brings."""

from datetime import UTC, date, datetime
from decimal import Decimal

from services.executor.ledger.day_state import DayState
from services.executor.ledger.days import Ledger, LedgerDay, states_param

NOW = datetime(2025, 12, 20, tzinfo=UTC)


def known(day: date, *, state: str | None, changed: datetime | None = None) -> LedgerDay:
    row = dict.fromkeys(LedgerDay.__dataclass_fields__) | {"usage_date": day, "state": state, "changed_at": changed, "sums": None}
    return LedgerDay.from_row(row)


def test_a_row_of_nulls_is_a_day_that_nothing_is_known_of() -> None:
    found = known(date(2025, 11, 1), state=None)
    assert (found.row_count, found.version, found.sizes, found.is_followed, found.lags_in_focus) == (0, 0, {}, False, False)
    row = {
        **dict.fromkeys(LedgerDay.__dataclass_fields__),
        "sums": [{"currency": "USD", "net_cost": Decimal(1), "size": None}],
        "version": 2,
        "source_version": 2,
    }
    assert (LedgerDay.from_row(row).sizes, LedgerDay.from_row(row).lags_in_focus) == ({"USD": Decimal(0)}, True)


def test_a_change_of_one_day_keeps_its_whole_month_from_being_final() -> None:
    """A day that was FINAL stays so until it changes itself."""
    changed = datetime(2025, 12, 15, tzinfo=UTC)
    days = [
        known(date(2025, 11, 1), state="SETTLING"),
        known(date(2025, 11, 2), state="SETTLING", changed=changed),
        known(date(2025, 11, 3), state="FINAL"),
        known(date(2025, 10, 31), state="SETTLING"),
        known(date(2025, 12, 1), state="OPEN"),
    ]
    ledger = Ledger(days={one.usage_date: one for one in days}, watermarks={})
    due = ledger.overdue_states(NOW)
    assert {day: state.state for day, state in due.items()} == {date(2025, 10, 31): DayState.FINAL, date(2025, 12, 1): DayState.SETTLING}
    assert [one["day"] for one in states_param(due)] == sorted(due)
