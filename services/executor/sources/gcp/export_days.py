"""Chooses, for each day, which of an account's two exports is read. It compares what they hold.

The detailed export has every row of the standard one from the moment when it was turned on (or from the start of the previous month, in a
multi-region). Earlier days are only in the standard one, and the detailed one may have a part of the day itself.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from services.executor.records import Period

FULL = 0.99
"""The detailed export counts as complete from this fraction of the standard export's size: the two are written at different times."""
MAX_NAMED = 3
"""Ranges of days that a reason names."""

type Sizes = Mapping[str | None, float]
"""An export's size on one UTC day: for each currency the sum of absolute costs before credits, so that refunds do not hide usage."""
type Days = Mapping[date, Sizes]
"""Days without rows are absent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """Days, one after the other in the period, that are read from the same export."""

    detailed: bool
    period: Period


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Which export is read for which days, and why, worded for the tenant."""

    stretches: tuple[Stretch, ...]
    """In order: together exactly the days of the period."""
    reason: str


def choose(*, standard: Days, detailed: Days, period: Period) -> Choice:
    """The detailed export for each day of the period on which it is complete compared with the standard one, else the standard one."""
    absent = [day for day in period.days if day in standard and day not in detailed]
    lacking = {day: short_in(detailed[day], standard[day]) for day in period.days if day in standard and day in detailed}
    short = {day: currencies for day, currencies in lacking.items() if currencies}
    runs = itertools.groupby(period.days, key=lambda day: day not in absent and day not in short)
    stretches = [Stretch(detailed=detailed, period=Period.of(run)) for detailed, run in runs]
    return Choice(stretches=tuple(stretches), reason=_reason(absent, short, mixed=len(stretches) > 1))


def short_in(detailed: Sizes, standard: Sizes) -> list[str]:
    """The currencies in which a day's detailed rows have less than FULL of the standard rows' size. NaN and infinite sizes do not count as
    less: the checks report them.
    """
    return [currency or "no currency" for currency, size in standard.items() if detailed.get(currency, 0.0) < FULL * size]


def _reason(absent: Sequence[date], short: Mapping[date, Sequence[str]], *, mixed: bool) -> str:
    less = f"less than {FULL:.0%} of the standard one's cost"
    if not absent and not short:
        return f"On no day does the detailed export have {less}, in any currency."
    lacks = [f"no rows on {_named(absent)}"] if absent else []
    currencies = sorted({currency for some in short.values() for currency in some})
    lacks += [f"{less} in {' or '.join(currencies)} on {_named(short)}"] if short else []
    what = "These days are read from the standard export, the others from the detailed one." if mixed else "The standard export is read."
    return f"The detailed export has {', and '.join(lacks)}. {what}"


def _named(days: Iterable[date]) -> str:
    """Days in order, as ranges."""
    spans = Period.of(days).stretches
    names = [str(first) if first == last else f"{first} to {last}" for first, last in spans[:MAX_NAMED]]
    more = sum((last - first).days + 1 for first, last in spans[MAX_NAMED:])
    return f"{', '.join(names)}{f' and {more} more days' if more > 1 else ' and 1 more day' if more else ''}"
