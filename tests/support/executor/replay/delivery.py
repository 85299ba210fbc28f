"""Writes a replayed month into a tenant's project on the emulator, as Google does: appends to a table partitioned by arrival."""

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from localcloud.sample.schema import TIMESTAMP, bigquery_schema
from tests.support.executor.billing_export import ACCOUNT, DETAILED
from tests.support.executor.replay.charge import Charge
from tests.support.executor.replay.month import LAG
from tests.support.executor.replay.timeline import Recreation

DATASET, TABLE = "costs", f"gcp_billing_export_resource_v1_{ACCOUNT}"
COMING = "coming"
"""A table beside the export with all rows that ever arrive: an append is then one statement."""
ARRIVED = "x_arrived"
_COLUMNS = ", ".join(DETAILED.names)
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


class Delivery:
    """Google's side of an export. Blocks. Moments must not go back."""

    def __init__(self, host: str, project: str, recreations: Iterable[Recreation] = (), *, table: str = TABLE) -> None:
        self._client = bigquery.Client(project, AnonymousCredentials(), client_options={"api_endpoint": host})  # type: ignore[no-untyped-call]
        self._export, self._coming = f"{project}.{DATASET}.{table}", f"{project}.{DATASET}.{COMING}"
        self._recreations = sorted(recreations, key=lambda one: one.at, reverse=True)
        self._until = _BEGINNING

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()  # type: ignore[no-untyped-call]

    def prepare(self, charges: Iterable[Charge]) -> None:
        """Makes the export, empty; `charges` arrive as time passes."""
        schema = DETAILED.append(pa.field(ARRIVED, TIMESTAMP))
        rows = pa.Table.from_pylist([one.record() | {ARRIVED: one.arrived} for one in charges], schema=schema)
        file = io.BytesIO()
        pq.write_table(rows, file)
        nested = bigquery.ParquetOptions()  # type: ignore[no-untyped-call]
        nested.enable_list_inference = True
        config = bigquery.LoadJobConfig(
            source_format="PARQUET", schema=bigquery_schema(schema), parquet_options=nested, write_disposition="WRITE_TRUNCATE"
        )
        self._client.create_dataset(DATASET, exists_ok=True)
        self._client.load_table_from_file(file, self._coming, rewind=True, job_config=config).result()
        self._make(self._export)

    def advance(self, moment: datetime) -> None:
        """Everything up to and including `moment` happens. The newest append stands in the streaming buffer, without a partition, until
        there is a newer one.
        """
        while self._recreations and self._recreations[-1].at <= moment:
            anew = self._recreations.pop()
            self._append(anew.at)
            self._make_anew(anew)
        self._append(moment)

    def do(self, sql: str) -> None:
        """A statement of the tenant's, in its own project: `{export}` stands for the export."""
        self._do(sql.format(export=self._export, dataset=f"{self._client.project}.{DATASET}"))

    def make(self, name: str) -> None:
        """An empty export beside the one that is delivered."""
        self._make(f"{self._client.project}.{DATASET}.{name}")

    def _append(self, moment: datetime) -> None:
        if moment <= self._until:
            return
        arriving = f"FROM `{self._coming}` WHERE {ARRIVED} > @after AND {ARRIVED} <= @until"
        self._do(
            f"""
            DECLARE newest TIMESTAMP DEFAULT (SELECT MAX({ARRIVED}) {arriving});
            IF newest IS NOT NULL THEN
              UPDATE `{self._export}` SET _PARTITIONTIME = TIMESTAMP_TRUNC(TIMESTAMP_ADD(export_time, INTERVAL @lag SECOND), DAY)
              WHERE _PARTITIONTIME IS NULL;
              INSERT INTO `{self._export}` (_PARTITIONTIME, {_COLUMNS})
              SELECT IF({ARRIVED} = newest, NULL, TIMESTAMP_TRUNC({ARRIVED}, DAY)), {_COLUMNS} {arriving};
            END IF""",
            after=self._until,
            until=moment,
            lag=int(LAG.total_seconds()),
        )
        self._until = moment

    def _make_anew(self, anew: Recreation) -> None:
        """Rows come back under one export time, in the partition of that day."""
        self._client.delete_table(self._export)
        self._make(self._export)
        columns = _COLUMNS.replace("export_time", "@written")
        self._do(
            f"INSERT INTO `{self._export}` (_PARTITIONTIME, {_COLUMNS}) SELECT TIMESTAMP_TRUNC(@until, DAY), {columns} "
            f"FROM `{self._coming}` WHERE {ARRIVED} <= @until AND usage_start_time >= @since",
            until=anew.at,
            written=anew.at - LAG,
            since=anew.since or _BEGINNING,
        )

    def _make(self, name: str) -> None:
        table = bigquery.Table(name, schema=bigquery_schema(DETAILED))
        table.time_partitioning = bigquery.TimePartitioning()
        self._client.create_table(table)

    def _do(self, sql: str, **params: datetime | int) -> None:
        given = [
            bigquery.ScalarQueryParameter(name, "INT64" if isinstance(value, int) else "TIMESTAMP", value) for name, value in params.items()
        ]
        self._client.query_and_wait(sql, job_config=bigquery.QueryJobConfig(query_parameters=given))
