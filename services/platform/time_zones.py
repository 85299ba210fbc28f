"""Time zone names: the IANA database as shipped by tzdata, the same on every machine."""

from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from services.platform.errors import InvalidArgument


def zone_of(name: str) -> ZoneInfo:
    """The IANA zone of this name. Raises InvalidArgument for any other name, tzdata's placeholder included: an unknown name is never read
    as UTC.
    """
    if name not in zone_names():
        raise InvalidArgument("timezone", "use a name of the IANA time zone database, e.g. Europe/Berlin or UTC.")
    return ZoneInfo(name)


NO_PLACE = frozenset({"Factory"})
"""In the database, but no place: the zone of a machine that was never given one (tzdata, `factory`)."""


@cache
def zone_names() -> frozenset[str]:
    """All names that `zone_of` accepts."""
    # The list that tzdata ships: the system's folder also contains `localtime`, which is another zone on every machine.
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()) - NO_PLACE
