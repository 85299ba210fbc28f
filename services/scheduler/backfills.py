"""A backfill: one run of a schedule for each day of a range. Which days, and what their runs are; no I/O."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from services.platform.errors import InvalidArgument
from services.platform.time_zones import zone_of
from services.scheduler.ids import backfill_run_id
from services.scheduler.schedules import Schedule
from services.scheduler.zones import first_moment, wall_clock

MOST_DAYS = 366
PARAMETER = "date"
"""The date parameter that a backfill sets."""
PRIORITY = -100
"""Below whatever a schedule may have, also after its retries: a backfill waits for the scheduled runs."""
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class BackfillRun:
    """The run for one day."""

    run_id: str
    scheduled_time: datetime
    """The day's first moment in the schedule's zone, in UTC."""
    parameters: dict[str, Any]


def days_between(start: str, end: str, today: date) -> Sequence[date]:
    """The days from `start` to `end`, both included. `today` is the schedule's. Raises InvalidArgument, naming the field that is wrong."""
    first, last = _day("start_date", start), _day("end_date", end)
    if last < first:
        raise InvalidArgument("end_date", "use a day not before start_date.")
    if last > today:
        raise InvalidArgument("end_date", f"use a day not in the future; in the schedule's zone it is {today.isoformat()}.")
    if (last - first).days > MOST_DAYS:
        raise InvalidArgument("end_date", f"use a day at most {MOST_DAYS} days after start_date; send a longer range in parts.")
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def check_takes_a_day(date_parameters: Sequence[str]) -> None:
    """Raises InvalidArgument unless the pipeline has a date parameter for the day."""
    if PARAMETER not in date_parameters:
        raise InvalidArgument(
            "config_id", f"this schedule's pipeline has no date parameter called `{PARAMETER}`, so it cannot run for a day."
        )


def today_of(schedule: Schedule, now: datetime) -> date:
    """The day it is in the schedule's zone. Raises InvalidArgument if others wrote a zone that cannot be."""
    return wall_clock(now, zone_of(schedule.timezone)).date()


def runs_of(schedule: Schedule, days: Sequence[date]) -> Iterator[BackfillRun]:
    """One run a day."""
    zone = zone_of(schedule.timezone)
    for day in days:
        yield BackfillRun(
            run_id=backfill_run_id(schedule.config_id, day),
            scheduled_time=first_moment(datetime.combine(day, time()), zone),
            parameters={**schedule.parameters, PARAMETER: day.isoformat()},
        )


def _day(field: str, text: str) -> date:
    try:
        day = date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        raise InvalidArgument(field, "use a date that exists, YYYY-MM-DD.")
    return day
