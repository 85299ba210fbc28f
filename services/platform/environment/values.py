"""Texts and numbers that settings take. What no value of its kind can be is refused here, by name and before anything is started: later it
would fail in the middle of a call, or never do what was meant.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, Field

MOST_PORT: Final = 65_535
LONGEST_DAYS: Final = 36_500
LARGEST_FLOAT: Final = 1e9
"""Of seconds, 31 years: a sleep or a date beyond would overflow. Of dollars, more than anything costs."""
LARGEST_INT: Final = 2**53
"""Exact in JSON, and within BigQuery's INT64 and an operating system's counters."""
BY_UNIT: Final[Mapping[str, float]] = {"_seconds": LARGEST_FLOAT, "_days": LONGEST_DAYS, "port": MOST_PORT}
"""The most of a setting whose name ends so."""
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9\[\]:._-]+")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,40}")
_USUAL_PORTS: Final = {"http": ":80", "https": ":443"}


def name_for_people(text: str) -> str:
    """A name that stands in a setting's JSON, for a message: itself if it looks like one. A secret in the wrong place does not."""
    return text if _NAME.fullmatch(text) else "a name"


def matching(pattern: str, words: str) -> AfterValidator:
    """For a text that has this form from its first to its last character; `words` say what to give instead, with an example."""
    form = re.compile(pattern)

    def check(text: str) -> str:
        if not form.fullmatch(text):
            raise ValueError(words)
        return text

    return AfterValidator(check)


type Port = Annotated[int, Field(ge=1, le=MOST_PORT)]
type ProjectId = Annotated[str, matching(r"[a-z0-9][a-z0-9.:-]*", "give a project's id, e.g. my-project-1")]
type DatasetName = Annotated[
    str, matching(r"[A-Za-z0-9_]{1,1024}", "give a dataset's name of letters, digits and underscores, e.g. tenants")
]
type KeyName = Annotated[
    str,
    matching(
        r"projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+",
        "give the full name of a KMS key, without a version, e.g. projects/P/locations/global/keyRings/R/cryptoKeys/K",
    ),
]
"""The full name of a KMS key."""
type Host = Annotated[
    str, matching(r"[A-Za-z0-9._-]+|[0-9a-fA-F:.]+", "give a host's name or address alone, e.g. db.example.com or 10.0.0.1")
]
"""A name, or an address of IPv4 or IPv6."""
type EmulatorUrl = Annotated[str, matching(r"(https?://[^\s/]+\S*)?", "give a URL, e.g. http://127.0.0.1:9050")]
type EmulatorAddress = Annotated[str, matching(r"(\S+:[0-9]{1,5})?", "give host:port, e.g. 127.0.0.1:9070")]
"""Of an emulator; empty: there is none."""
type SpiffeId = Annotated[
    str,
    matching(
        r"spiffe://[a-z0-9._-]+(/[\w.-]+)*/[\w.-]*\{service\}",
        "give a SPIFFE id that ends in {service}, e.g. spiffe://prod.example.com/ns/convergence/sa/{service}",
    ),
]


def _with_port(least: int) -> AfterValidator:
    def check(text: str) -> str:
        host, colon, port = text.rpartition(":")
        if not (colon and host and not re.search(r"\s", text) and port.isascii() and port.isdigit() and least <= int(port) <= MOST_PORT):
            raise ValueError(f"give host:port, with a port of {least} to {MOST_PORT}, e.g. 127.0.0.1:50051")
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
            raise ValueError(
                "give origins as browsers send them, in lower case, without a path or the usual port, e.g. https://app.example.com"
            )
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
