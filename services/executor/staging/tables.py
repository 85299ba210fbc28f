"""Creates, fills and drops staging tables in the tenants' dataset, with the platform's own identity."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from types import TracebackType
from typing import IO, Any, Self
from weakref import WeakValueDictionary

import structlog
from google.api_core import exceptions as google
from google.cloud import bigquery

from services.executor.staging.shape import LIFE, StagingTable
from services.platform import metrics
from services.platform.background import note_end
from services.platform.backoff import backoff
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.errors import unavailable
from services.platform.bigquery.jobs import CHUNK_BYTES, NO_RETRY, JobAccount, count_job, wait_for_end
from services.platform.clock import Clock
from services.platform.turns import ALL, on_behalf_of

SHORT_SECONDS = 30.0
MAX_LOADS = 6
"""Load jobs for one file, each of which uploads it again; a retried step may use as many more."""
FIRST_WAIT_SECONDS, MAX_WAIT_SECONDS = 1.0, 30.0
"""Seconds before a file is uploaded again: temporary errors of load jobs (such as backendError) last some seconds."""
UPLOAD_RETRIES = 3
"""Retries of one chunk by the client itself, after 1, 2 and 4 s: one lost response does not restart a large upload."""
MAX_DROPPING = 200
"""Tables that are being dropped at once; beyond that they are left to expire."""
CLOSING_SECONDS = 1.0
"""For the tables that are left to drop when the process stops."""

_log = structlog.get_logger()


class StagingTables:
    """All staging tables of all tenants. Leaving the context waits a moment for tables that are being dropped."""

    def __init__(self, bq: BigQuery, clock: Clock, *, first_wait_seconds: float = FIRST_WAIT_SECONDS) -> None:
        self._bq = bq
        self._clock = clock
        self._first_wait_seconds = first_wait_seconds
        self._making, self._dropping = dict[str, asyncio.Task[None]](), dict[str, asyncio.Task[None]]()
        self._locks = WeakValueDictionary[str, Any]()

    def begin(self, tenant_id: str, table: StagingTable) -> None:
        """Begins to create `table`; returns at once. `fill` and `made` wait for it, and raise its error."""
        name = self._name(tenant_id, table)
        # Waits only for a drop that was requested before; a drop that is requested later waits for this.
        making = self._making[name] = asyncio.create_task(self._make(tenant_id, table, after=self._dropping.get(name)))
        making.add_done_callback(note_end)

    def begin_all(self, tenant_id: str, tables: Iterable[StagingTable]) -> None:
        """`begin` for each."""
        for table in tables:
            self.begin(tenant_id, table)

    async def make(self, tenant_id: str, table: StagingTable) -> None:
        """Creates `table`, empty. Its name is a run's own, so there usually is none; a table of an earlier try is dropped. Raises as `fill`
        does.
        """
        await self._make(tenant_id, table, after=self._dropping.get(self._name(tenant_id, table)))

    async def _make(self, tenant_id: str, table: StagingTable, *, after: asyncio.Task[None] | None) -> None:
        if after is not None:
            await asyncio.wait([after])
        try:
            await self._create(tenant_id, table, exists_ok=False)
        except google.Conflict:  # or this one, and the response was lost
            await self.drop(tenant_id, table)
            await self._create(tenant_id, table, exists_ok=True)

    async def _create(self, tenant_id: str, table: StagingTable, *, exists_ok: bool) -> None:
        name = self._name(tenant_id, table)
        made = bigquery.Table(name, schema=table.shape.bigquery)
        # A load into an existing table keeps its expiration; a load job that creates the table could not set one.
        made.expires = self._clock.now() + LIFE

        alone = self._alone(name)

        def create(timeout: float) -> None:
            with alone(timeout):
                self._bq.client.create_table(made, exists_ok=exists_ok, timeout=timeout, retry=NO_RETRY)

        await self._bq.call("create_staging", create, seconds=SHORT_SECONDS)

    async def made(self, tenant_id: str, table: StagingTable) -> str:
        """The name of the table, once it is there, empty: made now, or begun before. Raises as `fill` does."""
        name = self._name(tenant_id, table)
        making = self._making.get(name)
        await (asyncio.shield(making) if making else self.make(tenant_id, table))
        self._making.pop(name, None)
        return name

    async def count(self, tenant_id: str, table: StagingTable) -> int:
        """Its rows, as BigQuery knows them without a query."""
        name = self._name(tenant_id, table)
        found = await self._bq.call("count_staging", lambda timeout: self._bq.client.get_table(name, timeout=timeout, retry=NO_RETRY))
        return int(found.num_rows or 0)

    async def fill(  # noqa: PLR0913 - what is loaded, whereto, and on whose account
        self,
        tenant_id: str,
        table: StagingTable,
        parquet: IO[bytes],
        size: int,
        *,
        within: timedelta,
        account: JobAccount | None = None,
        is_part: bool = False,
    ) -> None:
        """Creates `table`, unless `begin` did, and loads the Parquet file (`size` bytes) into it in one job. A failed job is followed by
        another job into the same table: a failed load has written nothing, and after a load that has written, no other load writes
        (WRITE_EMPTY). Loads are free; `account` gets their slot time. `is_part`: the rows are added to a table that `made` has created.
        Then a load may have written twice; `count` shows afterwards whether it has.

        Raises Unavailable if BigQuery does not answer or all jobs fail; the table may exist or not then, and `fill` may be called again.
        """
        name = self._name(tenant_id, table) if is_part else await self.made(tenant_id, table)
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
                    location=location,
                    job_config=_load_config(table, account, is_part=is_part),
                    num_retries=UPLOAD_RETRIES if size > CHUNK_BYTES else 0,
                    timeout=timeout,
                )

        def wait(job: bigquery.LoadJob, timeout: float) -> None:
            try:
                wait_for_end(job, timeout)
            except google.Conflict as error:
                # WRITE_EMPTY: a load whose record is gone has filled the table. The next `fill` makes it anew.
                raise unavailable("load_staging", error) from error
            finally:
                count_job(job, account)

        location = await self._bq.locations.of(self._bq.tenant(tenant_id))
        await self._bq.run_job(
            "load_staging",
            upload,
            wait,
            location=location,
            seconds=within.total_seconds(),
            waits=backoff(first=self._first_wait_seconds, most=MAX_WAIT_SECONDS),
            max_jobs=MAX_LOADS,
        )

    async def copy(self, tenant_id: str, table: StagingTable, source: str, *, within: timedelta, account: JobAccount | None = None) -> None:
        """As `fill`, with the rows of the table `source` (`project.dataset.table`), in one copy job, which is free. Raises what BigQuery
        answers if this account may not read `source`, or it is elsewhere: nothing is written then, and `fill` may be called.
        """
        name = await self.made(tenant_id, table)
        alone = self._alone(name)
        config = bigquery.CopyJobConfig(
            labels=_labels("copy_staging", account),
            # As in `_load_config`.
            write_disposition=bigquery.WriteDisposition.WRITE_EMPTY,
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        )

        def begin(job_id: str, timeout: float) -> bigquery.CopyJob:
            metrics.BIGQUERY_JOBS.labels("copy_staging").inc()
            metrics.BIGQUERY_STATEMENTS.labels(table.shape.name, "load").inc()
            with alone(timeout):
                how: Any = {"job_id": job_id, "location": location, "job_config": config, "timeout": timeout}
                return self._bq.client.copy_table(source, name, **how, retry=NO_RETRY)

        def wait(job: bigquery.CopyJob, timeout: float) -> None:
            try:
                wait_for_end(job, timeout)
            finally:
                count_job(job, account)

        location = await self._bq.locations.of(self._bq.tenant(tenant_id))
        waits = backoff(first=self._first_wait_seconds, most=MAX_WAIT_SECONDS)
        seconds = within.total_seconds()
        await self._bq.run_job("copy_staging", begin, wait, location=location, seconds=seconds, waits=waits, max_jobs=MAX_LOADS)

    async def drop(self, tenant_id: str, table: StagingTable) -> None:
        """Drops the table; does nothing if there is none. Raises Unavailable if BigQuery does not answer."""
        name = self._name(tenant_id, table)
        alone = self._alone(name)

        def delete(timeout: float) -> None:
            with alone(timeout):
                self._bq.client.delete_table(name, not_found_ok=True, timeout=timeout, retry=NO_RETRY)

        await self._bq.call("drop_staging", delete, seconds=SHORT_SECONDS)

    def drop_later(self, tenant_id: str, tables: Iterable[StagingTable], *, once_more: bool = False) -> None:
        """Drops tables in the background; returns at once. One that cannot be dropped expires by itself. `once_more`: also one that is
        being dropped, for it may have been made again since.
        """
        for table in tables:
            name = self._name(tenant_id, table)
            if len(self._dropping) < MAX_DROPPING and (once_more or name not in self._dropping):
                after = self._making.pop(name, None) or self._dropping.get(name)
                self._dropping[name] = asyncio.create_task(self._drop_quietly(tenant_id, table, after=after))

    def drop_begun(self, tenant_id: str, tables: Iterable[StagingTable]) -> None:
        """As `drop_later`, of those that were begun and that nothing has used."""
        self.drop_later(tenant_id, [table for table in tables if self._name(tenant_id, table) in self._making])

    async def _drop_quietly(self, tenant_id: str, table: StagingTable, *, after: asyncio.Task[None] | None) -> None:
        on_behalf_of.set(ALL)
        try:
            if after is not None:
                await asyncio.wait([after])
            await self.drop(tenant_id, table)
        except Exception as error:  # noqa: BLE001 - it expires by itself; no run's outcome depends on it
            _log.warning("staging_left", table=table.name, error=type(error).__name__)
        finally:
            if self._dropping[name := self._name(tenant_id, table)] is asyncio.current_task():
                del self._dropping[name]

    async def dropped(self) -> None:
        """Returns when no table is left to be dropped."""
        while self._dropping:
            await asyncio.wait(self._dropping.values())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS):
                await self.dropped()

    def _name(self, tenant_id: str, table: StagingTable) -> str:
        return f"{self._bq.tenant(tenant_id)}.{table.name}"

    def _alone(self, name: str) -> Callable[[float], AbstractContextManager[None]]:
        """One call at a time on a table. A cancelled call continues in its thread, and could create again what is dropped meanwhile."""
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


def _labels(statement: str, account: JobAccount | None) -> dict[str, str]:
    return {"managed-by": "convergence", "service": "executor", "statement": statement, **(account.labels if account else {})}


def _load_config(table: StagingTable, account: JobAccount | None, *, is_part: bool) -> bigquery.LoadJobConfig:
    parquet = bigquery.ParquetOptions()  # type: ignore[no-untyped-call]
    # Without it an ARRAY column arrives as STRUCT<list ARRAY<STRUCT<element ...>>> (BigQuery, "Loading Parquet data").
    parquet.enable_list_inference = True
    config = bigquery.LoadJobConfig(
        labels=_labels("load_staging", account),
        source_format=bigquery.SourceFormat.PARQUET,
        schema=table.shape.bigquery,
        # The table was just created empty: a load that ran twice is refused, never doubled.
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND if is_part else bigquery.WriteDisposition.WRITE_EMPTY,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
    )
    config.parquet_options = parquet
    return config
