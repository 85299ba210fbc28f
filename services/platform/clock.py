"""Time as an argument: policy is a pure function of it, and tests never sleep."""

from datetime import UTC, date, datetime
from typing import Protocol


class Clock(Protocol):
    """A source of the current time."""

    def now(self) -> datetime:
        """The time now, with timezone UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC)


def utc_day(moment: datetime) -> date:
    """The UTC calendar day of `moment` (which must have a timezone): quotas are counted by it."""
    return moment.astimezone(UTC).date()
