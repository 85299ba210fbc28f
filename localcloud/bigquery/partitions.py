"""Gives the emulator's ingestion-partitioned tables their pseudo-column, however they are made.

local-bigquery keeps `_PARTITIONTIME` as a hidden column, but only in tables that SQL makes (`CREATE TABLE ... PARTITION BY
_PARTITIONDATE`). Those that are made over REST, by load jobs or as the result of a query had none, though their description says that they
are partitioned by ingestion time: reading them by partition failed, while BigQuery reads them all alike.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import duckdb
from local_bigquery.catalog import metadata, tables
from local_bigquery.engine import database, results
from local_bigquery.models import Table

from localcloud.bigquery.version import require_known_version

type Cursor = duckdb.DuckDBPyConnection
type Reference = tuple[str, str, str]

_create: Callable[..., Table] = tables.create
_update: Callable[..., Table] = tables.update
_write: Callable[..., bool] = tables.write
_materialise: Callable[..., None] = results.materialise
_unit_of_destination: ContextVar[str | None] = ContextVar("unit_of_destination", default=None)


def install() -> None:
    """Replaces what makes tables in local-bigquery. RuntimeError if it is another version than this was written for."""
    require_known_version()
    # Their callers look them up by name at every call.
    tables.create, tables.update = create, update
    tables.write, results.materialise = write, materialise


def create(project: str, dataset: str, body: Table, *args: Any) -> Table:
    """`tables.create`: tables.insert of the API."""
    made = _create(project, dataset, body, *args)
    _complete(project, dataset, made.tableReference.tableId, made)
    return made


def update(project: str, dataset: str, table: str, *args: Any) -> Table:
    """`tables.update`: it makes the table when one that was made without columns is given some."""
    made = _update(project, dataset, table, *args)
    _complete(project, dataset, table, made)
    return made


def write(cursor: Cursor, query: str, params: dict[str, Any] | None, reference: Reference, config: Any, *args: Any, **named: Any) -> bool:
    """`tables.write`: the rows of a load, copy or query job."""
    token = _unit_of_destination.set(ingestion_unit(config) or ingestion_unit(metadata.load(Table, *reference)))
    try:
        return _write(cursor, query, params, reference, config, *args, **named)
    finally:
        _unit_of_destination.reset(token)


def materialise(cursor: Cursor, query: str, name: str, params: dict[str, Any] | None, *how: Any) -> None:
    """`results.materialise`: makes a table of a query's rows, or adds them to one. Here it is made without rows, and they are added.

    `how`: whether to add them, and the connection that writes.
    """
    unit, (append, writer) = _unit_of_destination.get(), how
    if unit is None or append:
        _materialise(cursor, query, name, params, append, writer)
        return
    _materialise(cursor, f"SELECT * FROM ({query}) LIMIT 0", name, params, False, writer)  # noqa: S608, FBT003
    add_partition_time(writer or cursor, name, unit)
    _materialise(cursor, query, name, params, True, writer)  # noqa: FBT003


def ingestion_unit(described: Any) -> str | None:
    """HOUR, DAY, MONTH or YEAR if a table, or a job's destination, is partitioned by ingestion time."""
    partitioning = described.timePartitioning if described and hasattr(described, "timePartitioning") else None
    return None if partitioning is None or partitioning.field else partitioning.type or "DAY"


def add_partition_time(cursor: Cursor, name: str, unit: str) -> None:
    """Makes a table anew that has no rows yet, with the pseudo-column; DuckLake adds no column whose default is an expression to one that
    exists. `name`: quoted, in full.
    """
    described = cursor.execute(f'SELECT column_name, column_type, "null", "default" FROM (DESCRIBE {name})').fetchall()  # noqa: S608
    columns = [_column(*column) for column in described]
    default = f"CAST(date_trunc('{unit}', current_timestamp) AS TIMESTAMPTZ)"
    columns.append(f"{database.quote(tables.INGESTION_TIME)} TIMESTAMPTZ DEFAULT {default}")
    cursor.execute(f"CREATE OR REPLACE TABLE {name} ({', '.join(columns)})")


def _complete(project: str, dataset: str, table: str, described: Table) -> None:
    unit, name = ingestion_unit(described), tables.name(project, dataset, table)
    if unit is None or not database.objects(project, dataset, table):
        return
    with database.cursor() as cursor:
        is_empty = not cursor.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchall()  # noqa: S608
        if is_empty and tables.INGESTION_TIME not in cursor.sql(f"SELECT * FROM {name} LIMIT 0").columns:  # noqa: S608
            add_partition_time(cursor, name, unit)


def _column(name: str, kind: str, null: str, default: str | None) -> str:
    return f"{database.quote(name)} {kind}{' NOT NULL' if null == 'NO' else ''}{f' DEFAULT {default}' if default else ''}"
