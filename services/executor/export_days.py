"""Which of an account's two exports a run reads, by what they hold of its days.

The detailed export holds every row of the standard one, from the day on which it was turned on (or the start of the month before, in a
multi-region): for earlier days only the standard one has rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from services.executor.period import Period

FULL = 0.5
"""Of the other export's cost: a day with less is taken for one that has not arrived, or only in part."""
MOST_NAMED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class DayTotals:
    """What an export holds of one UTC day."""

    rows: int
    cost: float
    """Before credits."""


type Days = Mapping[date, DayTotals]
"""Days without rows are absent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preference:
    """Which export is read, and why, in words for the tenant."""

    detailed: bool
    reason: str


def prefer(*, standard: Days, detailed: Days, period: Period) -> Preference:
    """The export that is short of fewer days of the period; the detailed one if both are short of as many."""
    without, less = short_days(detailed, standard, period), short_days(standard, detailed, period)
    if not without:
        return Preference(detailed=True, reason="The detailed export has all the days that the standard one has.")
    lack = f"the detailed one has no rows, or less than half of the cost, on {_named(without)}"
    if not less:
        return Preference(detailed=False, reason=f"The standard export has all the days; {lack}.")
    both = f"Neither export has all the days: {lack}, the standard one on {_named(less)}."
    if len(less) < len(without):
        return Preference(detailed=False, reason=f"{both} The standard one has more of them.")
    return Preference(detailed=True, reason=f"{both} The detailed one has {'as many' if len(less) == len(without) else 'more'} of them.")


def short_days(own: Days, other: Days, period: Period) -> list[date]:
    """The days on which an export has no rows, or less than FULL of the other one's cost, while the other one has more. Costs are compared
    by size: a day may be one of refunds.
    """
    return [day for day in period.days if day in other and (day not in own or abs(own[day].cost) < FULL * abs(other[day].cost))]


def _named(days: Sequence[date]) -> str:
    more = len(days) - MOST_NAMED
    return f"{', '.join(day.isoformat() for day in days[:MOST_NAMED])}{f' and {more} more days' if more > 0 else ''}"
