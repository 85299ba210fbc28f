"""Timezones: wall-clock times around daylight saving changes. Pure."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_STEP = timedelta(days=1)
"""No timezone changes its clock twice within a day."""


def wall_clock(moment: datetime, zone: ZoneInfo) -> datetime:
    """The wall-clock time at `moment`: a datetime without timezone."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def first_moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """When the clock first shows `wall`; if the clock skips it, the moment of the jump. In UTC, and never earlier for a later `wall`."""
    local = wall.replace(tzinfo=zone)
    moment = local.astimezone(UTC)
    if not is_skipped(wall, zone):
        return moment
    # A skipped time is after the jump by the offset before the jump, and before the jump by the offset after it.
    jump = next_change(zone, local.replace(fold=1).astimezone(UTC), moment)
    return jump if jump is not None else moment


def is_skipped(wall: datetime, zone: ZoneInfo) -> bool:
    """True if the clock never shows this time because it jumps over it."""
    return _offset(wall, zone, fold=0) < _offset(wall, zone, fold=1)


def is_repeated(wall: datetime, zone: ZoneInfo) -> bool:
    """True if the clock shows this time twice because it is set back."""
    return _offset(wall, zone, fold=0) > _offset(wall, zone, fold=1)


def offset_at(moment: datetime, zone: ZoneInfo) -> timedelta:
    """The offset from UTC at `moment`."""
    return moment.astimezone(zone).utcoffset() or timedelta()


def next_change(zone: ZoneInfo, after: datetime, until: datetime) -> datetime | None:
    """The first moment in (after, until] with another offset than at `after`, to the second; None if the offset is constant."""
    offset, low = offset_at(after, zone), after
    while low < until:
        high = min(low + _STEP, until)
        if offset_at(high, zone) != offset:
            return _bisect(zone, offset, low, high)
        low = high
    return None


def _bisect(zone: ZoneInfo, offset: timedelta, low: datetime, high: datetime) -> datetime:
    # Changes happen at full seconds.
    first, last = int(low.timestamp()), -int(-high.timestamp() // 1)
    while last - first > 1:
        middle = (first + last) // 2
        if offset_at(datetime.fromtimestamp(middle, UTC), zone) == offset:
            first = middle
        else:
            last = middle
    return datetime.fromtimestamp(last, UTC)


def _offset(wall: datetime, zone: ZoneInfo, *, fold: int) -> timedelta:
    return wall.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta()
