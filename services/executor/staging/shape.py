"""Staging tables: rows that a run has read are stored here, checked here and published from here.

A file of `configs/bigquery/staging/` defines the columns, which are also the columns read from the source. `x_staging_{table}` has the
columns of a tenant's own table. Each run creates a table of its own, named by run and attempt. SQL is written with the shape's name; `bind`
replaces it by the run's table name, the only text substitution in SQL.
"""

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa
from google.cloud.bigquery import SchemaField

from services.executor.records import Run
from services.executor.staging.casting import cast_column
from services.platform.bigquery.ddl import Table
from services.platform.bigquery.query_parameters import struct_fields
from services.platform.bigquery.sql import Block

LIFE = timedelta(hours=24)
"""BigQuery drops a staging table after this time, however its run ended."""

_ARROW: dict[str, pa.DataType] = {
    "STRING": pa.string(),
    "FLOAT64": pa.float64(),
    "INT64": pa.int64(),
    "BOOL": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "NUMERIC": pa.decimal128(38, 9),
}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WRAPPED = re.compile(r"(ARRAY|STRUCT)<(.*)>", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class StagingShape:
    """The columns of one kind of staging table."""

    name: str
    """The name in the DDL and in SQL, e.g. x_staging_gcp_billing."""
    columns: dict[str, str]
    """Name to GoogleSQL type."""

    @classmethod
    def of(cls, table: Table) -> "StagingShape":
        """The shape of a DDL table."""
        return cls(name=table.name, columns=table.columns)

    @property
    def arrow(self) -> pa.Schema:
        """The columns as an Arrow schema."""
        return pa.schema([(name, arrow_type(kind)) for name, kind in self.columns.items()])

    @property
    def bigquery(self) -> list[SchemaField]:
        """The columns as BigQuery's API describes them."""
        return [schema_field(name, kind) for name, kind in self.columns.items()]

    def table(self, pipeline_logging_id: str, attempt: int) -> "StagingTable":
        """The table of one attempt of one run. Raises ValueError if the id is no UUID: it becomes part of a name."""
        if not _UUID.fullmatch(pipeline_logging_id):
            raise ValueError("a pipeline_logging_id is a UUID in lower case")
        return StagingTable(shape=self, name=f"{self.name}_{pipeline_logging_id.replace('-', '_')}_{int(attempt)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class StagingTable:
    """A run's own staging table. Created by `StagingShape.table` only, which checks the parts of its name."""

    shape: StagingShape
    name: str


@runtime_checkable
class Stages(Protocol):
    """A step that fills a staging table from what earlier steps have staged."""

    def staged_in(self, run: Run) -> StagingTable:
        """This table, of the run."""
        ...


def bind(block: Block, tables: tuple[StagingTable, ...]) -> Block:
    """The block with the run's own staging tables in place of the shapes' names.

    The block keeps its name for metrics: a label per run would explode cardinality.
    """
    sql = block.sql
    for table in tables:
        sql = re.sub(rf"\b{table.shape.name}\b", table.name, sql)
    return replace(block, sql=sql)


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with exactly the columns of `schema`, cast to their types. At any depth, missing ones become NULL and extra ones are
    dropped. Names match in any case, as in BigQuery.

    Raises ColumnMisfit, naming the column, if a value does not fit the type.
    """
    found = dict(zip((name.lower() for name in batch.schema.names), batch.columns, strict=True))
    columns = [
        cast_column(found[name], field.type, field.name) if (name := field.name.lower()) in found else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def arrow_type(kind: str) -> pa.DataType:
    """A GoogleSQL type as an Arrow type. Raises KeyError for a type that staging tables do not use."""
    match = _WRAPPED.fullmatch(kind.strip())
    if match is None:
        return _ARROW[kind.strip()]
    if match[1] == "ARRAY":
        return pa.list_(arrow_type(match[2]))
    return pa.struct([(name, arrow_type(inner)) for name, inner in struct_fields(match[2]).items()])


def schema_field(name: str, kind: str, mode: str = "NULLABLE") -> SchemaField:
    """A GoogleSQL type as a column of BigQuery's API."""
    match = _WRAPPED.fullmatch(kind.strip())
    if match is None:
        return SchemaField(name, kind.strip(), mode=mode)
    if match[1] == "ARRAY":
        return schema_field(name, match[2], "REPEATED")
    fields: list[Any] = [schema_field(inner, of) for inner, of in struct_fields(match[2]).items()]
    return SchemaField(name, "RECORD", mode=mode, fields=fields)
