"""The days that a run covers: the parameter `date`, or each day from `start_date` to `end_date`, where its template declares them.

These three names mean this in every template: that is how `overlap: refuse` and SQL (as @first_day and @last_day) know a run's days.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from services.executor.parameters import ParameterType, Value
from services.platform.errors import InvalidArgument

DAY = "date"
RANGE = ("start_date", "end_date")
MOST_DAYS = 31


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """From one day to another, both included."""

    first: date
    last: date

    @property
    def days(self) -> list[date]:
        """At least one."""
        return [self.first + timedelta(days=day) for day in range((self.last - self.first).days + 1)]

    @property
    def params(self) -> dict[str, date]:
        """As every SQL block sees them that declares them."""
        return {"first_day": self.first, "last_day": self.last}


def has_period(types: Mapping[str, ParameterType]) -> bool:
    """Whether a template with these parameters is run for days. Raises ValueError, saying what is missing, for one that declares only half
    of what it takes.
    """
    if wrong := [name for name in (DAY, *RANGE) if types.get(name, ParameterType.DATE) is not ParameterType.DATE]:
        raise ValueError(f"the parameter {wrong[0]} must be of type {ParameterType.DATE}")
    declared = [name for name in RANGE if name in types]
    if declared and (len(declared) < len(RANGE) or DAY not in types):
        raise ValueError(f"{' and '.join(RANGE)} go together, and with {DAY}")
    return DAY in types


def unfilled(given: Mapping[str, object]) -> tuple[str, ...]:
    """Which of the three get no default: whoever gives some of them means these."""
    names = (DAY, *RANGE)
    return names if any(given.get(name) is not None for name in names) else ()


def period_of(values: Mapping[str, Value], *, most_days: int = MOST_DAYS, path: str = "parameters.") -> Period | None:
    """The days that these parameters mean; None for a template without `date`. Raises InvalidArgument, naming `{path}{name}`, unless they
    mean either one day, or at most `most_days` in order.
    """
    if DAY not in values:
        return None
    day, first, last = (values.get(name) for name in (DAY, *RANGE))
    if isinstance(day, date):
        if first is not None or last is not None:
            raise InvalidArgument(f"{path}{DAY}", f"give either {DAY}, or {' and '.join(RANGE)}.")
        return Period(first=day, last=day)
    if first is None and last is None:
        also = f", or {' and '.join(RANGE)}" if RANGE[0] in values else ""
        raise InvalidArgument(f"{path}{DAY}", f"is required. Give {DAY}{also}.")
    for name in RANGE:
        if values[name] is None:
            raise InvalidArgument(f"{path}{name}", f"is required, for {' and '.join(RANGE)} go together.")
    if not isinstance(first, date) or not isinstance(last, date):
        raise TypeError("start_date and end_date are dates")
    if last < first:
        raise InvalidArgument(f"{path}{RANGE[1]}", f"use {RANGE[0]} or a later day.")
    if last >= first + timedelta(days=most_days):
        raise InvalidArgument(f"{path}{RANGE[1]}", f"one run covers at most {most_days} days, {RANGE[0]} and {RANGE[1]} included.")
    return Period(first=first, last=last)
