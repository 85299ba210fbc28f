"""A backfill: one run of a schedule for each UTC day of a range. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from services.platform.errors import InvalidArgument
from services.scheduler.ids import backfill_run_id
from services.scheduler.schedules.schedule import Schedule

MAX_DAYS = 366
PARAMETER = "date"
"""The date parameter that a backfill sets."""
CHANGED_DAYS = "days"
PRIORITY = -100
"""Lower than any schedule's, also after its retries: a backfill waits for the scheduled runs."""
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class BackfillRun:
    """The run for one day."""

    run_id: str
    scheduled_time: datetime
    """The start of the day in UTC."""
    parameters: dict[str, Any]


def days_between(start: str, end: str, today: date) -> Sequence[date]:
    """The days from `start` to `end`, both included. `today` is the UTC day. Raises InvalidArgument, naming the field that is wrong."""
    first, last = _day("start_date", start), _day("end_date", end)
    if last < first:
        raise InvalidArgument("end_date", "use a day not before start_date.")
    if last > today:
        raise InvalidArgument("end_date", f"use a day not in the future; days are UTC days, and in UTC it is {today.isoformat()}.")
    if (last - first).days > MAX_DAYS:
        raise InvalidArgument("end_date", f"use a day at most {MAX_DAYS} days after start_date; send a longer range in parts.")
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def check_takes_a_day(date_parameters: Sequence[str], *, covers_months: bool) -> None:
    """Raises InvalidArgument unless the pipeline has the date parameter that a backfill sets."""
    if covers_months:
        raise InvalidArgument(
            "config_id",
            "this schedule's pipeline runs for billing periods, not for days. Run the pipeline with `month` for one of them, or with"
            " `months: open` and a greater `history_months` for all that are missing.",
        )
    if PARAMETER not in date_parameters:
        raise InvalidArgument(
            "config_id", f"this schedule's pipeline has no date parameter called `{PARAMETER}`, so it cannot run for a day."
        )


def for_day(parameters: Mapping[str, Any], day: date) -> dict[str, Any]:
    """A schedule's parameters for one day: a date takes the place of `days: changed`."""
    return {name: value for name, value in parameters.items() if name != CHANGED_DAYS} | {PARAMETER: day.isoformat()}


def runs_of(schedule: Schedule, days: Sequence[date], today: date) -> Iterator[BackfillRun]:
    """One run a day. `today` is the UTC day, which is not over."""
    for day in days:
        yield BackfillRun(
            run_id=backfill_run_id(schedule.config_id, day, is_over=day < today),
            scheduled_time=datetime.combine(day, time(), UTC),
            parameters=for_day(schedule.parameters, day),
        )


def _day(field: str, text: str) -> date:
    try:
        day = date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        raise InvalidArgument(field, "use a date that exists, YYYY-MM-DD.")
    return day
