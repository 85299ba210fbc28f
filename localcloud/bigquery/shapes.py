"""What columns the result of a query has, kept as long as its tables are as they were: a query that was planned once to learn them need not
be planned for that again.

Only for SQL that this thread has just got from a kept translation (see `translations`): it is known then that the tables are as they were
when it was translated, and its text has the types of all its parameters in it.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from localcloud.bigquery.table_facts import Facts

KEPT = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """The columns of a result: their names and types, as a relation of DuckDB's has them."""

    columns: list[str]
    types: list[Any]


_lock = threading.Lock()
# By SQL: the facts of its tables, and the shape that its result had then.
_kept: OrderedDict[str, tuple[Facts, Shape]] = OrderedDict()
_thread = threading.local()


def translated(sql: str | None, facts: Facts | None = None) -> None:
    """Notes what this thread has just translated, and the facts of the tables in it. None: what it may keep nothing about."""
    _thread.last = sql, facts


def reset() -> None:
    """Clears everything, for another database in the same process."""
    with _lock:
        _kept.clear()


def find(sql: str) -> Shape | None:
    """The shape of this SQL's result, if it is known for its tables as they are."""
    if (facts := _facts(sql)) is None:
        return None
    with _lock:
        known = _kept.get(sql)
    return known[1] if known is not None and known[0] == facts else None


def keep(sql: str, shape: Shape) -> None:
    """Keeps it, if the facts of its tables are known."""
    if (facts := _facts(sql)) is not None:
        with _lock:
            _kept[sql] = facts, shape
            _kept.move_to_end(sql)
            if len(_kept) > KEPT:
                _kept.popitem(last=False)


def _facts(sql: str) -> Facts | None:
    last, facts = getattr(_thread, "last", (None, None))
    return facts if last is sql else None
