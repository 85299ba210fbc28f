"""Texts and numbers that settings take. What no value of its kind can be is refused here, by name and before anything is started: later it
would fail in the middle of a call, or never do what was meant.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

MOST_PORT: Final = 65_535
LONGEST_DAYS: Final = 36_500
LARGEST_FLOAT: Final = 1e9
"""Of seconds, 31 years: a sleep or a date beyond would overflow. Of dollars, more than anything costs."""
LARGEST_INT: Final = 2**53
"""Exact in JSON, and within BigQuery's INT64 and an operating system's counters."""
BY_UNIT: Final[Mapping[str, float]] = {"_seconds": LARGEST_FLOAT, "_days": LONGEST_DAYS, "port": MOST_PORT}
"""The most of a setting whose name ends so."""
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9\[\]:._-]+")
_USUAL_PORTS: Final = {"http": ":80", "https": ":443"}

type Port = Annotated[int, Field(ge=1, le=MOST_PORT)]
type ProjectId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.:-]*$")]
type DatasetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,1024}$")]
type KeyName = Annotated[str, StringConstraints(pattern=r"^projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+$")]
"""The full name of a KMS key."""
type Host = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9._-]+|[0-9a-fA-F:.]+)$")]
"""A name, or an address of IPv4 or IPv6."""
type EmulatorUrl = Annotated[str, StringConstraints(pattern=r"^(https?://[^\s/]+\S*)?$")]
type EmulatorAddress = Annotated[str, StringConstraints(pattern=r"^(\S+:[0-9]{1,5})?$")]
"""Of an emulator; empty: there is none."""


def _with_port(least: int) -> AfterValidator:
    def check(text: str) -> str:
        host, colon, port = text.rpartition(":")
        if not (colon and host and not re.search(r"\s", text) and port.isascii() and port.isdigit() and least <= int(port) <= MOST_PORT):
            raise ValueError(f"give host:port, with a port of {least} to {MOST_PORT}")
        return text

    return AfterValidator(check)


type Listen = Annotated[str, _with_port(0)]
"""`host:port` to listen on; port 0: any that is free."""
type PeerAddress = Annotated[str, _with_port(1)]
"""`host:port`, or what else gRPC resolves, e.g. `dns:///auth:50051` or `ipv4:10.0.0.1:50051,10.0.0.2:50051`."""


def _each_origin(text: str) -> str:
    for origin in filter(None, (part.strip() for part in text.split(","))):
        scheme = origin.partition("://")[0]
        if not _ORIGIN.fullmatch(origin) or origin.endswith(_USUAL_PORTS.get(scheme, " ")):
            raise ValueError("give origins as browsers send them: https://app.example.com, in lower case, without a path or the usual port")
    return text


type Origins = Annotated[str, AfterValidator(_each_origin)]
"""Comma-separated; compared with what browsers send, letter by letter."""


def check_number(name: str, value: float) -> None:
    """Raises ValueError for a number that no setting of this name can have. A setting's own bounds are narrower."""
    if value < 0:
        raise ValueError("it is negative: give 0 or more")
    usual = LARGEST_INT if isinstance(value, int) else LARGEST_FLOAT
    most = next((most for ending, most in BY_UNIT.items() if name.endswith(ending)), usual)
    if value > most:
        raise ValueError(f"it is too large: give {most:.0f} or less")
