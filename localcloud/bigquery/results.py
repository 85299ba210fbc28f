"""Writes and reads the rows of a query's own result with fewer questions to the emulator's catalog.

Every query's rows go into a table of their own, and the answer is read from there; that stays so. But local-bigquery plans the query twice
to learn its columns and once to run it, asks whether the new table exists already, describes it three times over to read it, and counts its
rows before it reads them. Here a query is planned to learn its columns only where they are not known from the last time that it was run
over the same tables. A result that this process wrote is read as it is, and in the order in which it was written: neither is it described
when its query's last result was, nor counted, nor sorted where all of it is asked for.

Upstream would have to hand the relation from `tables.write` to `results.materialise`, and to know its own results from other tables. (A
result with a column `rowid` it reads in the order of that column, not of the query's.)
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import duckdb
from local_bigquery.catalog import metadata, tabledata, tables
from local_bigquery.engine import database, results, types

from localcloud.bigquery import expired_results
from localcloud.bigquery.sql import shapes
from localcloud.bigquery.sql.shapes import Shape
from localcloud.bigquery.version import require_known_version

KNOWN = 100_000
"""How many results are known by name; an older one is looked up like any other table."""
# What a result's configuration may not have: with these, a destination is looked at before it is written.
SPECIAL = ("timePartitioning", "rangePartitioning", "clustering", "schemaUpdateOptions")

type Cursor = duckdb.DuckDBPyConnection
type Reference = tuple[str, str, str]

_write: Callable[..., bool] = tables.write
_list_rows: Callable[..., tuple[results.Page, list[Any]]] = tabledata.list_rows
_save: Callable[..., Any] = metadata.save


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A result that was written."""

    rows: int
    shape: Shape
    by_script: bool


# In the order they were written. A job's id is its own, so each is written by one thread.
_written: dict[Reference, Written] = {}


class Bound:
    """A cursor that knows the shape of a query's result."""

    def __init__(self, cursor: Cursor, query: str, shape: Shape) -> None:
        self._cursor, self._query, self._shape = cursor, query, shape

    def sql(self, query: str, params: Any = None) -> Any:
        """The relation, or of that query the shape, which is all that is asked of it."""
        return self._shape if query is self._query else self._cursor.sql(query, params=params)

    def execute(self, *args: Any) -> Any:
        """As the cursor's."""
        return self._cursor.execute(*args)


def install() -> None:
    """Wraps `tables.write`, `tabledata.list_rows` and `metadata.save`. RuntimeError if local-bigquery is not the known version."""
    global _write, _save
    require_known_version()
    # Their callers look them up by name at every call.
    _write, _save = tables.write, metadata.save
    tables.write, tabledata.list_rows, metadata.save = write, list_rows, save


def reset() -> None:
    """Clears everything, for another database in the same process."""
    _written.clear()
    expired_results.ages.reset()


def write(cursor: Cursor, query: str, params: dict[str, Any] | None, reference: Reference, config: Any, *args: Any, **named: Any) -> bool:
    """`tables.write`: the rows of a load, copy or query job."""
    is_special = config.destinationTable is not None or any(getattr(config, name, None) for name in SPECIAL)
    if reference[1] != tables.RESULTS or is_special or config.createDisposition == "CREATE_NEVER":
        _written.pop(reference, None)
        made = _write(cursor, query, params, reference, config, *args, **named)
        if reference[1] == tables.RESULTS:
            expired_results.ages.note_written(reference, time.time())
        return made
    shape = _shape(cursor, query, params)
    bound, name = Bound(cursor, query, shape), tables.name(*reference)
    if by_script := bool(named.get("isolated")):
        # Within a script, which may be in a transaction, results are written beside it.
        with database.cursor() as writer:
            results.materialise(bound, query, name, params, False, writer)  # noqa: FBT003
            ((rows,),) = writer.fetchall()
    else:
        results.materialise(bound, query, name, params, False, None)  # noqa: FBT003
        ((rows,),) = cursor.fetchall()
    _written[reference] = Written(rows=rows, shape=shape, by_script=by_script)
    expired_results.ages.note_written(reference, time.time())
    if len(_written) > KNOWN:
        _written.pop(next(iter(_written)), None)
    return True


def _shape(cursor: Cursor, query: str, params: dict[str, Any] | None) -> Shape:
    if (shape := shapes.find(query)) is None:
        relation = _planned(cursor, query, params)
        shape = Shape(columns=relation.columns, types=relation.types)
        shapes.keep(query, shape)
    return shape


def _planned(cursor: Cursor, query: str, params: dict[str, Any] | None) -> Any:
    """DuckDB runs a query that has parameters to make a relation of it, all of it; one of none of its rows costs nothing."""
    try:
        return cursor.sql(f"SELECT * FROM ({query}) LIMIT 0", params=params)  # noqa: S608
    except duckdb.Error:  # whose text may quote the statement
        return cursor.sql(query, params=params)


def save(resource: Any, *keys: str) -> Any:
    """`metadata.save`: what the API has stored about a result (an expiration, say) decides how it is read."""
    if len(keys) == 3:  # noqa: PLR2004 - a table's: project, dataset, table
        _written.pop(keys, None)
    return _save(resource, *keys)


def list_rows(project: str, dataset: str, table: str, *how: Any) -> tuple[results.Page, list[Any]]:
    """`tabledata.list_rows`: one page of rows, and the columns that they have.

    `how`: the most rows and the first (from 0), names of columns, and whether timestamps are whole microseconds.
    """
    max_results, start, selected, int64_timestamps = how
    reference = (project, dataset, table)
    written = _written.get(reference)
    if written is None or selected:
        return _list_rows(*reference, *how)
    name, limit = tables.name(*reference), results.DEFAULT_PAGE_SIZE if max_results is None else max_results
    try:
        with database.cursor() as cursor:
            columns = _columns(cursor, name, written)
            # All rows come in the order of their ids anyway; of a column of that name, local-bigquery makes the order.
            is_whole = not start and written.rows <= limit and all(column.lower() != "rowid" for column, _ in columns)
            page_of_it = name if is_whole else f"(SELECT * FROM {name} ORDER BY rowid LIMIT {limit} OFFSET {start})"  # noqa: S608
            found = cursor.execute(f"SELECT {types.row(columns, int64_timestamps)} FROM {page_of_it}").fetchall()  # noqa: S608
    except duckdb.CatalogException:
        # Deleted by now.
        return _list_rows(*reference, *how)
    end = start + len(found)
    if end >= written.rows:
        expired_results.ages.note_read(reference, time.time())
    page = results.Page([row for (row,) in found], written.rows, str(end) if end < written.rows else None)
    return page, [types.field(column, kind) for column, kind in columns]


def _columns(cursor: Cursor, name: str, written: Written) -> list[tuple[str, Any]]:
    if (known := written.shape.stored.get(written.by_script)) is not None:
        return known
    relation = cursor.sql(f"SELECT * FROM {name} LIMIT 0")  # noqa: S608
    columns = written.shape.stored[written.by_script] = list(zip(relation.columns, relation.types, strict=True))
    return columns
