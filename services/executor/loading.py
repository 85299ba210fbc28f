"""Makes, fills and drops staging tables in the tenants' dataset, with the platform's own identity."""

import uuid
from datetime import timedelta
from typing import IO, cast

from google.api_core import exceptions as google
from google.cloud import bigquery
from google.cloud.bigquery import client

from services.executor.staging import LIFE, StagingTable
from services.platform import metrics
from services.platform.bigquery import NO_RETRY, BigQuery
from services.platform.clock import Clock

SHORT_SECONDS = 30.0
# What is uploaded at once is held in memory, twice, by every run that loads; the client's own 100 MB would be most of what a run needs, and
# it has no setting for them. BigQuery takes multiples of 256 KiB ("Resumable uploads").
client._DEFAULT_CHUNKSIZE = 8 * 2**20  # noqa: SLF001


class StagingTables:
    """All staging tables of all tenants."""

    def __init__(self, bq: BigQuery, clock: Clock) -> None:
        self._bq = bq
        self._clock = clock

    async def make(self, tenant_id: str, table: StagingTable) -> None:
        """Makes `table`, empty. A table of an earlier try is dropped. Raises as `fill` does."""
        await self.drop(tenant_id, table)
        made = bigquery.Table(f"{self._bq.tenant(tenant_id)}.{table.name}", schema=table.shape.bigquery)
        # An expiration is a property of the table that a load into it keeps; a load job that makes the table could not set one.
        made.expires = self._clock.now() + LIFE

        def create(timeout: float) -> None:
            self._bq.client.create_table(made, exists_ok=True, timeout=timeout, retry=NO_RETRY)

        await self._bq.call("create_staging", create, seconds=SHORT_SECONDS)

    async def fill(self, tenant_id: str, table: StagingTable, parquet: IO[bytes], size: int, *, within: timedelta) -> None:
        """Makes `table` anew and loads the Parquet file (`size` bytes) into it, in one job.

        Raises Unavailable if BigQuery does not answer; then the table may be there or not, and `fill` may be called again.
        """
        await self.make(tenant_id, table)
        name = f"{self._bq.tenant(tenant_id)}.{table.name}"
        job_id = f"load_{table.name}_{uuid.uuid4().hex}"

        def load(timeout: float) -> None:
            metrics.BIGQUERY_JOBS.labels("load_staging").inc()
            metrics.BIGQUERY_STATEMENTS.labels(table.shape.name, "load").inc()
            try:
                job = self._bq.client.load_table_from_file(
                    parquet, name, rewind=True, size=size, job_id=job_id, job_config=_load_config(table), timeout=timeout
                )
            except google.Conflict:
                # The reply to an earlier try was lost, but its job runs: one job id, one load.
                job = cast("bigquery.LoadJob", self._bq.client.get_job(job_id, timeout=timeout))
            job.result(timeout=timeout, retry=NO_RETRY)

        try:
            await self._bq.call("load_staging", load, seconds=within.total_seconds())
        except BaseException:
            await self._bq.cancel_job(job_id)
            raise

    async def drop(self, tenant_id: str, table: StagingTable) -> None:
        """Takes the table away; nothing happens if there is none. Raises Unavailable if BigQuery does not answer."""
        name = f"{self._bq.tenant(tenant_id)}.{table.name}"

        def delete(timeout: float) -> None:
            self._bq.client.delete_table(name, not_found_ok=True, timeout=timeout, retry=NO_RETRY)

        await self._bq.call("drop_staging", delete, seconds=SHORT_SECONDS)


def _load_config(table: StagingTable) -> bigquery.LoadJobConfig:
    parquet = bigquery.ParquetOptions()  # type: ignore[no-untyped-call]
    # Without it an ARRAY column arrives as STRUCT<list ARRAY<STRUCT<element ...>>> (BigQuery, "Loading Parquet data").
    parquet.enable_list_inference = True
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        schema=table.shape.bigquery,
        # The table has just been made: a load that somehow ran twice is refused, never doubled.
        write_disposition=bigquery.WriteDisposition.WRITE_EMPTY,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
    )
    config.parquet_options = parquet
    return config
