"""Values as people read them in tables. Pure; the time is passed in."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

NONE = "-"
"""What stands where there is no value, so that columns of plain text stay countable."""
_KIB, _LEAST = 1024, 0.0001
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def time_of(message: Message, name: str) -> datetime | None:
    """The moment in a Timestamp field, UTC; None if it is not set."""
    if not message.HasField(name):
        return None
    stamp: Timestamp = getattr(message, name)
    return stamp.ToDatetime(tzinfo=UTC)


def moment(message: Message, name: str) -> str:
    """The same as text, e.g. `2026-11-26T09:15:38Z`."""
    found = time_of(message, name)
    return found.strftime("%Y-%m-%dT%H:%M:%SZ") if found else NONE


def ago(then: datetime | None, now: datetime) -> str:
    """How long it is ago, in its largest unit, e.g. `3 h`."""
    return span((now - then).total_seconds()) if then else NONE


def span(seconds: float) -> str:
    """A length of time, in its largest unit, e.g. `3 h`; of less than a second in milliseconds."""
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    for size, unit in _SPANS:
        if abs(seconds) >= size:
            return f"{seconds / size:.1f} {unit}" if unit == "s" else f"{seconds / size:.0f} {unit}"
    raise AssertionError("a second is the smallest")


def given(message: Message, name: str, unset: str = NONE) -> str:
    """A field with presence; `unset` if it is not set."""
    return shown(getattr(message, name)) if message.HasField(name) else unset


def milliseconds(message: Message, name: str) -> str:
    """A field with presence that counts milliseconds."""
    return span(getattr(message, name) / 1000) if message.HasField(name) else NONE


def shown(value: Any) -> str:
    """A scalar: numbers with commas, flags as yes and no, an empty text as `-`."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case None | "":
            return NONE
        case _:
            return str(value)


def size(count: int) -> str:
    """Bytes, e.g. `1.2 GiB`."""
    amount, unit = float(count), 0
    while abs(amount) >= _KIB and unit < len(_UNITS) - 1:
        amount, unit = amount / _KIB, unit + 1
    return f"{amount:.0f} {_UNITS[unit]}" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"


def dollars(amount: float) -> str:
    """US dollars. What is less than a cent keeps two digits, because runs often cost less."""
    if amount == 0 or abs(amount) >= 0.01:  # noqa: PLR2004 - a cent
        return f"${amount:,.2f}"
    if abs(amount) < _LEAST:
        return f"<${_LEAST}"
    return f"${amount:.2g}"


def amount(text: str, currency: str) -> str:
    """A decimal number as the API writes it, to the cent, with its currency."""
    return f"{Decimal(text or '0'):,.2f} {currency}" if text else NONE


def pairs(values: Mapping[str, Any]) -> str:
    """Parameters, e.g. `date=2026-11-25 limit=5`."""
    return " ".join(f"{name}={shown(value)}" for name, value in values.items()) or NONE


def names(values: Any) -> str:
    """A list of texts in one cell."""
    return ",".join(values) or NONE
