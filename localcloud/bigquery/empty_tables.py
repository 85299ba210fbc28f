"""Gives the emulator's new tables statistics, so that statements over tables that were never written to cost no more than others.

DuckLake has no statistics of a table until its first rows come. Until then DuckDB's optimizer asks for them column by column, and DuckLake
searches its metadata anew each time: an UPDATE of an empty table with ten columns takes 25 ms instead of 1.5. A tenant's tables are empty
at first, and most of a test's are. Here a table that was just made is recorded as one with no rows; of its columns nothing is said. The
first rows complete that, as they do for a table whose rows were all deleted.

DuckLake would have to remember that it found nothing, or to write this row itself.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import duckdb
from local_bigquery.catalog import ddl, names
from local_bigquery.engine import database
from local_bigquery.jobs import query
from sqlglot import exp

from localcloud.bigquery import catalog
from localcloud.bigquery.version import require_known_version

_apply: Callable[..., None] = ddl.apply


def install() -> None:
    """Wraps what follows on a statement that makes a table. RuntimeError if statements no longer end in `ddl.apply`.

    Tables that the API makes are left as they are: rows are loaded into them next.
    """
    require_known_version()
    if query.catalog_ddl is not ddl or "apply" not in query._run.__code__.co_names:  # noqa: SLF001
        raise RuntimeError("local-bigquery has changed: jobs.query._run no longer calls catalog.ddl.apply")
    ddl.apply = apply


def apply(tree: exp.Expression, project: str, dataset: str | None, *args: Any) -> None:
    """`ddl.apply`, after a DDL statement has run."""
    _apply(tree, project, dataset, *args)
    target = names.target(tree)
    if isinstance(tree, exp.Create) and tree.args.get("kind") == "TABLE" and target is not None:
        note_empty(*names.reference(target, project, dataset))


def note_empty(project: str, dataset: str, table: str) -> None:
    """Writes down that the table has no rows, if nothing is known of it. Nothing happens where there is none (yet: in a transaction).

    It is a commit as DuckLake makes its own: the snapshot after the newest, whose number is a primary key. So of this one and another
    that has looked for statistics before it one fails: DuckLake's is made again, and finds the row; this one is given up.
    """
    lake = catalog.metadata_of(project)
    if not dataset or lake is None:
        return
    without = (
        f"SELECT table_id FROM {lake}.ducklake_table AS tab JOIN {lake}.ducklake_schema AS schema USING (schema_id) "  # noqa: S608
        "WHERE schema_name = ? AND table_name = ? AND tab.end_snapshot IS NULL AND schema.end_snapshot IS NULL "
        f"AND table_id NOT IN (SELECT table_id FROM {lake}.ducklake_table_stats)"
    )
    # The cursor's end takes back what is not committed: another commit came between.
    with database.cursor() as cursor, contextlib.suppress(duckdb.ConstraintException, duckdb.TransactionException):
        cursor.execute("BEGIN")
        for (table_id,) in cursor.execute(without, [dataset, table]).fetchall():
            _write(cursor, lake, table_id)
        cursor.execute("COMMIT")


def _write(cursor: duckdb.DuckDBPyConnection, lake: str, table_id: int) -> None:
    cursor.execute(
        f"INSERT INTO {lake}.ducklake_snapshot (snapshot_id, snapshot_time, schema_version, next_catalog_id, next_file_id) "  # noqa: S608
        f"SELECT snapshot_id + 1, now(), schema_version, next_catalog_id, next_file_id FROM {lake}.ducklake_snapshot "
        "ORDER BY snapshot_id DESC LIMIT 1"
    )
    # What DuckLake reads there to find conflicts; no rows are some, too.
    cursor.execute(
        f"INSERT INTO {lake}.ducklake_snapshot_changes (snapshot_id, changes_made) "  # noqa: S608
        f"SELECT max(snapshot_id), 'inserted_into_table:' || ? FROM {lake}.ducklake_snapshot",
        [table_id],
    )
    cursor.execute(
        f"INSERT INTO {lake}.ducklake_table_column_stats (table_id, column_id) SELECT table_id, column_id "  # noqa: S608
        f"FROM {lake}.ducklake_column WHERE table_id = $1 AND column_id NOT IN "
        f"(SELECT parent_column FROM {lake}.ducklake_column WHERE table_id = $1 AND parent_column IS NOT NULL)",
        [table_id],
    )
    cursor.execute(
        f"INSERT INTO {lake}.ducklake_table_stats (table_id, record_count, next_row_id, file_size_bytes) VALUES (?, 0, 0, 0)",  # noqa: S608
        [table_id],
    )
