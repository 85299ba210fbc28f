"""Gives the emulator's new tables statistics, so that statements over tables that were never written to cost no more than others.

DuckLake has no statistics of a table until its first rows come. Until then DuckDB's optimizer asks for them column by column, and DuckLake
searches its metadata anew each time: an UPDATE of an empty table with ten columns takes 25 ms instead of 1.5. A tenant's tables are empty
at first, and most of a test's are. Here a table that was just made is recorded as one with no rows; of its columns nothing is said. The
first rows complete that, as they do for a table whose rows were all deleted.

DuckLake would have to remember that it found nothing, or to write this row itself.
"""

from collections.abc import Callable
from typing import Any

from local_bigquery.catalog import ddl, names, tables
from local_bigquery.engine import database
from local_bigquery.jobs import query
from local_bigquery.models import Table
from sqlglot import exp

from localcloud.bigquery_version import require_known_version

_apply: Callable[..., None] = ddl.apply
_create: Callable[..., Table] = tables.create


def install() -> None:
    """Wraps what makes tables: statements, and tables.insert of the API. RuntimeError if statements no longer end in `ddl.apply`."""
    global _create  # noqa: PLW0603 - others replace it too, before or after
    require_known_version()
    if query.catalog_ddl is not ddl or "apply" not in query._run.__code__.co_names:  # noqa: SLF001
        raise RuntimeError("local-bigquery has changed: jobs.query._run no longer calls catalog.ddl.apply")
    _create = tables.create
    ddl.apply, tables.create = apply, create


def apply(tree: exp.Expression, project: str, dataset: str | None, *args: Any) -> None:
    """`ddl.apply`, after a DDL statement has run."""
    _apply(tree, project, dataset, *args)
    target = names.target(tree)
    if isinstance(tree, exp.Create) and tree.args.get("kind") == "TABLE" and target is not None:
        note_empty(*names.reference(target, project, dataset))


def create(project: str, dataset: str, body: Table, *args: Any) -> Table:
    """`tables.create`."""
    made = _create(project, dataset, body, *args)
    note_empty(project, dataset, made.tableReference.tableId)
    return made


def note_empty(project: str, dataset: str, table: str) -> None:
    """Writes down that the table has no rows, if nothing is known of it. Nothing happens where there is none (yet: in a transaction).

    Should the first rows be written at the very same moment there are two rows of statistics, which DuckLake changes as one.
    """
    if not dataset or project not in database._attached:  # noqa: SLF001
        return
    metadata = database.quote(f"__ducklake_metadata_{project}")
    without = (
        f"SELECT table_id FROM {metadata}.ducklake_table AS tab JOIN {metadata}.ducklake_schema AS schema USING (schema_id) "  # noqa: S608
        "WHERE schema_name = ? AND table_name = ? AND tab.end_snapshot IS NULL AND schema.end_snapshot IS NULL "
        f"AND table_id NOT IN (SELECT table_id FROM {metadata}.ducklake_table_stats)"
    )
    with database.cursor() as cursor:
        if not (found := cursor.execute(without, [dataset, table]).fetchall()):
            return
        cursor.execute("BEGIN")
        cursor.execute(
            f"INSERT INTO {metadata}.ducklake_table_column_stats (table_id, column_id) SELECT table_id, column_id "  # noqa: S608
            f"FROM {metadata}.ducklake_column WHERE table_id = $1 AND column_id NOT IN "
            f"(SELECT parent_column FROM {metadata}.ducklake_column WHERE table_id = $1 AND parent_column IS NOT NULL)",
            found[0],
        )
        cursor.execute(
            f"INSERT INTO {metadata}.ducklake_table_stats (table_id, record_count, next_row_id, file_size_bytes) VALUES (?, 0, 0, 0)",  # noqa: S608
            found[0],
        )
        cursor.execute("COMMIT")
