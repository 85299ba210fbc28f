"""The shape of a JSON value: which fields it has, of which types, and which words."""

import re
from collections.abc import Iterator
from typing import Any

SOMETIMES = frozenset({"last_used_at", "metadata", "not_before", "oldest_queued_time", "budgets"})
"""Fields that an answer has or not, by chance."""
_WORD = re.compile(r"[A-Z]{2,}(_[A-Z]+)*")


def shape(value: Any) -> frozenset[str]:
    """One line for each field, e.g. `.runs[].status COMPLETED`; the elements of a list together."""
    return frozenset(_shape(value, ""))


def _shape(value: Any, path: str) -> Iterator[str]:
    match value:
        case dict():
            yield f"{path} object"
            for name, inner in value.items():
                if name not in SOMETIMES:
                    yield from _shape(inner, f"{path}.{name}")
        case list():
            yield f"{path} list"
            for inner in value:
                yield from _shape(inner, f"{path}[]")
        case str() if _WORD.fullmatch(value):
            yield f"{path} {value}"
        case bool() | str() | None:
            yield f"{path} {type(value).__name__}"
        case _:
            yield f"{path} number"
