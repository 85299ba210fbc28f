"""What else happens in a replayed month: when runs are started, when none is, when they fail, and when the export is made anew."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from tests.support.executor.replay.month import DAY, HOUR, Month, Scale

HOURS = os.environ.get("REPLAY_HOURS", "")
"""`all`, or how many of the hourly runs from the first one on; empty: only the fewest runs that see everything."""
EVERY_HOUR = HOURS != ""
SOAK = Scale(rows_a_day=24, append_hours=range(24))
"""For a run every hour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recreation:
    """The export is dropped, made again, and filled with the rows that it had, under one new export time."""

    at: datetime
    since: datetime | None = None
    """Only rows of usage from then on come back, as after an export was turned off and on again; None: all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """The calendar of a replay."""

    runs: Sequence[datetime]
    """In order; those in a pause are left out."""
    refused: tuple[datetime, datetime]
    """From, to: Google refuses the tenant's service account."""
    recreations: tuple[Recreation, ...]
    """In order."""

    @classmethod
    def of(cls, month: Month, *, every_hour: bool = EVERY_HOUR) -> Self:
        """Three nights without a run, some hours of refusals, and an export made anew twice, the second time from the month on."""
        start = month.start
        refused = (start + 15 * DAY + 6 * HOUR, start + 15 * DAY + 11 * HOUR)
        anew = Recreation(at=start + 19 * DAY + 8 * HOUR)
        again = Recreation(at=start + 25 * DAY + 8 * HOUR, since=start)
        runs = list(_hourly(month) if every_hour else _chosen(month))[: int(HOURS) if HOURS.isdigit() else None]
        return cls(runs=runs, refused=refused, recreations=(anew, again))

    def is_refused(self, moment: datetime) -> bool:
        """True while the service account is refused."""
        return self.refused[0] <= moment < self.refused[1]


def _hourly(month: Month) -> Iterator[datetime]:
    """At ten past each full hour while rows arrive, but for three nights; then once a day, until the correction after the end."""
    now, quiet = month.start + timedelta(minutes=10), month.charges[-2].arrived + HOUR
    while now < month.end + DAY:
        if not month.start + 8 * DAY + 20 * HOUR <= now < month.start + 11 * DAY + 8 * HOUR:
            yield now
        now += HOUR if now < quiet else DAY


def _chosen(month: Month) -> Iterator[datetime]:
    """The fewest runs that see everything."""
    hours = (
        *(10, 10.5, 34),  # the first, one that finds nothing new, a day later
        8 * 24 + 18,  # before the three nights
        11 * 24 + 10,  # after them
        15 * 24 + 10,  # refused
        16 * 24 + 2,
        *(19 * 24 + 10, 19 * 24 + 11),  # the export was made anew: more days than one run takes
        *(25 * 24 + 10, 25 * 24 + 11),  # and again, from the month on
        38 * 24 + 4,  # the invoice is out
    )
    yield from (month.start + one * HOUR for one in hours)
    yield month.end - 2 * DAY  # all is quiet
    yield month.end + HOUR
