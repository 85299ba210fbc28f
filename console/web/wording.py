"""How pages write times, amounts and states. The template's filters; none of them raises for a value that the API left out."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from math import floor, log10
from typing import Any, Final

from markupsafe import Markup, escape

NONE: Final = "\N{EM DASH}"
_UNITS = (("day", 86_400), ("h", 3600), ("min", 60))
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_KIBI, _THREE_DIGITS = 1024, 100
_MINUTE, _HOUR = 60, 60
_CENT, _LEAST = 0.01, 0.000001
_THIN: Final = "\N{NARROW NO-BREAK SPACE}"

ICONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("COMPLETED", "PASSED", "WORKS", "DELIVERED", "ACTIVE", "SUCCESS", "OK", "FINAL", "FRESH"), "good"),
    **dict.fromkeys(("FAILED", "REFUSED", "MISSING", "EXPIRED", "CLOSED", "OFFBOARDED", "FAILING"), "bad"),
    **dict.fromkeys(("LACKS", "UNKNOWN", "SUSPENDED", "WARN", "SETTLING", "PAUSED", "STALE"), "warn"),
    **dict.fromkeys(("RUNNING", "PROCESSING", "STARTING", "OPEN"), "busy"),
}
"""The kind of a state, which chooses its icon and colour; the word is always written beside them. What is missing here is `idle`."""


def moment(value: str | datetime | None) -> datetime | None:
    """The time in an answer of the API, RFC 3339."""
    if isinstance(value, datetime) or not value:
        return value or None
    # Nine digits of a second are allowed there, six here.
    text = value.replace("Z", "+00:00")
    return datetime.fromisoformat(text).astimezone(UTC)


def when(value: str | datetime | None) -> str:
    """To the second, in UTC: `2026-11-26 09:30:00 UTC`."""
    found = moment(value)
    return f"{found:%Y-%m-%d %H:%M:%S} UTC" if found else NONE


def minute(value: str | datetime | None) -> str:
    """To the minute, in UTC: `2026-11-26 09:30`."""
    found = moment(value)
    return f"{found:%Y-%m-%d %H:%M}" if found else NONE


def ago(value: str | datetime | None, now: datetime) -> str:
    """How long before or after `now`: `3 min ago`, `in 2 h`."""
    found = moment(value)
    if found is None:
        return "never"
    seconds = (now - found).total_seconds()
    for unit, length in _UNITS:
        if (many := int(abs(seconds) // length)) > 0:
            text = f"{many} {unit}{'s' if unit == 'day' and many > 1 else ''}"
            return f"{text} ago" if seconds >= 0 else f"in {text}"
    return "just now" if seconds >= 0 else "in a moment"


def duration(milliseconds: str | float | None) -> str:
    """A length: `850 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`."""
    if milliseconds is None:
        return NONE
    seconds = float(milliseconds) / 1000
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} min {rest} s" if minutes < _HOUR else f"{minutes // _HOUR} h {minutes % _HOUR} min"


def count(value: str | int | None) -> str:
    """A whole number, with thin spaces between thousands."""
    return NONE if value is None or value == "" else f"{int(value):,}".replace(",", _THIN)


def money(value: str | float | None) -> str:
    """US dollars; small amounts with as many digits as say something."""
    if value is None or value == "":
        return NONE
    amount = abs(float(value))
    if 0 < amount < _LEAST:
        return f"under ${_LEAST:.6f}"
    # Two digits that are not zero, and at most six after the point.
    digits = 2 if amount == 0 or amount >= _CENT else min(1 - floor(log10(amount)), 6)
    sign = "\N{MINUS SIGN}" if float(value) < 0 else ""
    return f"{sign}${amount:,.{digits}f}".replace(",", _THIN)


def amount(value: Decimal | str | None, currency: str, is_change: bool = False) -> str:  # noqa: FBT001, FBT002 - a filter of templates
    """An exact amount of any currency, to two places, or to as many as say something. A change has a sign in any case."""
    if value is None or value == "":
        return NONE
    exact = Decimal(value)
    places = 2 if exact == 0 or abs(exact) >= Decimal("0.005") else min(1 - exact.adjusted(), 9)
    sign = "\N{MINUS SIGN}" if exact < 0 else "+" if is_change and exact > 0 else ""
    return f"{sign}{abs(exact):,.{places}f}".replace(",", _THIN) + f"{_THIN}{currency}"


def size(value: str | int | None) -> str:
    """Bytes: `3.4 MiB`."""
    if value is None or value == "":
        return NONE
    amount, unit = float(value), 0
    while amount >= _KIBI and unit < len(_BYTES) - 1:
        amount, unit = amount / _KIBI, unit + 1
    return f"{amount:.{0 if unit == 0 or amount >= _THREE_DIGITS else 1}f} {_BYTES[unit]}"


def kind(state: str | None) -> str:
    """good, bad, warn, busy or idle."""
    return ICONS.get((state or "").upper(), "idle")


def words(state: str | None) -> str:
    """A state in words: `CONCURRENT_LIMIT` is `concurrent limit`."""
    return (state or "unknown").replace("_", " ").lower()


def pipeline(name: str | None, tenant_id: str | None = None) -> str:
    """`acme-gcp-cost-billing` of the tenant acme as `gcp/cost/billing`."""
    text = (name or "").removeprefix(f"{tenant_id}-") if tenant_id else name or ""
    return text.replace("-", "/", 2)


def short(identifier: str | None) -> str:
    """The first part of a UUID, to be read out; the link has all of it."""
    return (identifier or NONE).partition("-")[0]


def pretty(value: Any) -> str:
    """JSON to be read."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)


def prose(text: str | None) -> Markup:
    """A sentence of the API, in which `code` stands between backticks."""
    parts = (text or "").split("`")
    # An odd one is a lone backtick, which stays.
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(part) if index % 2 else escape(part) for index, part in enumerate(parts))


def iso(value: str | datetime | None) -> str:
    """For the attribute `datetime`."""
    found = moment(value)
    return found.isoformat(timespec="seconds") if found else ""


FILTERS: Final[Mapping[str, Callable[..., str]]] = {
    "ago": ago,
    "amount": amount,
    "count": count,
    "duration": duration,
    "iso": iso,
    "kind": kind,
    "minute": minute,
    "money": money,
    "pipeline": pipeline,
    "pretty": pretty,
    "short": short,
    "prose": prose,
    "size": size,
    "when": when,
    "words": words,
}
