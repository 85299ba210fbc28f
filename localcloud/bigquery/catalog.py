"""Makes the cost of the emulator's look-ups of tables, columns and datasets independent of their number.

local-bigquery asks `duckdb_tables()`, `duckdb_views()`, `duckdb_columns()` and `duckdb_schemas()` some twenty times a statement. DuckDB
answers each by listing every table of every attached project, statistics included, and filters afterwards: with 30 projects and 300 tables
a SELECT takes 1.5 s instead of 0.1 s. Here the same five statements are answered from the register of names (`engine.register`) and from
the tables themselves. An answer is cached until the table is replaced or its rows change.

This module replaces SQL text in functions of the pinned version. `install` refuses to start if the text differs.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import duckdb
from local_bigquery.catalog import datasets, tables
from local_bigquery.engine import database
from local_bigquery.sql.rules import partitions

from localcloud.bigquery import commits
from localcloud.bigquery.engine import files, register

type Rows = list[tuple[Any, ...]]
type Answer = Callable[[list[Any]], Rows | None]
type Reference = tuple[str, str, str]

OBJECTS = (
    "SELECT table_name, 'TABLE', estimated_size FROM duckdb_tables() "
    "WHERE database_name = $1 AND schema_name = $2 "
    "AND table_name = coalesce($3, table_name) "
    "UNION ALL SELECT view_name, 'VIEW', 0 FROM duckdb_views() "
    "WHERE database_name = $1 AND schema_name = $2 "
    "AND view_name = coalesce($3, view_name) AND NOT internal ORDER BY 1"
)
REQUIRED = "SELECT column_name FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? AND table_name = ? AND NOT is_nullable"
COLUMN = "SELECT 1 FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? AND table_name = ? AND column_name = ?"
DATASET = "SELECT 1 FROM duckdb_schemas() WHERE database_name = ? AND schema_name = ?"
DATASETS = (
    "SELECT schema_name FROM duckdb_schemas() WHERE database_name = ? "
    "AND schema_name <> 'main' AND (? OR NOT starts_with(schema_name, '_')) "
    "ORDER BY schema_name"
)
KEPT = 20_000

_fetch: Callable[..., Rows] = database.fetch
# Projects that DuckDB knows by exactly this name; none is ever detached.
_known: set[str] = set()
_lock = threading.Lock()
# For each table: its columns, and the version at which it had them.
_columns: OrderedDict[Reference, tuple[int, Rows]] = OrderedDict()
# For each table: its number of rows, and the commit after which it had them.
_counts: OrderedDict[Reference, tuple[int, int]] = OrderedDict()


def install(connection: duckdb.DuckDBPyConnection) -> None:
    """Replaces `fetch` of local-bigquery; RuntimeError if its callers are not those of 0.3.2."""
    expected: list[tuple[Callable[..., Any], str]] = [
        (database.objects, OBJECTS),
        (tables.columns, REQUIRED),
        (partitions._hidden, COLUMN),  # noqa: SLF001
        (datasets.exists, DATASET),
        (datasets.list_, DATASETS),
    ]
    for function, sql in expected:
        if function.__code__.co_consts.count(sql) != 1:
            raise RuntimeError(f"local-bigquery has changed: {function.__module__}.{function.__name__} no longer asks {sql!r}")
    # Its callers look it up by name at every call.
    database.fetch = fetch
    # For a missing name DuckDB searches this many datasets for similar names, for a line "Did you mean" that local-bigquery drops.
    connection.execute("SET GLOBAL catalog_error_max_schemas = 0")


def reset() -> None:
    """Clears everything, for another database in the same process."""
    register.reset()
    commits.reset()
    _known.clear()
    with _lock:
        _columns.clear()
        _counts.clear()


def fetch(sql: str, params: list[Any] | None = None) -> Rows:
    """`database.fetch`: returns the same rows without listing all tables."""
    answer = _ANSWERS.get(sql)
    rows = answer(params) if answer and params else None
    return _fetch(sql, params) if rows is None else rows


def is_project(name: str) -> bool:
    """Whether a project has exactly this name."""
    if name not in database._attached:  # noqa: SLF001
        return False
    if name not in _known:
        # DuckDB's names ignore case, BigQuery's don't: `ATTACH IF NOT EXISTS "P"` beside "p" attaches nothing.
        if not _fetch("SELECT 1 FROM duckdb_databases() WHERE database_name = ? AND ends_with(path, ?)", [name, files.SUFFIX]):
            return False
        _known.add(name)
    return True


def columns_of(project: str, dataset: str, table: str) -> Rows:
    """The columns of a project's table or view: name, type, and whether it may be NULL ('YES', 'NO'). Empty if it does not exist."""
    reference = (project, dataset, table)
    kind = register.kind_of(*reference)
    if kind is None:
        return []
    # Before anything is looked up: what changes after this is not missed.
    version = commits.columns_version(*reference)
    with _lock:
        known = _columns.get(reference)
    if known is not None and known[0] == version:
        return known[1]
    found = _described(list(reference), "true")
    # Not cached for a view: its columns are those of its tables, which may be in other projects.
    if kind == "TABLE":
        _keep(_columns, reference, (version, found))
    return found


