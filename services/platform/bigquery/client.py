"""The only caller of BigQuery's client.

A statement is a named block with typed parameters. It is sent again, with jitter, while what went wrong can heal and its deadline has not
passed; so every mutating block has to be safe to replay, and says in its comment why it is. Every submission is counted.
"""

import asyncio
import contextlib
import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import structlog
from google.api_core import exceptions as google
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery import client as google_client
from google.cloud.bigquery.table import RowIterator

from services.platform import metrics
from services.platform.backoff import backoff
from services.platform.bigquery.deadlines import CANCEL_SECONDS, DeadlineAdapter, working_until
from services.platform.bigquery.dml_rate_limiter import DmlRateLimiter
from services.platform.bigquery.errors import RowsRefused, unavailable
from services.platform.bigquery.jobs import NO_RETRY, JobDied, SentJob, UnconfirmedScript
from services.platform.bigquery.query_parameters import to_parameter
from services.platform.bigquery.result import QueryResult
from services.platform.bigquery.sql import Block
from services.platform.bigquery.transient import is_rate_limit, is_transient
from services.platform.errors import Unavailable
from services.platform.settings import ServiceSettings

CHUNK_BYTES = 8 * 2**20
"""What is uploaded at once is held in memory, twice, by every run that loads; the client's own 100 MB would be most of what a run needs.
BigQuery takes multiples of 256 KiB ("Resumable uploads")."""

_log = structlog.get_logger()


def _count(block: Block) -> None:
    metrics.BIGQUERY_JOBS.labels(block.name).inc()
    for table in block.written:
        metrics.BIGQUERY_STATEMENTS.labels(table, "dml").inc()
    for table in block.read:
        metrics.BIGQUERY_STATEMENTS.labels(table, "read").inc()


