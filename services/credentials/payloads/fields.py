"""A provider's fields as a table: what each takes, in a pattern for us and in words for the caller."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from services.credentials.payloads.pasted import trim, unquote
from services.platform.errors import InvalidArgument

PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
"""Only what can be a name is repeated; anything else may be a secret that slipped into the wrong place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field that holds text."""

    pattern: re.Pattern[str]
    """The whole value must match."""
    takes: str
    """Completes the sentence "must be ..."."""
    optional: bool = False


def read_fields(values: Mapping[str, Any], fields: Mapping[str, Field], *, path: str) -> dict[str, str]:
    """The table's fields that `values` holds, each checked; whatever else it holds is left out.

    `path` is where `values` stands in the request. An empty string and null count as absent. What pasting leaves around a value (white
    space, a byte order mark, quotes) is taken off.
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
    """Raises InvalidArgument for a key that is not known: a typing error in an optional one would otherwise pass in silence."""
    known = sorted(known)
    for name in sorted(values.keys() - known):
        field = f"{path}.{name}" if PLAIN_NAME.fullmatch(name) else path
        raise InvalidArgument(field, f"unknown key; use {', '.join(known)}.")
