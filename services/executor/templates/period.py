"""The days that a run covers: the parameter `date`, or every day from `start_date` to `end_date`, in templates that declare them.

These three names have this meaning in every template: `overlap: refuse` and SQL (as @first_day and @last_day) derive a run's days from
them.

Days are UTC days, whatever timezone a schedule has: exports and tables are partitioned by UTC days. Data of a day that is not over is
incomplete, so such a day must be given as a date; `today`, and a default that means it, is refused.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from services.executor.records import Period
from services.executor.templates.parameters import ParameterSpec, ParameterType, Value, parse
from services.platform.clock import utc_day
from services.platform.errors import InvalidArgument

DAY = "date"
RANGE = ("start_date", "end_date")
MAX_DAYS = 31
TODAY = "today"


def has_period(types: Mapping[str, ParameterType]) -> bool:
    """True if a template with these parameters runs for days. Raises ValueError, saying what is missing, if it declares only some of the
    parameters.
    """
    if wrong := [name for name in (DAY, *RANGE) if types.get(name, ParameterType.DATE) is not ParameterType.DATE]:
        raise ValueError(f"the parameter {wrong[0]} must be of type {ParameterType.DATE}")
    declared = [name for name in RANGE if name in types]
    if declared and (len(declared) < len(RANGE) or DAY not in types):
        raise ValueError(f"{' and '.join(RANGE)} go together, and with {DAY}")
    return DAY in types


def check_defaults(specs: Mapping[str, ParameterSpec]) -> None:
    """Raises ValueError, saying what is right, for a period parameter with a timezone other than UTC, or with `today` as default."""
    for spec in (specs[name] for name in (DAY, *RANGE) if name in specs):
        if str(spec.zone) != "UTC":
            raise ValueError(f"the days of a run are UTC days, so {spec.name} has no timezone: leave {spec.zone} away")
        if TODAY in (spec.default, spec.scheduled):
            raise ValueError(f"{TODAY} is never over, so it is no default of {spec.name}: use yesterday")


def check_days(given: Mapping[str, object], values: Mapping[str, Value], now: datetime, *, path: str = "parameters.") -> None:
    """Raises InvalidArgument, naming `{path}{name}`, if a day of the run is `given` as `today`, or lies in the future."""
    today = utc_day(now)
    for name in (DAY, *RANGE):
        if given.get(name) == TODAY:
            raise InvalidArgument(
                f"{path}{name}",
                f"{TODAY} ({today.isoformat()} in UTC) is not over, and only part of it could be loaded. Use yesterday, or, if that part "
                "is what you want, name the day by its date, YYYY-MM-DD.",
            )
        value = values.get(name)
        if isinstance(value, date) and value > today:
            raise InvalidArgument(
                f"{path}{name}", f"{value.isoformat()} is still to come; in UTC it is {today.isoformat()}. Use an earlier day."
            )


def days_not_over(parameters: Mapping[str, object], began: datetime) -> list[date]:
    """The days that were not over when a run with these recorded parameters began. Empty for a run that does not cover days."""
    try:
        values = {name: parse(ParameterType.DATE, parameters[name]) if name in parameters else None for name in (DAY, *RANGE)}
        period = period_of(values, most_days=366)
    except (ValueError, InvalidArgument):
        return []
    return period.not_over(began) if period else []


def unfilled(given: Mapping[str, object]) -> tuple[str, ...]:
    """Which of the three get no default: if any of date/start_date/end_date is given, none of the three gets its default."""
    names = (DAY, *RANGE)
    return names if any(given.get(name) is not None for name in names) else ()


def period_of(values: Mapping[str, Value], *, most_days: int = MAX_DAYS, path: str = "parameters.") -> Period | None:
    """The days of these parameters; None for a template without `date`. Raises InvalidArgument, naming `{path}{name}`, unless they are
    either one day, or a range in order of at most `most_days` days.
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
