"""What columns the result of a query has, kept with its translation: a query that was planned once to learn them need not be planned for
that again, while its tables are as they were.

Only for SQL that this thread has just got from a kept translation (see `translations`): it is known then that the tables are as they were
when it was translated, and its text has the types of all its parameters in it.
"""

import threading
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """The columns of a result: their names and types, as a relation of DuckDB's has them."""

    columns: list[str]
    types: list[Any]
    stored: dict[bool, list[tuple[str, Any]]] = field(default_factory=dict)
    """The same of the table that the rows are kept in, once it was looked at; by whether a script wrote it, which goes another way."""


class Shaped(Protocol):
    """What a shape is kept with."""

    shape: Shape | None


_thread = threading.local()


def translated(sql: str | None, by: Shaped | None = None) -> None:
    """Notes what this thread has just translated, and the translation that gave it. None: what it may keep nothing about."""
    _thread.last = sql, by


def find(sql: str) -> Shape | None:
    """The shape of this SQL's result, if it is known for its tables as they are."""
    by = _by(sql)
    return None if by is None else by.shape


def keep(sql: str, shape: Shape) -> None:
    """Keeps it, if the translation is kept."""
    if (by := _by(sql)) is not None:
        by.shape = shape


def _by(sql: str) -> Shaped | None:
    last: tuple[str | None, Shaped | None] = getattr(_thread, "last", (None, None))
    return last[1] if last[0] is sql else None
