"""Gives the emulator's ingestion-partitioned tables their pseudo-column, however they were made.

local-bigquery stores `_PARTITIONTIME` as a hidden column, but only in tables that `CREATE TABLE ... PARTITION BY _PARTITIONDATE` made with
a list of columns. Tables made over REST, by load jobs or as the result of a query had none, though their description says that they are
partitioned by ingestion time: reading them by partition failed, while BigQuery reads them all alike.
"""

import contextlib
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import duckdb
from local_bigquery.catalog import metadata, tables
from local_bigquery.engine import database
from local_bigquery.models import Table

VERSION = "0.3.2"
UNITS = {"HOUR": "hour", "DAY": "day", "MONTH": "month", "YEAR": "year"}

type Reference = tuple[str, str, str]

_record: Callable[..., None] = tables.record
_write: Callable[..., bool] = tables.write


def install() -> None:
    """Replaces `record` and `write` of local-bigquery's tables. RuntimeError if it is another version than this was written for."""
    if version("local-bigquery") != VERSION:
        raise RuntimeError(f"local-bigquery is {version('local-bigquery')}; localcloud.bigquery_partitions fits {VERSION}")
    # Their callers look both up by name at every call.
    tables.record = record
    tables.write = write


def record(project: str, dataset: str, table: str, resource: Table) -> None:
    """`tables.record`: writes down a table's description, whoever made the table."""
    _record(project, dataset, table, resource)
    add_partition_time((project, dataset, table))


def write(
    cursor: duckdb.DuckDBPyConnection, query: str, params: dict[str, Any] | None, reference: Reference, *args: Any, **named: Any
) -> bool:
    """`tables.write`: rows of a load, copy or query job. It makes the table anew to replace all rows, without the pseudo-column."""
    created = _write(cursor, query, params, reference, *args, **named)
    add_partition_time(reference)
    return created


def add_partition_time(reference: Reference) -> None:
    """Rebuilds a table that is partitioned by ingestion and lacks the pseudo-column: rows that are there arrive now, later ones when they
    do. DuckLake adds no column whose default is an expression to a table that exists.
    """
    unit = _ingestion_unit(metadata.load(Table, *reference))
    if unit is None:
        return
    path, rebuilt = database.quote(*reference), database.quote(*reference[:2], f"{reference[2]}__rebuilt")
    with database.cursor() as cursor:
        try:
            found = cursor.execute(f'SELECT column_name, column_type, "null", "default" FROM (DESCRIBE {path})').fetchall()  # noqa: S608
        except duckdb.CatalogException:
            return  # described, but without columns yet
        if any(name == tables.INGESTION_TIME for name, *_ in found):
            return
        columns = [_column(*column) for column in found]
        columns.append(
            f"{database.quote(tables.INGESTION_TIME)} TIMESTAMPTZ DEFAULT CAST(date_trunc('{unit}', current_timestamp) AS TIMESTAMPTZ)"
        )
        with _transaction(cursor):
            cursor.execute(f"CREATE TABLE {rebuilt} ({', '.join(columns)})")
            cursor.execute(f"INSERT INTO {rebuilt} BY NAME SELECT * FROM {path}")  # noqa: S608
            cursor.execute(f"DROP TABLE {path}")
            cursor.execute(f"ALTER TABLE {rebuilt} RENAME TO {database.quote(reference[2])}")


def _ingestion_unit(stored: Table | None) -> str | None:
    partitioning = stored.timePartitioning if stored else None
    if partitioning is None or partitioning.field:
        return None
    return UNITS.get(partitioning.type or "DAY")


def _column(name: str, kind: str, null: str, default: str | None) -> str:
    return f"{database.quote(name)} {kind}{' NOT NULL' if null == 'NO' else ''}{f' DEFAULT {default}' if default else ''}"


@contextlib.contextmanager
def _transaction(cursor: duckdb.DuckDBPyConnection) -> Any:
    cursor.execute("BEGIN")
    try:
        yield
    except BaseException:
        cursor.execute("ROLLBACK")
        raise
    cursor.execute("COMMIT")
