"""Which billing periods a run of an exported report looks at. Pure: what is known is passed in.

A cloud rewrites the current month until it ends, and goes on changing the last one for some weeks (AWS: "the first two weeks after the end
of the billing period"; Azure likewise until the invoice is out).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from services.executor.ledger.exports import KnownExport

QUIET: Final = timedelta(days=14)
"""A month before the last one is looked at until its export has not changed for so long."""
MOST_MONTHS: Final = 3
"""Months that one run loads; further ones are left for the next run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportsRequest:
    """What a source of exported files gets to know."""

    month: date | None
    """The first day of the one month to load, whether it has changed or not; None: those that are open and have changed."""
    known: Mapping[tuple[str, date], KnownExport]
    """What is published, by source id and month."""
    now: datetime
    history_months: int
    """Months up to this one that a run for open months loads to begin with."""

    def known_of(self, source_id: str, month: date) -> KnownExport | None:
        """What is published of a source's month."""
        return self.known.get((source_id, month))

    def months(self, source_id: str) -> list[date]:
        """The first days of the months to look at, the oldest first."""
        if self.month:
            return [self.month]
        this = self.now.date().replace(day=1)
        window = [months_before(this, count) for count in range(max(2, self.history_months))]
        return sorted(month for count, month in enumerate(window) if count < 2 or self._is_open(source_id, month))  # noqa: PLR2004 - this month and the last

    def _is_open(self, source_id: str, month: date) -> bool:
        known = self.known_of(source_id, month)
        return known is None or self.now < known.exported_at + QUIET


def months_before(month: date, count: int) -> date:
    """The first day of the month `count` months before `month`."""
    year, index = divmod(month.year * 12 + month.month - 1 - count, 12)
    return date(year, index + 1, 1)


def end_of(month: date) -> date:
    """The last day of the month."""
    return months_before(month, -1) - timedelta(days=1)
