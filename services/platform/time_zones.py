"""Time zones' names: the IANA database as tzdata ships it, the same on every machine."""

from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from services.platform.errors import InvalidArgument


def zone_of(name: str) -> ZoneInfo:
    """The IANA zone of this name. Raises InvalidArgument for any other, tzdata's placeholder included:
    it is never taken for UTC.
    """
    if name not in zone_names():
        raise InvalidArgument("timezone", "use a name of the IANA time zone database, e.g. Europe/Berlin or UTC.")
    return ZoneInfo(name)


NO_PLACE = frozenset({"Factory"})
"""In the database, but no place: what a machine reports that was never given a zone (tzdata, `factory`)."""


@cache
def zone_names() -> frozenset[str]:
    """All names that `zone_of` takes."""
    # The list that tzdata ships: the system's folder also holds `localtime`, which is another zone on every machine.
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()) - NO_PLACE
