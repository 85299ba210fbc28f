"""Knows the names of datasets, tables and views without listing all of them for each look-up.

`duckdb_tables()` and similar functions describe every table of every database, including query results: 10 ms for a thousand tables. Here
each project is listed like this only once. After that, a name that a statement has changed is looked up by itself.
"""

import threading
from collections.abc import Callable
from typing import Any, Literal

import duckdb
from local_bigquery.engine import database

from localcloud.bigquery.engine.changes import ROWS, Change, Kind

type TableKind = Literal["TABLE", "VIEW"]

SCHEMAS = "SELECT schema_name FROM duckdb_schemas() WHERE database_name = ?"
LISTED = (
    "SELECT schema_name, table_name, 'TABLE' FROM duckdb_tables() WHERE database_name = $1 "
    "UNION ALL SELECT schema_name, view_name, 'VIEW' FROM duckdb_views() WHERE database_name = $1 AND NOT internal"
)

# Bound before it is replaced.
_fetch: Callable[..., list[tuple[Any, ...]]] = database.fetch


class _Dataset:
    def __init__(self, name: str) -> None:
        self.name = name
        self.tables: dict[str, tuple[str, TableKind]] = {}
        """By case-folded name, as DuckDB finds tables: the exact name, and whether it is a table or a view."""
        self.to_ask: dict[str, str] = {}
        """By case-folded name: the exact names that were changed since and must be looked up again."""


class _Names:
    def __init__(self) -> None:
        self.datasets: dict[str, _Dataset] = {}
        self.is_listed = self.has_datasets = False


_lock = threading.RLock()
_projects: dict[str, _Names] = {}


def reset() -> None:
    """Clears everything, for another database in the same process."""
    with _lock:
        _projects.clear()


def note(change: Change) -> None:
    """Records a committed change."""
    with _lock:
        if change.kind is Kind.UNKNOWN:
            for one in _projects.values():
                one.is_listed = False
            return
        known = _projects.get(change.project)
        if change.kind in ROWS or known is None:
            return
        if change.table is None:
            known.has_datasets = False
            if dataset := known.datasets.get(change.dataset.casefold()):
                dataset.to_ask |= {key: name for key, (name, _) in dataset.tables.items()}
            return
        dataset = known.datasets.get(change.dataset.casefold())
        if dataset is None:
            known.is_listed = False
            return
        for name in (change.table, change.renamed):
            if name is not None:
                _ask_again(dataset, name, is_gone=change.kind is Kind.GONE or (name == change.table and change.renamed is not None))


def _ask_again(dataset: _Dataset, name: str, *, is_gone: bool) -> None:
    key = name.casefold()
    if is_gone:
        dataset.tables.pop(key, None)
    known = dataset.tables.get(key)
    dataset.to_ask[key] = name if known is None else known[0]


def datasets(project: str) -> list[str]:
    """The names of a project's datasets, in order; `main` among them."""
    return sorted(dataset.name for dataset in _listed(project).datasets.values())


def has_dataset(project: str, dataset: str) -> bool:
    """Whether the project has a dataset of exactly this name."""
    found = _listed(project).datasets.get(dataset.casefold())
    return found is not None and found.name == dataset


def kind_of(project: str, dataset: str, table: str) -> TableKind | None:
    """Whether exactly this name is a table or a view; None: neither."""
    with _lock:
        found = _listed(project).datasets.get(dataset.casefold())
        if found is None or found.name != dataset:
            return None
        key = table.casefold()
        if key in found.to_ask:
            _look_up(project, found, key)
        known = found.tables.get(key)
        return known[1] if known is not None and known[0] == table else None


def tables(project: str, dataset: str) -> list[tuple[str, TableKind]]:
    """The tables and views of a dataset, in the order of their names."""
    with _lock:
        found = _listed(project).datasets.get(dataset.casefold())
        if found is None or found.name != dataset:
            return []
        for key in list(found.to_ask):
            _look_up(project, found, key)
        return sorted(found.tables.values())


def _look_up(project: str, dataset: _Dataset, key: str) -> None:
    """The caller holds the lock, so concurrent changes are recorded after this."""
    name = dataset.to_ask[key]
    kind = _asked(project, dataset.name, name)
    del dataset.to_ask[key]
    if kind is None:
        dataset.tables.pop(key, None)
    else:
        dataset.tables[key] = name, kind


def _asked(project: str, dataset: str, name: str) -> TableKind | None:
    """Plans a query that is valid only if the name exists, and one that is valid only if it is a table."""
    path = database.quote(project, dataset, name)
    text = path.replace("'", "''")
    try:
        _fetch(f"EXPLAIN DROP VIEW {path}")
    except duckdb.CatalogException:
        return None
    try:
        _fetch(f"EXPLAIN SELECT 1 FROM pragma_storage_info('{text}')")  # noqa: S608
    except duckdb.CatalogException:
        return "VIEW"
    return "TABLE"


def _listed(project: str) -> _Names:
    with _lock:
        known = _projects.setdefault(project, _Names())
        if not known.is_listed:
            known.datasets = {name.casefold(): _Dataset(name) for (name,) in _fetch(SCHEMAS, [project])}
            for dataset, table, kind in _fetch(LISTED, [project]):
                if dataset.casefold() in known.datasets:
                    known.datasets[dataset.casefold()].tables[table.casefold()] = table, kind
            known.is_listed = known.has_datasets = True
        elif not known.has_datasets:
            now = {name.casefold(): name for (name,) in _fetch(SCHEMAS, [project])}
            known.datasets = {key: _of_this_name(known.datasets.get(key), name) for key, name in now.items()}
            known.has_datasets = True
        return known


def _of_this_name(known: _Dataset | None, name: str) -> _Dataset:
    return known if known is not None and known.name == name else _Dataset(name)
