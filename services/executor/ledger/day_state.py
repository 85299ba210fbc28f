"""How final the published cost of a day is.

A cloud goes on changing a bill: rows arrive days late, credits are restated, and the invoice of a month is written at the beginning of the
next. Google gives no guarantee when rows arrive (Cloud Billing, "Export Cloud Billing data to BigQuery", frequency of data loads).
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final

ARRIVAL = timedelta(days=5)
"""How long after its end rows of a day usually arrive."""
INVOICE_DAY: Final = 5
"""The day of the next month on which a month's invoice is out."""
QUIET = timedelta(days=14)
"""A day is final if nothing of its month has changed for this long after the month's invoice was out."""


class DayState(StrEnum):
    """The state of a source's day."""

    OPEN = "OPEN"
    """Most changes are still to come."""
    SETTLING = "SETTLING"
    """Complete but for late rows and restatements."""
    FINAL = "FINAL"
    """No more changes are expected. A change that comes nevertheless is recorded as such, and the day is SETTLING again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StateOfDay:
    """A state, and the rule by which it was given."""

    state: DayState
    rule: str
    """A sentence for people."""


def state_of(day: date, *, month_changed_at: datetime | None, now: datetime) -> StateOfDay:
    """The state of a UTC day at `now`. `month_changed_at`: when the published cost of any day of its month last changed; None: never."""
    end = _midnight(day + timedelta(days=1))
    if now < end:
        return StateOfDay(state=DayState.OPEN, rule="the day is not over")
    if now < end + ARRIVAL:
        return StateOfDay(state=DayState.OPEN, rule=f"rows usually arrive for {ARRIVAL.days} days after the day")
    invoiced = _midnight((day.replace(day=1) + timedelta(days=32)).replace(day=INVOICE_DAY))
    if now < invoiced:
        return StateOfDay(state=DayState.SETTLING, rule=f"the invoice of {day:%Y-%m} is out on {invoiced.date().isoformat()}")
    quiet_since = max(invoiced, month_changed_at) if month_changed_at else invoiced
    if now < quiet_since + QUIET:
        final_on = (quiet_since + QUIET).date().isoformat()
        return StateOfDay(state=DayState.SETTLING, rule=f"{day:%Y-%m} is final if nothing of it changes until {final_on}")
    rule = f"the invoice of {day:%Y-%m} is out, and nothing of the month has changed for {QUIET.days} days"
    return StateOfDay(state=DayState.FINAL, rule=rule)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
