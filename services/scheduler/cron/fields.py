"""Parses the five fields of a cron expression strictly: what other crons read differently, or what is probably a mistake, is refused. Pure.

A field is a list of values, ranges (`1-5`), `*`, and steps over the last two (`*/15`, `10-40/10`). A step on a single value (`5/15`) is
refused: some crons read it as 5 and every 15th after it, others as 5 alone or as nothing. Months and weekdays may be written as English
names, JAN to DEC and SUN to SAT; 7 is Sunday, too.

If both day fields (day of month, day of week) are restricted, a day that matches either of them fires, as usual in cron. If one of the two
is restricted and the other is a star with a step (`*/2`) or a list of all its days, crons differ: such an expression is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Never

from services.platform.errors import InvalidArgument

FIELD: Final = "schedule_cron"
HELP: Final = "use five fields: minute, hour, day of month, month, day of week, e.g. `30 2 * * *`"
LENGTH: Final = 200
NICKNAMES: Final[Mapping[str, str]] = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_LONGEST: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of each month; of February in a leap year."""
_ITEM: Final = re.compile(r"(?:(?P<star>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    once: str
    """How often a single value occurs, for messages."""
    names: Mapping[str, int] = field(default_factory=dict)
    also: int | None = None
    """A value beyond `high` that means `low`: 7 for Sunday."""

    def refuse(self, why: str) -> Never:
        raise InvalidArgument(FIELD, f"{self.name}: {why}.")

    @property
    def takes(self) -> str:
        words = list(self.names)
        return f"{self.low} to {self.high}" + (f", or {words[0]} to {words[-1]}" if words else "")


_MINUTE = _Field(name="minute", low=0, high=59, once="once an hour")
_HOUR = _Field(name="hour", low=0, high=23, once="once a day")
_DAY = _Field(name="day of month", low=1, high=31, once="once a month")
_MONTH = _Field(name="month", low=1, high=12, once="in one month of the year", names={name: at for at, name in enumerate(_MONTHS, 1)})
_WEEKDAY = _Field(
    name="day of week", low=0, high=6, once="on one day of the week", names={name: at for at, name in enumerate(_WEEKDAYS)}, also=7
)
FIELDS: Final = (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)


@dataclass(frozen=True, kw_only=True, slots=True)
class CronFields:
    """A cron expression with one meaning in every cron."""

    text: str
    """With single spaces, otherwise as given."""
    plain: str
    """As lists of numbers and `*` only, which every cron reads alike."""


def parse_cron(cron: str) -> CronFields:
    """Parses an expression. Raises InvalidArgument, naming the field of the expression, for one that is refused."""
    texts = cron.split()
    if cron.strip().startswith("@"):
        instead = NICKNAMES.get(cron.strip().lower())
        raise InvalidArgument(FIELD, f"names such as @daily are not taken; {f'write `{instead}`' if instead else HELP}.")
    if len(cron) > LENGTH:
        raise InvalidArgument(FIELD, f"it is longer than {LENGTH} characters; {HELP}.")
    if len(texts) != len(FIELDS):
        more = "; seconds and years are not taken" if len(texts) > len(FIELDS) else ""
        raise InvalidArgument(FIELD, f"it has {len(texts)} fields{more}; {HELP}.")
    values = [_values(one, text) for one, text in zip(FIELDS, texts, strict=True)]
    _, _, days, months, weekdays = values
    _check_days(texts[2], texts[4], is_all=len(days) > _DAY.high - _DAY.low or len(weekdays) > _WEEKDAY.high - _WEEKDAY.low)
    if texts[4] == "*" and min(days) > max(_LONGEST[month - 1] for month in months):
        _DAY.refuse(f"no month of `{texts[3]}` has a day {min(days)}, so no such date ever comes")
    plain = (
        "*" if len(found) > one.high - one.low else ",".join(map(str, sorted(found))) for one, found in zip(FIELDS, values, strict=True)
    )
    return CronFields(text=" ".join(texts), plain=" ".join(plain))


def _values(one: _Field, text: str) -> frozenset[int]:
    found = set[int]()
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            one.refuse(f"`{item}` cannot be read; use {one.takes}, ranges (`a-b`), lists (`a,b`), `*`, and steps (`*/n`, `a-b/n`)")
        found |= set(_items(one, match))
    return frozenset(one.low if value == one.also else value for value in found)


def _items(one: _Field, match: re.Match[str]) -> range:
    item, step = match[0], None if match["step"] is None else int(match["step"])
    first = one.low if match["star"] else _value(one, match["first"])
    if step is not None and not match["star"] and match["last"] is None:
        _refuse_step_on_one(one, match, step, first)
    if match["last"] is not None:
        last = _value(one, match["last"])
        if last == one.low and match["last"].isalpha() and one.also is not None and first > last:
            last = one.also  # FRI-SUN
        if last == first:
            one.refuse(f"`{item}` is a range of one; write `{first}`")
        if last < first:
            head = "" if first > one.high else f"{first}," if first == one.high else f"{first}-{one.high},"
            one.refuse(f"`{item}` runs backwards; write `{head}{one.low if last == one.low else f'{one.low}-{last}'}`")
    else:
        last = one.high if match["star"] else first
    if step is not None and not 0 < step <= last - first:
        _refuse_step(one, match, step, first, last)
    return range(first, last + 1, step or 1)


def _value(one: _Field, text: str) -> int:
    value = one.names.get(text.upper())
    if value is None and text.isdigit():
        value = int(text)
    if value is None or not (one.low <= value <= one.high or value == one.also):
        one.refuse(f"`{text}` is no value of it; use {one.takes}")
    return value


def _refuse_step_on_one(one: _Field, match: re.Match[str], step: int, first: int) -> Never:
    item, alone = match[0], match["first"]
    if not 0 < step <= one.high - first:
        one.refuse(f"`{item}` is a step on a single value, with nothing after it to step to; write `{alone}`")
    last = next((name for name, value in one.names.items() if value == one.high), "") if alone.isalpha() else one.high
    one.refuse(
        f"`{item}` is a step on a single value, which is read in two ways: some crons go on from {alone}, others fire at {alone} alone or "
        f"refuse it. Write `{alone}-{last}/{step}` to go on from {alone}, or `{alone}`"
    )


def _refuse_step(one: _Field, match: re.Match[str], step: int, first: int, last: int) -> Never:
    item, most = match[0], last - first
    if step == 0 or most < 1:
        one.refuse(f"`{item}` has no step that works; use a whole number from 1, within {one.low} to {one.high}")
    if not match["star"]:
        one.refuse(f"a step is at most {most} in `{item}`, of which only {first} would be left; write `{first}`")
    one.refuse(f"a step is at most {most}: `{item}` would fire {one.once}. For that write `{first}`{_longer(one, step)}")


def _longer(one: _Field, step: int) -> str:
    """A suggestion for a step larger than its field, which belongs into the next one."""
    if one is _MINUTE and 1 < (hours := round(step / 60)) < _HOUR.high:
        return f"; every {hours} hours is minute `0` and hour `*/{hours}`"
    if one is _HOUR and 1 < (days := round(step / 24)) < _DAY.high:
        return f"; every {days} days is hour `0` and day of month `*/{days}`"
    return ""


def _check_days(days: str, weekdays: str, *, is_all: bool) -> None:
    starred = [(text, one) for text, one in ((days, _DAY), (weekdays, _WEEKDAY)) if text.startswith("*")]
    if "*" in (days, weekdays) or not (is_all or starred):
        return
    either = " and ".join(f"`{one.low}-{one.high}{text[1:]}`" for text, one in starred if text.startswith("*/"))
    raise InvalidArgument(
        FIELD,
        f"{_DAY.name} `{days}` beside {_WEEKDAY.name} `{weekdays}` is read in two ways: some crons fire only on days that are both, "
        f"others on all days that are either. {f'For either, write {either}. ' if either and not is_all else ''}"
        "Both cannot be written: leave one of the two fields `*`.",
    )
