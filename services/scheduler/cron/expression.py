"""When a schedule fires: five-field cron, evaluated in the schedule's timezone, with rules for daylight saving.

`fields` parses an expression. croniter finds the wall-clock times that match it, without a timezone. This module turns these times into
moments in UTC. When the clock changes, the result depends on the hour field:

- **Fixed hours** (`2`, `1,2`, `9-17`): a job for a time of day. Each matching time fires once. If the clock shows it twice, it fires the
  first time; if the clock skips it, it fires at the moment of the jump (02:30 -> 03:00). Two times at one moment are one fire time.
- **Elapsed time** (`*`, `*/6`, `8-18/2`, or all 24 hours): a job at intervals. It fires whenever the clock shows a matching time: twice
  in an hour that is repeated, never in an hour that is skipped. An hourly job fires 23 or 25 times on those days.

`fields` refuses some expressions that croniter accepts. A schedule that already has one in the tables keeps firing as croniter reads it.
All functions are pure.
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
from services.scheduler.cron.fields import FIELDS, LENGTH, parse_cron
from services.scheduler.cron.zones import first_moment, is_repeated, next_change, offset_at, wall_clock

_SURPRISES: Final = re.compile(r"\b0*(\w+)-0*\1\b|\b[HR]\b", re.IGNORECASE)
"""croniter reads `3-3` as every value of the field, and chooses `R` at random."""
_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class FireTime:
    """One fire time, as shown to people."""

    utc: datetime
    local: datetime
    """The same moment in the schedule's timezone."""
    note: str
    """How daylight saving shifts it; empty: not at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fire:
    utc: datetime
    wall: datetime
    """The wall-clock time that the expression names; the clock may skip it."""


def check_cron(cron: str) -> str:
    """The expression with single spaces. Raises InvalidArgument for one that `fields` refuses."""
    return parse_cron(cron).text


def next_after(cron: str, zone: str, moment: datetime) -> datetime:
    """The first fire time after `moment` (with a timezone), in UTC. Raises InvalidArgument for a bad expression or timezone."""
    return next(_fires(cron, zone, moment)).utc


def fire_times_between(cron: str, zone: str, after: datetime, until: datetime, limit: int) -> list[datetime]:
    """The first `limit` fire times in (after, until], in UTC. Raises as `next_after` does."""
    return [fire.utc for fire in islice(takewhile(lambda fire: fire.utc <= until, _fires(cron, zone, after)), limit)]


def latest_between(cron: str, zone: str, after: datetime, until: datetime) -> datetime | None:
    """The last fire time in (after, until], in UTC, found without listing those before it. Raises as `next_after` does."""
    window = timedelta(minutes=1)
    while True:
        start = max(after, until - window)
        found = fire_times_between(cron, zone, start, until, 1)
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
    """The next `count` fire times after `moment`, each with its note on daylight saving. Raises as `next_after` does."""
    place, elapsed = zone_of(zone), _read(cron).elapsed
    return [
        FireTime(utc=fire.utc, local=fire.utc.astimezone(place), note=_note(fire, place, elapsed=elapsed))
        for fire in islice(_fires(cron, zone, moment), count)
    ]


def _fires(cron: str, zone: str, moment: datetime) -> Iterator[_Fire]:
    read, place = _read(cron), zone_of(zone)
    walk = _elapsed_fires if read.elapsed else _fixed_fires
    return walk(read.plain, place, moment.astimezone(UTC))


def _fixed_fires(text: str, zone: ZoneInfo, moment: datetime) -> Iterator[_Fire]:
    # A later wall time never has an earlier first moment, so the wall times before the one at `moment` can be skipped.
    wall = wall_clock(moment, zone)
    while True:
        wall = _next_wall(text, wall)
        utc = first_moment(wall, zone)
        if utc > moment:
            yield _Fire(utc=utc, wall=wall)
            moment = utc


def _elapsed_fires(text: str, zone: ZoneInfo, moment: datetime) -> Iterator[_Fire]:
    # While the offset is constant, the wall clock is UTC plus the offset. Where it changes, start again at that moment.
    known, reached, offset = moment, moment, offset_at(moment, zone)
    while True:
        wall = _next_wall(text, (reached + offset).replace(tzinfo=None))
        utc = wall.replace(tzinfo=UTC) - offset
        change = next_change(zone, known, utc)
        if change is None:
            yield _Fire(utc=utc, wall=wall)
            known = reached = utc
        else:
            known, reached, offset = change, change - _TICK, offset_at(change, zone)


def _note(fire: _Fire, zone: ZoneInfo, *, elapsed: bool) -> str:
    shown, named = wall_clock(fire.utc, zone), f"{fire.wall:%H:%M}"
    if shown != fire.wall:
        return f"{named} does not exist on {fire.wall:%Y-%m-%d}: it runs at {shown:%H:%M}."
    if is_repeated(fire.wall, zone):
        return f"{named} comes twice on {fire.wall:%Y-%m-%d}: it runs {'both times' if elapsed else 'the first time'}."
    return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    plain: str
    """The form passed to croniter."""
    elapsed: bool
    """True for elapsed time, see above."""


@lru_cache(maxsize=4096)
def _read(cron: str) -> _Read:
    try:
        plain = parse_cron(cron).plain
    except InvalidArgument:
        if (before := _as_croniter_has_it(cron)) is None:
            raise
        plain = before
    hours = cron.split()[1]
    return _Read(plain=plain, elapsed="*" in hours or "/" in hours or croniter.expand(plain)[0][1] == ["*"])


def _as_croniter_has_it(cron: str) -> str | None:
    """The expression if croniter accepts it although `fields` refuses it, else None."""
    fields = cron.split()
    text = " ".join(fields)
    if len(fields) != len(FIELDS) or len(cron) > LENGTH or _SURPRISES.search(text):
        return None
    try:
        _next_wall(text, datetime(2000, 1, 1))  # noqa: DTZ001 - a wall clock has no timezone
    except ValueError:
        return None
    return text


@lru_cache(maxsize=4096)
def _next_wall(text: str, wall: datetime) -> datetime:
    # Many schedules share an expression and are evaluated at the same moment.
    found: datetime = croniter(text, wall).get_next(datetime)
    return found