def _objects(params: list[Any]) -> Rows | None:
    project, dataset, table = params
    if is_project(project):
        if table is None:
            return [(name, kind, 0) for name, kind in register.tables(project, dataset)]
        kind = register.kind_of(project, dataset, table)
        return [] if kind is None else [(table, kind, _count(project, dataset, table) if kind == "TABLE" else 0)]
    if _is_result(project, dataset) and table:
        found = _result(table)
        return [] if found is None else [(table, "TABLE", found)]
    return None


def _count(project: str, dataset: str, table: str) -> int:
    reference = (project, dataset, table)
    # Before anything is looked up: what changes after this is not missed.
    version = commits.rows_version(*reference)
    with _lock:
        known = _counts.get(reference)
    if known is not None and known[0] == version:
        return known[1]
    try:
        ((found,),) = _fetch(f"SELECT count(*) FROM {database.quote(*reference)}")  # noqa: S608
    except duckdb.CatalogException:
        return 0  # dropped since it was looked up
    _keep(_counts, reference, (version, found))
    return int(found)


def _keep[Value](kept: OrderedDict[Any, Value], key: Any, value: Value) -> None:
    with _lock:
        kept[key] = value
        kept.move_to_end(key)
        if len(kept) > KEPT:
            kept.popitem(last=False)


def _required(params: list[Any]) -> Rows | None:
    project, dataset, table = params
    if is_project(project):
        if register.kind_of(project, dataset, table) != "TABLE":
            return []
        return [(name,) for name, _, null in columns_of(project, dataset, table) if null == "NO"]
    if _is_result(project, dataset):
        return [] if _result(table) is None else [(name,) for name, *_ in _described(params, "\"null\" = 'NO'")]
    return None


def _column(params: list[Any]) -> Rows | None:
    project, dataset, table, column = params
    if is_project(project):
        columns = columns_of(project, dataset, table)
    elif _is_result(project, dataset):
        columns = [] if _result(table) is None else _described(params[:3], "true")
    else:
        return None
    return [(1,) for name, *_ in columns if name == column]


def _dataset(params: list[Any]) -> Rows | None:
    project, dataset = params
    if is_project(project):
        return [(1,)] if register.has_dataset(project, dataset) else []
    return None


def _datasets(params: list[Any]) -> Rows | None:
    project, everything = params
    if is_project(project):
        return [(name,) for name in register.datasets(project) if name != "main" and (everything or not name.startswith("_"))]
    return None


def _is_result(project: str, dataset: str) -> bool:
    """Whether this is the dataset of query results. It has a table for each query, so the longest list."""
    return (project, dataset) == ("emulator", tables.RESULTS)


def _described(path: list[str], condition: str) -> Rows:
    """Columns as DuckDB binds them. Empty for a view whose tables no longer exist."""
    try:
        return _fetch(f'SELECT column_name, column_type, "null" FROM (DESCRIBE {database.quote(*path)}) WHERE {condition}')  # noqa: S608
    except (duckdb.CatalogException, duckdb.BinderException):
        return []


def _result(table: str) -> int | None:
    """How many rows a query's result has; None if there is no such table.

    Only the plan of a scan is found by name without a search and contains both the exact name and the size.
    """
    path = database.quote("emulator", tables.RESULTS, table)
    try:
        ((_, plan),) = _fetch(f"EXPLAIN (FORMAT json) SELECT * FROM {path}")  # noqa: S608
    except duckdb.CatalogException:
        return None
    scan = json.loads(plan)[0]["extra_info"]
    same_name = scan["Table"] == f"emulator.{tables.RESULTS}.{database.quote(table)}"
    return int(scan["Estimated Cardinality"]) if same_name else None


_ANSWERS: dict[str, Answer] = {OBJECTS: _objects, REQUIRED: _required, COLUMN: _column, DATASET: _dataset, DATASETS: _datasets}
