"""How settled the days of a range are, from the ledger of days."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Self

from services.executor.records import Period


class CountedAs(StrEnum):
    """A day's state in the ledger, from the least settled to the most. UNKNOWN: the ledger has no row for the day."""

    OPEN = "OPEN"
    SETTLING = "SETTLING"
    FINAL = "FINAL"
    UNKNOWN = "UNKNOWN"


_ORDER = [CountedAs.OPEN, CountedAs.SETTLING, CountedAs.FINAL]


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownDay:
    """One source's day in the ledger."""

    source: str
    day: date
    version: int
    focus_version: int
    state: CountedAs
    last_loaded_at: datetime | None
    is_loaded: bool = True
    """False: it only has rows of another month's bill."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row. A state that this release does not know is UNKNOWN."""
        state = row["state"]
        return cls(
            source=row["source"],
            day=row["usage_date"],
            version=row["version"] or 0,
            focus_version=row["focus_version"] or 0,
            state=CountedAs(state) if state in set(CountedAs) else CountedAs.UNKNOWN,
            last_loaded_at=row["last_loaded_at"],
            is_loaded=row["is_loaded"] is not False,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceCoverage:
    """One source within a range."""

    source: str
    first_day: date
    """The source's first known day, in the range or not."""
    states: Mapping[CountedAs, int]
    holes: tuple[date, ...]
    """Days of the range after `first_day` and before today without a row, in order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """All sources within a range. Each day of the range counts once: in `states`, or in `holes`."""

    states: Mapping[CountedAs, int]
    holes: tuple[date, ...]
    behind: int
    """Days whose costs in FOCUS's columns are older than their billing rows."""
    as_of: datetime | None
    sources: tuple[SourceCoverage, ...]


def coverage(ledger: Iterable[KnownDay], period: Period, today: date) -> Coverage:
    """The coverage of the period's days, from the whole `ledger`. Only loaded days count. If several sources have a day, the least settled
    state counts, and the day is a hole if it is a hole of any source. Days from `today` on without a row are OPEN.
    """
    by_source = defaultdict[str, dict[date, KnownDay]](dict)
    for one in ledger:
        if one.is_loaded:
            by_source[one.source][one.day] = one
    sources = tuple(_source(name, days, period, today) for name, days in sorted(by_source.items()))
    holes = {day for source in sources for day in source.holes}
    states = dict.fromkeys(CountedAs, 0)
    behind, loaded = 0, list[datetime]()
    for day in period.days:
        known = [days[day] for days in by_source.values() if day in days]
        loaded += [one.last_loaded_at for one in known if one.last_loaded_at is not None]
        behind += any(one.focus_version < one.version for one in known)
        if day not in holes:
            states[_least_settled(known, day, today)] += 1
    return Coverage(states=states, holes=tuple(sorted(holes)), behind=behind, as_of=max(loaded, default=None), sources=sources)


def versions(ledger: Iterable[KnownDay], period: Period) -> str:
    """A digest of the published versions of the period's days. As long as it is the same, the costs are, too. Empty: the ledger has none of
    the days.
    """
    known = sorted((one.source, one.day.toordinal(), one.focus_version) for one in ledger if period.first <= one.day <= period.last)
    return hashlib.sha256(repr(known).encode()).hexdigest() if known else ""


def _source(name: str, days: Mapping[date, KnownDay], period: Period, today: date) -> SourceCoverage:
    first, states = min(days), dict.fromkeys(CountedAs, 0)
    for day in period.days:
        if day in days:
            states[days[day].state] += 1
    holes = tuple(day for day in period.days if first < day < today and day not in days)
    return SourceCoverage(source=name, first_day=first, states=states, holes=holes)


def _least_settled(known: Sequence[KnownDay], day: date, today: date) -> CountedAs:
    if not known:
        return CountedAs.OPEN if day >= today else CountedAs.UNKNOWN
    states = {one.state for one in known}
    return next((state for state in _ORDER if state in states), CountedAs.UNKNOWN)
