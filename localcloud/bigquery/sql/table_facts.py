"""The facts about tables on which a translation depends: their columns, and the stored properties that decide how they may be read.

Two tables with the same facts are translated to the same SQL but for their names.
"""

import functools
import json
import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from local_bigquery.catalog import metadata, names, tables
from local_bigquery.errors import BigQueryError
from local_bigquery.models import Table
from local_bigquery.sql import translate
from sqlglot import exp

from localcloud.bigquery import catalog
from localcloud.bigquery.commits import newest
from localcloud.bigquery.engine import register

MAX_DEPTH = 16
"""The most levels of views over views."""

type Reference = tuple[str, str, str]
type Facts = dict[Reference, tuple[Any, ...]]
"""The facts of each table. The first says whether the table will expire."""
type Versions = tuple[int, int]
"""The versions of the stored properties and of a project's schema."""

KEPT = 5000

_lock = threading.Lock()
# For each table: the versions before it was looked at, and its facts; the first is when it expires.
_kept: OrderedDict[Reference, tuple[Versions, tuple[Any, ...]]] = OrderedDict()

# Bound before others replace it.
_parse = translate.parse


def schema_version(project: str) -> int:
    """The count of the changes of a project's schema: tables, views, their columns and names."""
    if not catalog.is_project(project):
        raise ValueError(f"there is no project {project}")
    return newest(project).schema_version


def reset() -> None:
    """Clears everything, for another database in the same process."""
    with _lock:
        _kept.clear()


def facts_of(read: Iterable[Reference], project: str, versions: Versions) -> Facts | None:
    """The facts of these tables and views, as committed at these versions or later. None if a translation that reads them must not be
    cached, because one of them
      - is missing or has expired,
      - is another query's result,
      - is in another project, or reads a table of another project.
    """
    wanted = set(read)
    if any(table[0] != project or table[1] == tables.RESULTS for table in wanted):
        return None
    with _lock:
        known = {table: _kept[table] for table in wanted if table in _kept}
    found = {table: facts for table, (then, facts) in known.items() if then == versions}
    found |= _tables(wanted - found.keys())
    for table in wanted - found.keys():
        if (facts := _view(table)) is None:
            return None
        found[table] = facts
    with _lock:
        _kept.update((table, (versions, facts)) for table, facts in found.items())
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    now = int(metadata.now())
    if any(expires and int(expires) <= now for expires, *_ in found.values()):
        return None
    return {table: (bool(expires), *others) for table, (expires, *others) in found.items()}


def expire(facts: Facts) -> bool:
    """Whether one of these tables will expire. An expiration is no recorded change, so its facts must be read every time."""
    return any(expires for expires, *_ in facts.values())


def _tables(wanted: set[Reference]) -> Facts:
    """For each table: when it expires, in milliseconds since 1970, its columns at all depths, and how it must be read."""
    found: Facts = {}
    for table in wanted:
        if _kind(table) != "TABLE":
            continue
        stored = metadata.load(Table, *table) or Table()
        partitioning = stored.timePartitioning and json.dumps(stored.timePartitioning.dump())
        columns = json.dumps(catalog.columns_of(*table))
        found[table] = (stored.expirationTime, columns, stored.type, stored.requirePartitionFilter, partitioning)
    return found


def _view(view: Reference) -> tuple[Any, ...] | None:
    """For a view: when it expires, and its columns, which are those of its tables. None if it is no view, or must not be cached."""
    if _kind(view) != "VIEW" or not _is_of_one_project(view):
        return None
    stored = metadata.load(Table, *view)
    try:
        columns = tables.columns(*view)
    except BigQueryError:
        return None
    return (stored and stored.expirationTime, json.dumps([field.dump() for field in columns]))


def _is_of_one_project(view: Reference, depth: int = 0) -> bool:
    """Whether a view reads only tables of its own project, also through other views. False if this is unknown."""
    stored = metadata.load(Table, *view)
    query = stored and stored.view and stored.view.query
    if not query or depth > MAX_DEPTH:
        return False
    read = _read(query, *view[:2])
    return read is not None and all(
        table[0] == view[0] and ((kind := _kind(table)) == "TABLE" or (kind == "VIEW" and _is_of_one_project(table, depth + 1)))
        for table in read
    )


@functools.lru_cache(maxsize=200)
def _read(query: str, project: str, dataset: str) -> list[Reference] | None:
    """The tables that a query names; None if it cannot be read."""
    try:
        trees = _parse(query)
    except BigQueryError:
        return None
    ctes = {cte.alias_or_name for tree in trees for cte in tree.find_all(exp.CTE)}
    found = [table for tree in trees for table in tree.find_all(exp.Table) if table.db or table.name not in ctes]
    return [names.reference(table, project, dataset) for table in found]


def _kind(table: Reference) -> str | None:
    return register.kind_of(*table) if catalog.is_project(table[0]) else None
