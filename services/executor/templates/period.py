"""The days that a run covers, in templates that declare these parameters:
  - `date`: one day;
  - `start_date` and `end_date`: every day of this range;
  - `days: changed`: the days that the run itself finds to have changed at the source.

The four names have the same meaning in every template: `overlap: refuse` and SQL (as @first_day, @last_day and @run_days) derive a run's
days from them.

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
DAYS, CHANGED = "days", "changed"
MAX_DAYS = 31
TODAY = "today"


def has_period(types: Mapping[str, ParameterType]) -> bool:
    """True if a template with these parameters runs for days. Raises ValueError, saying what is missing, if it declares only some of the
    parameters.
    """
    if DAYS in types and (types[DAYS] is not ParameterType.CHOICE or DAY not in types):
        raise ValueError(f"the parameter {DAYS} must be of type {ParameterType.CHOICE}, and goes with {DAY}")
    if wrong := [name for name in (DAY, *RANGE) if types.get(name, ParameterType.DATE) is not ParameterType.DATE]:
        raise ValueError(f"the parameter {wrong[0]} must be of type {ParameterType.DATE}")
    declared = [name for name in RANGE if name in types]
    if declared and (len(declared) < len(RANGE) or DAY not in types):
        raise ValueError(f"{' and '.join(RANGE)} go together, and with {DAY}")
    return DAY in types


def check_defaults(specs: Mapping[str, ParameterSpec]) -> None:
    """Raises ValueError, saying what is right, for a period parameter with a timezone other than UTC, with `today` as default, or with
    other choices.
    """
    if DAYS in specs and specs[DAYS].choices != (CHANGED,):
        raise ValueError(f"the parameter {DAYS} has the one choice {CHANGED}")
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
    """The parameters that get no default: if one of date, start_date, end_date and days is given, none of the others gets its default."""
    names = (DAY, *RANGE, DAYS)
    return names if any(given.get(name) is not None for name in names) else ()


def is_changed(values: Mapping[str, Value]) -> bool:
    """True if the run is for the days that have changed at the source."""
    return values.get(DAYS) == CHANGED


def period_of(values: Mapping[str, Value], *, most_days: int = MAX_DAYS, path: str = "parameters.") -> Period | None:
    """The days of these parameters; None for a template without `date`, and for `days: changed`, because the run itself finds those days.
    Raises InvalidArgument, naming `{path}{name}`, unless the parameters name one day, an ordered range of at most `most_days` days, or
    changed days.
    """
    if DAY not in values:
        return None
    given = [name for name in (DAY, *RANGE) if values.get(name) is not None]
    if is_changed(values):
        if given:
            raise InvalidArgument(f"{path}{DAYS}", f"give either {DAYS}, or {given[0]}.")
        return None
    day = values[DAY]
    if isinstance(day, date):
        if given != [DAY]:
            raise InvalidArgument(f"{path}{DAY}", f"give either {DAY}, or {' and '.join(RANGE)}.")
        return Period(first=day, last=day)
    if not given:
        also = f", or {' and '.join(RANGE)}" if RANGE[0] in values else ""
        also += f", or {DAYS}: {CHANGED}" if DAYS in values else ""
        raise InvalidArgument(f"{path}{DAY}", f"is required. Give {DAY}{also}.")
    return _range(values, most_days=most_days, path=path)


def _range(values: Mapping[str, Value], *, most_days: int, path: str) -> Period:
    first, last = (values[name] for name in RANGE)
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
