"""When a schedule fires: five-field cron, read in the schedule's own zone, on every night of the year.

croniter knows the calendar, without zones: which times of a wall clock an expression names. What happens to them on the nights on which
the clock is moved is decided here, by the hour field:

- **Fixed hours** (`2`, `1,2`, `9-17`): a job for a time of day. Each named time fires once: the first time the clock shows it, and if the
  clock jumps over it, at the moment of the jump (02:30 -> 03:00). Two named times that fall on one moment are one slot.
- **Elapsed time** (`*`, `*/6`, `8-18/2`, or all 24 hours): a job for every so often. It fires whenever the clock shows a matching time, so
  on the night that has an hour twice also the second time, and not for an hour that is not there: hourly is 23 and 25 times on those days.

Day of month and day of week both given: either is enough, as cron has it. Everything is pure: the same question has the same answer.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from typing import Final
from zoneinfo import ZoneInfo

from croniter import croniter

from services.platform.errors import InvalidArgument
from services.platform.time_zones import zone_of
from services.scheduler.zones import first_moment, is_repeated, next_change, offset_at, wall_clock

_FIELDS: Final = 5
_LENGTH: Final = 200
_SURPRISES: Final = re.compile(r"\b0*(\w+)-0*\1\b|\b[HR]\b", re.IGNORECASE)
"""croniter takes `3-3` for all values of the field, and draws lots for `R`."""
_TICK: Final = timedelta(microseconds=1)
_HELP: Final = "use five fields: minute, hour, day of month, month, day of week, e.g. `30 2 * * *`"


@dataclass(frozen=True, kw_only=True, slots=True)
class FireTime:
    """One slot, for people."""

    utc: datetime
    local: datetime
    """The same moment in the schedule's zone."""
    note: str
    """What daylight saving does to it; empty: nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Slot:
    utc: datetime
    wall: datetime
    """The time that the expression names; the clock may have jumped over it."""


def check_cron(cron: str) -> str:
    """The expression with single spaces. Raises InvalidArgument unless it has five fields and fires at all."""
    fields = cron.split()
    if cron.startswith("@"):
        raise InvalidArgument("schedule_cron", f"names such as @daily are not taken; {_HELP}.")
    if len(fields) != _FIELDS or len(cron) > _LENGTH:
        raise InvalidArgument("schedule_cron", f"{_HELP}.")
    text = " ".join(fields)
    if _SURPRISES.search(text):
        raise InvalidArgument("schedule_cron", f"ranges of one (`3-3`) and random times (`R`, `H`) are not taken; {_HELP}.")
    try:
        _next_wall(text, datetime(2000, 1, 1))  # noqa: DTZ001 - a wall clock has no zone
    except ValueError as error:
        never = "failed to find next date" in str(error)
        why = "no such date ever comes" if never else "it cannot be read as cron"
        raise InvalidArgument("schedule_cron", f"{why}; {_HELP}.") from error
    return text


def next_after(cron: str, zone: str, moment: datetime) -> datetime:
    """The first slot after `moment` (which must have a timezone), in UTC. Raises InvalidArgument for a bad expression or zone."""
    return next(_slots(cron, zone, moment)).utc


def slots_between(cron: str, zone: str, after: datetime, until: datetime, limit: int) -> list[datetime]:
    """The slots in (after, until], in UTC; the first `limit` of them. Raises as `next_after` does."""
    return [slot.utc for slot in islice(takewhile(lambda slot: slot.utc <= until, _slots(cron, zone, after)), limit)]


def latest_between(cron: str, zone: str, after: datetime, until: datetime) -> datetime | None:
    """The last slot in (after, until], in UTC, found without walking through all before it. Raises as `next_after` does."""
    window = timedelta(minutes=1)
    while True:
        start = max(after, until - window)
        found = slots_between(cron, zone, start, until, 1)
        if found:
            break
        if start == after:
            return None
        window *= 2
    latest = found[0]
    while (following := next_after(cron, zone, latest)) <= until:
        latest = following
    return latest


def fire_times(cron: str, zone: str, moment: datetime, count: int) -> list[FireTime]:
    """The next `count` slots after `moment`, each with what daylight saving does to it. Raises as `next_after` does."""
    place, elapsed = zone_of(zone), _follows_elapsed_time(_checked(cron))
    return [
        FireTime(utc=slot.utc, local=slot.utc.astimezone(place), note=_note(slot, place, elapsed=elapsed))
        for slot in islice(_slots(cron, zone, moment), count)
    ]


def _slots(cron: str, zone: str, moment: datetime) -> Iterator[_Slot]:
    text, place = _checked(cron), zone_of(zone)
    walk = _elapsed_slots if _follows_elapsed_time(text) else _fixed_slots
    return walk(text, place, moment.astimezone(UTC))


def _fixed_slots(text: str, zone: ZoneInfo, moment: datetime) -> Iterator[_Slot]:
    # A later wall never has an earlier first moment, so the walls before the one at `moment` need no look.
    wall = wall_clock(moment, zone)
    while True:
        wall = _next_wall(text, wall)
        utc = first_moment(wall, zone)
        if utc > moment:
            yield _Slot(utc=utc, wall=wall)
            moment = utc


def _elapsed_slots(text: str, zone: ZoneInfo, moment: datetime) -> Iterator[_Slot]:
    # As long as the offset stays, the wall clock is UTC moved by it; where it changes, begin again at that very moment.
    known, reached, offset = moment, moment, offset_at(moment, zone)
    while True:
        wall = _next_wall(text, (reached + offset).replace(tzinfo=None))
        utc = wall.replace(tzinfo=UTC) - offset
        change = next_change(zone, known, utc)
        if change is None:
            yield _Slot(utc=utc, wall=wall)
            known = reached = utc
        else:
            known, reached, offset = change, change - _TICK, offset_at(change, zone)


def _follows_elapsed_time(text: str) -> bool:
    hours = text.split()[1]
    return "*" in hours or "/" in hours or croniter.expand(text)[0][1] == ["*"]


def _note(slot: _Slot, zone: ZoneInfo, *, elapsed: bool) -> str:
    shown, named = wall_clock(slot.utc, zone), f"{slot.wall:%H:%M}"
    if shown != slot.wall:
        return f"{named} does not exist on {slot.wall:%Y-%m-%d}: it runs at {shown:%H:%M}."
    if is_repeated(slot.wall, zone):
        return f"{named} comes twice on {slot.wall:%Y-%m-%d}: it runs {'both times' if elapsed else 'the first time'}."
    return ""


@lru_cache(maxsize=4096)
def _checked(cron: str) -> str:
    return check_cron(cron)


@lru_cache(maxsize=4096)
def _next_wall(text: str, wall: datetime) -> datetime:
    # Many schedules share an expression, and are asked about at the same moment.
    found: datetime = croniter(text, wall).get_next(datetime)
    return found
