"""Makes, fills and drops staging tables in the tenants' dataset, with the platform's own identity."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import IO, Any
from weakref import WeakValueDictionary

from google.cloud import bigquery

from services.executor.staging.shape import LIFE, StagingTable
from services.platform import metrics
from services.platform.backoff import backoff
from services.platform.bigquery.client import CHUNK_BYTES, BigQuery
from services.platform.bigquery.jobs import NO_RETRY
from services.platform.clock import Clock

SHORT_SECONDS = 30.0
MAX_LOADS = 6
"""Jobs for one file, each of which sends it anew; a step that is tried again makes as many more."""
FIRST_WAIT_SECONDS, MAX_WAIT_SECONDS = 1.0, 30.0
"""Before a file is sent again: what a load job dies of (backendError, say) takes some seconds to heal."""
UPLOAD_RETRIES = 3
"""Of one chunk, by the client itself, after 1, 2 and 4 s: a large file is not begun anew for one answer that got lost."""


class StagingTables:
    """All staging tables of all tenants."""

    def __init__(self, bq: BigQuery, clock: Clock, *, first_wait_seconds: float = FIRST_WAIT_SECONDS) -> None:
        self._bq = bq
        self._clock = clock
        self._first_wait_seconds = first_wait_seconds
        self._locks = WeakValueDictionary[str, Any]()

    async def make(self, tenant_id: str, table: StagingTable) -> None:
        """Makes `table`, empty. A table of an earlier try is dropped. Raises as `fill` does."""
        await self.drop(tenant_id, table)
        name = f"{self._bq.tenant(tenant_id)}.{table.name}"
        made = bigquery.Table(name, schema=table.shape.bigquery)
        # An expiration is a property of the table that a load into it keeps; a load job that makes the table could not set one.
        made.expires = self._clock.now() + LIFE

        alone = self._alone(name)

        def create(timeout: float) -> None:
            with alone(timeout):
                self._bq.client.create_table(made, exists_ok=True, timeout=timeout, retry=NO_RETRY)

        await self._bq.call("create_staging", create, seconds=SHORT_SECONDS)

    async def fill(self, tenant_id: str, table: StagingTable, parquet: IO[bytes], size: int, *, within: timedelta) -> None:
        """Makes `table` anew and loads the Parquet file (`size` bytes) into it, in one job. One that dies is followed by another, into
        the same table: a load that failed has written nothing, and one that has written is never followed (WRITE_EMPTY).

        Raises Unavailable if BigQuery does not answer, or all jobs die; then the table may be there or not, and `fill` may be called again.
        """
        await self.make(tenant_id, table)
        name = f"{self._bq.tenant(tenant_id)}.{table.name}"
        alone = self._alone(name)

        def upload(job_id: str, timeout: float) -> bigquery.LoadJob:
            metrics.BIGQUERY_JOBS.labels("load_staging").inc()
            metrics.BIGQUERY_STATEMENTS.labels(table.shape.name, "load").inc()
            with alone(timeout):
                return self._bq.client.load_table_from_file(
                    parquet,
                    name,
                    rewind=True,
                    size=size,
                    job_id=job_id,
                    job_config=_load_config(table),
                    num_retries=UPLOAD_RETRIES if size > CHUNK_BYTES else 0,
                    timeout=timeout,
                )

        def wait(job: bigquery.LoadJob, timeout: float) -> None:
            job.result(timeout=timeout, retry=NO_RETRY)

        await self._bq.run_job(
            "load_staging",
            upload,
            wait,
            seconds=within.total_seconds(),
            waits=backoff(first=self._first_wait_seconds, most=MAX_WAIT_SECONDS),
            max_jobs=MAX_LOADS,
        )

    async def drop(self, tenant_id: str, table: StagingTable) -> None:
        """Takes the table away; nothing happens if there is none. Raises Unavailable if BigQuery does not answer."""
        name = f"{self._bq.tenant(tenant_id)}.{table.name}"

        alone = self._alone(name)

        def delete(timeout: float) -> None:
            with alone(timeout):
                self._bq.client.delete_table(name, not_found_ok=True, timeout=timeout, retry=NO_RETRY)

        await self._bq.call("drop_staging", delete, seconds=SHORT_SECONDS)

    def _alone(self, name: str) -> Callable[[float], AbstractContextManager[None]]:
        """One call at a time on a table. A call that is cancelled goes on in its thread, and would make again what is dropped beside it."""
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = threading.Lock()

        @contextmanager
        def alone(timeout: float) -> Iterator[None]:
            if not lock.acquire(timeout=timeout):
                raise TimeoutError
            try:
                yield
            finally:
                lock.release()

        return alone


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
