"""Tables of a provider's fields: a pattern for each, and its description for error messages."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from services.credentials.payloads.pasted import trim, unquote
from services.platform.errors import InvalidArgument

PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
"""Only plain names are repeated in errors; any other text may be a misplaced secret."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One text field."""

    pattern: re.Pattern[str]
    """The whole value must match."""
    takes: str
    """Completes the sentence "must be ..."."""
    optional: bool = False


def read_fields(values: Mapping[str, Any], fields: Mapping[str, Field], *, path: str) -> dict[str, str]:
    """The table's fields in `values`, each checked; other keys are ignored.

    `path` is the path of `values` in the request. Empty strings and null count as absent. Remains of copying around a value (white space, a
    byte order mark, quotes) are removed.
    """
    read: dict[str, str] = {}
    for name, field in fields.items():
        value = values.get(name)
        if isinstance(value, str):
            value = trim(value)
            value = value if field.pattern.fullmatch(value) else unquote(value)
        if value is None or value == "":
            if not field.optional:
                raise InvalidArgument(f"{path}.{name}", f"is required: {field.takes}.")
            continue
        if not isinstance(value, str) or not field.pattern.fullmatch(value):
            raise InvalidArgument(f"{path}.{name}", f"must be {field.takes}.")
        read[name] = value
    return read


def refuse_unknown(values: Mapping[str, Any], known: Iterable[str], *, path: str) -> None:
    """Raises InvalidArgument for an unknown key: otherwise a typo in an optional one would go unnoticed."""
    known = sorted(known)
    for name in sorted(values.keys() - known):
        field = f"{path}.{name}" if PLAIN_NAME.fullmatch(name) else path
        raise InvalidArgument(field, f"unknown key; use {', '.join(known)}.")
