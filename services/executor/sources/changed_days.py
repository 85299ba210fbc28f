"""Decides which days a run with `days: changed` reads, and which rows of each. Pure: what is known is passed in."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from services.executor.ledger.days import Ledger, LedgerDay
from services.executor.ledger.store import PublishedDay
from services.executor.records import Period

MOST_DAYS: Final = 31
"""The most days of one run. Memory, the timeout and one publishing transaction are designed for this number."""
CLOSE: Final = 1e-6
"""Sums of the same rows differ by less: the ledger's have nine decimals."""
KEPT: Final = 0.5
"""A new export does not replace a day if it has less than this part of the day's published rows or cost."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangedRequest:
    """What a source gets to know to find what has changed."""

    ledger: Ledger
    published: Mapping[date, PublishedDay]
    """What is published of days, even if the ledger does not have them. Only filled while the source has no watermark."""
    today: date
    """The UTC day; it is not over."""
    history_days: int
    """Days up to today that a tenant's first run reads."""

    @property
    def window(self) -> Period:
        """The last `history_days` days, today included."""
        return Period(first=self.today - timedelta(days=self.history_days - 1), last=self.today)

    @property
    def horizon(self) -> date:
        """The first day that is kept up to date."""
        return min([self.window.first, *self.ledger.followed])

    def published_of(self, day: date) -> PublishedDay | None:
        """What is published of a day, as far as it is known."""
        if known := self.ledger.days.get(day):
            return PublishedDay(row_count=known.row_count, sizes=known.sizes)
        return self.published.get(day)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The days of a run."""

    whole: tuple[date, ...]
    """Read as a whole: never read before, or from another export."""
    tails: Mapping[date, datetime]
    """Days that are published already: only their rows exported after the given time are read."""
    is_complete: bool
    """True if the watermark may be moved: it passes no rows of a day that is left for the next run."""

    @property
    def days(self) -> list[date]:
        """All days, in order."""
        return sorted({*self.whole, *self.tails})


def plan(
    request: ChangedRequest, arrived: Mapping[date, datetime], *, watermark: datetime, replaced: frozenset[date] = frozenset()
) -> Plan:
    """The days of a run of a source that has been read up to `watermark`.

    `arrived`: for each day with rows exported after the watermark, the greatest export time of these rows. `replaced`: followed days that
    are now read from another table. Days that were never read come first, then the others, each the oldest first.
    """
    followed = request.ledger.followed
    holes = [day for day in Period(first=request.horizon, last=request.today).days if day not in followed]
    moved = [day for day, known in sorted(followed.items()) if day in replaced or _has_moved(known, arrived.get(day))]
    taken = [*holes, *moved][:MOST_DAYS]
    whole = tuple(day for day in taken if day not in followed or day in replaced)
    tails = {day: max(watermark, followed[day].exported_to or watermark) for day in taken if day not in whole}
    return Plan(whole=whole, tails=tails, is_complete=len(holes) + len(moved) <= MOST_DAYS or not moved)


def _has_moved(known: LedgerDay, arrived: datetime | None) -> bool:
    newer = arrived is not None and (known.exported_to is None or arrived > known.exported_to)
    return newer or known.lags_in_focus


class Compared(StrEnum):
    """A day of an export, compared with what is published of it."""

    SAME = "same"
    """As many rows, and as much cost in each currency."""
    OTHER = "other"
    MUCH_LESS = "much_less"
    """So much less that it does not replace what is published: a recreated export may not reach back as far."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldDay:
    """What a table of a source holds of a day."""

    row_count: int
    sizes: Mapping[str | None, float]
    """By currency, the sum of absolute costs before credits."""


def compare(published: PublishedDay | None, held: Sequence[HeldDay]) -> Compared:
    """`held`: what each table has that has rows of the day; the day is read from one of them. If nothing is published, that counts as no
    rows.
    """
    known = published or PublishedDay(row_count=0, sizes={})
    tables = held or [HeldDay(row_count=0, sizes={})]
    if all(_is_much_less(known, one) for one in tables):
        return Compared.MUCH_LESS
    return Compared.SAME if any(_is_same(known, one) for one in tables) else Compared.OTHER


def _is_much_less(published: PublishedDay, held: HeldDay) -> bool:
    if held.row_count < KEPT * published.row_count:
        return True
    return any(held.sizes.get(currency, 0.0) < KEPT * float(size) for currency, size in published.sizes.items())


def _is_same(published: PublishedDay, held: HeldDay) -> bool:
    def is_close(currency: str | None) -> bool:
        return math.isclose(held.sizes.get(currency, 0.0), float(published.sizes.get(currency, 0)), rel_tol=CLOSE, abs_tol=CLOSE)

    return held.row_count == published.row_count and all(is_close(currency) for currency in {**published.sizes, **held.sizes})