class BigQuery:
    """One process's way to BigQuery. Blocking calls run in a bounded pool of threads; leaving the context waits for them."""

    def __init__(self, settings: ServiceSettings, *, service: str) -> None:
        self._settings = settings
        self._rate_limiter = DmlRateLimiter(statements=settings.dml_statements_per_10_seconds)
        self._labels = {"service": service, "managed-by": "convergence"}
        self._pool = ThreadPoolExecutor(settings.bigquery_threads, thread_name_prefix="bigquery")
        # On GCP: the application's default credentials. The emulator's address is read from BIGQUERY_EMULATOR_HOST by the client itself.
        credentials = AnonymousCredentials() if settings.bigquery_emulator_host else None  # type: ignore[no-untyped-call]
        options = {"api_endpoint": settings.bigquery_emulator_host} if settings.bigquery_emulator_host else None
        self.client = bigquery.Client(project=settings.project, location=settings.location, credentials=credentials, client_options=options)
        adapter = DeadlineAdapter(pool_maxsize=settings.bigquery_threads)
        for scheme in ("http://", "https://"):
            self.client._http.mount(scheme, adapter)  # noqa: SLF001 - neither the pool's size nor a statement's deadline has a public setting
        google_client._DEFAULT_CHUNKSIZE = CHUNK_BYTES  # noqa: SLF001 - nor has this

    @property
    def statement_deadline_seconds(self) -> float:
        """How long a short statement may take with all its retries."""
        return self._settings.bigquery_deadline_seconds

    @property
    def script_seconds(self) -> float:
        """How long a script of some statements, a transaction say, may take with all its retries."""
        return self._settings.bigquery_script_seconds

    @property
    def stream_after_seconds(self) -> float:
        """How old a table has to be before rows are streamed to it."""
        return self._settings.stream_after_seconds

    def control(self) -> str:
        """`project.dataset` of the control dataset."""
        return f"{self._settings.project}.{self._settings.control_dataset}"

    def tenant(self, tenant_id: str) -> str:
        """`project.dataset` of a tenant's dataset. `tenant_id` has been checked where the request came in."""
        return f"{self._settings.datasets_project}.{tenant_id}"

    async def query_job(self, block: Block, params: Mapping[str, object], *, dataset: str, seconds: float) -> QueryResult:
        """As `query`, for what takes long: a job with an id of ours, as in `run_job`."""
        config = self._config(block, params, dataset)

        def insert(job_id: str, timeout: float) -> bigquery.QueryJob:
            _count(block)
            _end_by_itself(config, timeout)
            return self.client.query(block.sql, job_config=config, job_id=job_id, timeout=timeout, retry=NO_RETRY, job_retry=NO_RETRY)

        def read(job: bigquery.QueryJob, timeout: float) -> QueryResult:
            return _result(block, job.result(timeout=timeout, retry=NO_RETRY, job_retry=NO_RETRY))

        return await self.run_job(block.name, insert, read, seconds=seconds, written=_tables(block, dataset))

    async def run_job[Answer](  # noqa: PLR0913 - how a job is sent, read, and bounded
        self,
        what: str,
        insert: Callable[[str, float], Any],
        read: Callable[[Any, float], Answer],
        *,
        seconds: float,
        written: Sequence[str] = (),
        waits: Iterator[float] | None = None,
        max_jobs: int | None = None,
    ) -> Answer:
        """Runs a job to its end, in `seconds`. See `SentJob` for `insert` and `read`, and `call` for `written`.

        A poll that fails is made again; a job that has died of what another may be spared is followed by a new one, after the next of
        `waits` and at most `max_jobs` in all. A job that is waited for no more, because the task was cancelled or time is up, is stopped
        (best effort: one that is ending anyway ends). Raises Unavailable where no job could be brought to its end, else the job's error.
        """
        deadline = time.monotonic() + seconds
        for number, wait in enumerate(waits or backoff(first=0.1, most=8.0), 1):
            job = SentJob(self.client, f"{what}_{uuid.uuid4().hex}", insert, read)
            try:
                await self.call(what, job.begin, seconds=deadline - time.monotonic(), written=written)
                return await self.call(what, job.finish, seconds=deadline - time.monotonic())
            except JobDied as died:
                if isinstance(cause := died.__cause__, Exception) and is_rate_limit(cause):
                    self._rate_limiter.refused(written, time.monotonic())
                if number == max_jobs or time.monotonic() + wait >= deadline:
                    raise unavailable(what, died.__cause__) from died
            except (asyncio.CancelledError, Unavailable):
                # First the flag: a thread that is still handing the job in sees it.
                job.abandon()
                await self.cancel_job(job.job_id)
                raise
            metrics.BIGQUERY_RETRIES.labels(what).inc()
            await asyncio.sleep(wait)
        raise AssertionError("backoff never ends")

    async def dry_run(self, block: Block, params: Mapping[str, object], *, dataset: str) -> int:
        """The bytes that BigQuery says the block would read, without running it; of a script only what BigQuery can foresee.

        It costs nothing and changes nothing, so it is counted as no statement. Raises as `query` does.
        """
        config = self._config(block, params, dataset)
        config.dry_run = True

        def send(timeout: float) -> int:
            job = self.client.query(block.sql, job_config=config, timeout=timeout, retry=NO_RETRY, job_retry=NO_RETRY)
            return int(job.total_bytes_processed or 0)

        return await self.call(f"dry_run_{block.name}", send)

    async def cancel_job(self, job_id: str) -> None:
        """Asks BigQuery to stop a job. Nothing happens if it has ended, or cannot be found or reached: then it ends by itself."""
        with contextlib.suppress(google.GoogleAPICallError, Unavailable):
            await self.call(
                "cancel_job", lambda timeout: self.client.cancel_job(job_id, timeout=timeout, retry=NO_RETRY), seconds=CANCEL_SECONDS
            )

    def _config(self, block: Block, params: Mapping[str, object], dataset: str) -> bigquery.QueryJobConfig:
        if unknown := params.keys() - block.params.keys():
            raise TypeError(f"block {block.name} declares no parameter {sorted(unknown)}")
        return bigquery.QueryJobConfig(
            default_dataset=dataset,
            query_parameters=[to_parameter(name, kind, params[name]) for name, kind in block.params.items()],
            labels={**self._labels, "statement": block.name},
        )

    async def query(self, block: Block, params: Mapping[str, object], *, dataset: str, seconds: float | None = None) -> QueryResult:
        """Runs a block whose bare table names stand in `dataset` (`project.dataset`).

        `seconds` bounds it with all its retries and polls (default: the setting for short statements, or that for scripts); at the end
        the job is stopped, if its id is known. Raises Unavailable when it could not be done in that time: whether it ran then is unknown,
        and the same ids may be sent again. Raises NotFound for a missing dataset or table, and BigQuery's own error for what no retry
        heals.
        """
        config = self._config(block, params, dataset)

        def send(timeout: float) -> QueryResult:
            _count(block)
            _end_by_itself(config, timeout)
            rows = self.client.query_and_wait(
                block.sql, job_config=config, api_timeout=timeout, wait_timeout=timeout, retry=NO_RETRY, job_retry=NO_RETRY
            )
            return _result(block, rows)

        usual = self.script_seconds if block.is_script else self.statement_deadline_seconds
        return await self.call(block.name, send, seconds=usual if seconds is None else seconds, written=_tables(block, dataset))

    async def wait_for_budget(self, block: Block, *, dataset: str) -> None:
        """Returns when the budget of the tables that the block changes has room for it, so that a batch may gather until then."""
        await self._wait_for(_tables(block, dataset), math.inf)

    async def stream(self, table: str, rows: Sequence[Mapping[str, object]], ids: Sequence[str]) -> None:
        """Appends rows (JSON values) to `project.dataset.table` with `ids` as insert ids, so that a replay is dropped.

        Only for append-only logs of tables that have existed for a while: BigQuery may refuse a table just made (NotFound), and streamed
        rows cannot be changed for up to 90 minutes. Raises RowsRefused, else as `query` does.
        """

        def send(timeout: float) -> None:
            metrics.BIGQUERY_STATEMENTS.labels(table.rsplit(".", 1)[-1], "stream").inc()
            failed = self.client.insert_rows_json(table, rows, row_ids=list(ids), timeout=timeout, retry=NO_RETRY)
            if failed:
                raise RowsRefused(f"{table} refused streamed rows: {failed[0]['errors']}")

        await self.call("stream", send)

    async def call[Answer](
        self, what: str, send: Callable[[float], Answer], *, seconds: float | None = None, written: Sequence[str] = ()
    ) -> Answer:
        """Runs the blocking `send(timeout in seconds)` in the pool, again while its error is transient and the deadline has not passed.

        `written`: one entry a statement, the table that it changes; it waits for their budget. Raises Unavailable at the deadline; any
        other error as it is.
        """
        deadline = time.monotonic() + (self.statement_deadline_seconds if seconds is None else seconds)
        for wait in backoff():
            if not await self._wait_for(written, deadline):
                raise unavailable(what, None)
            self._rate_limiter.begin(written, time.monotonic())
            try:
                answer = await asyncio.get_running_loop().run_in_executor(self._pool, _in_time, send, deadline)
            except Exception as error:
                if not is_transient(error):
                    raise
                if is_rate_limit(error):
                    self._rate_limiter.refused(written, time.monotonic())
                if time.monotonic() + wait >= deadline:
                    raise unavailable(what, error) from error
                metrics.BIGQUERY_RETRIES.labels(what).inc()
            else:
                self._rate_limiter.passed(written)
                return answer
            await asyncio.sleep(wait)
        raise AssertionError("backoff never ends")

    async def _wait_for(self, written: Sequence[str], deadline: float) -> bool:
        """Waits for the tables' budget, which others may take first; False if that would be later than `deadline`."""
        while (wait := self._rate_limiter.wait(written, time.monotonic())) > 0:
            if time.monotonic() + wait >= deadline:
                return False
            metrics.BIGQUERY_PACED_SECONDS.inc(wait)
            await asyncio.sleep(wait)
        return True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await asyncio.to_thread(self._pool.shutdown)
        self.client.close()  # type: ignore[no-untyped-call]


def _in_time[Answer](send: Callable[[float], Answer], deadline: float) -> Answer:
    """Sends, with what time is left when a thread is free: nobody waits any more for what would begin after the deadline."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    with working_until(deadline):
        return send(left)


def _end_by_itself(config: bigquery.QueryJobConfig, seconds: float) -> None:
    """Has BigQuery stop the job too, best effort: this process may be gone by then, or may never have heard the job's id."""
    config.job_timeout_ms = math.ceil(seconds * 1000)


def _result(block: Block, rows: RowIterator) -> QueryResult:
    result = QueryResult(rows=[dict(row.items()) for row in rows], affected=rows.num_dml_affected_rows or 0)
    if block.is_confirmed and not result.rows:
        raise UnconfirmedScript(f"{block.name} did not come to its end")
    return result


def _tables(block: Block, dataset: str) -> list[str]:
    return [f"{dataset}.{table}" for table in block.written]
