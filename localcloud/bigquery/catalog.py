"""Makes the emulator's look-ups of tables, columns and datasets cost the same however many of them there are.

local-bigquery asks `duckdb_tables()`, `duckdb_views()`, `duckdb_columns()` and `duckdb_schemas()` some twenty times a statement. DuckDB
answers each by listing every table of every attached project, statistics included, and filters afterwards: with 30 projects and 300 tables
a SELECT takes 1.5 s instead of 0.1 s. Here the same five statements are answered from what DuckLake itself stores about the one project
(`"__ducklake_metadata_<project>"`, an ordinary DuckDB database), as committed at that moment. An answer is kept until the next commit, or
the next change of the project's schema.

What is replaced is SQL text in functions of the pinned version; `install` refuses to start on any other text.
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

from localcloud.bigquery.commits import newest

type Rows = list[tuple[Any, ...]]
type Answer = Callable[[list[Any]], Rows | None]

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
# Of a question: the version of the project at which this was the answer.
_kept: OrderedDict[tuple[Any, ...], tuple[int, Rows]] = OrderedDict()


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
    # DuckDB compares a missing name with all names of this many datasets, to end its message in "Did you mean", a line that
    # local-bigquery drops.
    connection.execute("SET GLOBAL catalog_error_max_schemas = 0")


def reset() -> None:
    """Clears everything, for another database in the same process."""
    with _lock:
        _kept.clear()


def fetch(sql: str, params: list[Any] | None = None) -> Rows:
    """`database.fetch`: the same rows, without listing every table there is, and without asking again before the next commit."""
    answer = _ANSWERS.get(sql)
    if not answer or not params:
        return _fetch(sql, params)
    lake = metadata_of(params[0])
    if lake is None or sql == COLUMN:
        # Also the columns of views, which may be over tables of other projects.
        rows = answer(params)
        return _fetch(sql, params) if rows is None else rows
    # Before anything is looked up: what changes after this is not missed. Only columns have versions: a table's rows are counted, and a
    # dataset goes, with a commit that changes none.
    commit, key = newest(lake), (sql, *params)
    version = commit.schema_version if sql == REQUIRED else commit.number
    with _lock:
        known = _kept.get(key)
    if known is not None and known[0] == version:
        return list(known[1])
    rows = answer(params) or []
    with _lock:
        _kept[key] = version, list(rows)
        if len(_kept) > KEPT:
            _kept.popitem(last=False)
    return rows


def metadata_of(project: str) -> str | None:
    """The quoted name of the database with a project's metadata; None for what is not a project."""
    if project not in database._attached:  # noqa: SLF001
        return None
    if project not in _known:
        # DuckDB's names ignore case, BigQuery's don't: `ATTACH IF NOT EXISTS "P"` beside "p" attaches nothing.
        if not _fetch("SELECT 1 FROM duckdb_databases() WHERE type = 'ducklake' AND database_name = ?", [project]):
            return None
        _known.add(project)
    name: str = database.quote(f"__ducklake_metadata_{project}")
    return name


def _objects(params: list[Any]) -> Rows | None:
    project, dataset, table = params
    if metadata := metadata_of(project):
        return _fetch(
            f"SELECT table_name, 'TABLE', coalesce(record_count, 0) FROM {metadata}.ducklake_table "  # noqa: S608
            f"JOIN {metadata}.ducklake_schema AS schema USING (schema_id) LEFT JOIN {metadata}.ducklake_table_stats USING (table_id) "
            "WHERE schema_name = $1 AND table_name = coalesce($2, table_name) "
            "AND ducklake_table.end_snapshot IS NULL AND schema.end_snapshot IS NULL "
            f"UNION ALL SELECT view_name, 'VIEW', 0 FROM {metadata}.ducklake_view "
            f"JOIN {metadata}.ducklake_schema AS schema USING (schema_id) "
            "WHERE schema_name = $1 AND view_name = coalesce($2, view_name) "
            "AND ducklake_view.end_snapshot IS NULL AND schema.end_snapshot IS NULL ORDER BY 1",
            [dataset, table],
        )
    if _is_result(project, dataset) and table:
        found = _result(table)
        return [] if found is None else [(table, "TABLE", found)]
    return None


def _required(params: list[Any]) -> Rows | None:
    project, dataset, table = params
    if metadata := metadata_of(project):
        return _fetch(f"{_columns_of(metadata)} AND NOT nulls_allowed ORDER BY column_order", [dataset, table])
    if _is_result(project, dataset):
        return [] if _result(table) is None else _described(params, "\"null\" = 'NO'")
    return None


def _column(params: list[Any]) -> Rows | None:
    project, dataset, table, column = params
    if metadata := metadata_of(project):
        if rows := _fetch(f"{_columns_of(metadata)} AND column_name = ?", [dataset, table, column]):
            return [(1,) for _ in rows]
        # A view's columns are stored nowhere: DuckDB finds them when it binds the view.
        must_bind = any(kind == "VIEW" for _, kind, _ in _objects([project, dataset, table]) or ())
    elif _is_result(project, dataset):
        must_bind = _result(table) is not None
    else:
        return None
    return [(1,) for (name,) in _described(params[:3], "true") if name == column] if must_bind else []


def _columns_of(metadata: str) -> str:
    return (
        f"SELECT column_name FROM {metadata}.ducklake_column JOIN {metadata}.ducklake_table AS tab USING (table_id) "  # noqa: S608
        f"JOIN {metadata}.ducklake_schema AS schema USING (schema_id) WHERE schema_name = ? AND table_name = ? "
        "AND parent_column IS NULL AND ducklake_column.end_snapshot IS NULL AND tab.end_snapshot IS NULL AND schema.end_snapshot IS NULL"
    )


def _dataset(params: list[Any]) -> Rows | None:
    project, dataset = params
    if metadata := metadata_of(project):
        return _fetch(f"SELECT 1 FROM {metadata}.ducklake_schema WHERE schema_name = ? AND end_snapshot IS NULL", [dataset])  # noqa: S608
    return None


def _datasets(params: list[Any]) -> Rows | None:
    project, everything = params
    if metadata := metadata_of(project):
        return _fetch(
            f"SELECT schema_name FROM {metadata}.ducklake_schema WHERE end_snapshot IS NULL AND schema_name <> 'main' "  # noqa: S608
            "AND (? OR NOT starts_with(schema_name, '_')) ORDER BY schema_name",
            [everything],
        )
    return None


def _is_result(project: str, dataset: str) -> bool:
    """Whether it is where every query's rows are kept: a table a query, so the longest list of all."""
    return (project, dataset) == ("emulator", tables.RESULTS)


def _described(path: list[str], condition: str) -> Rows:
    """Columns as DuckDB binds them: none of a view over what is gone."""
    try:
        return _fetch(f"SELECT column_name FROM (DESCRIBE {database.quote(*path)}) WHERE {condition}")  # noqa: S608
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
