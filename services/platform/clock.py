"""Time as an argument: policy is a pure function of it, and tests never sleep."""

from datetime import UTC, date, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The time now, with timezone UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """See `Clock.now`."""
        return datetime.now(UTC)


def utc_day(moment: datetime) -> date:
    """The UTC calendar day of `moment` (which must have a timezone): the day that quotas count on."""
    return moment.astimezone(UTC).date()
