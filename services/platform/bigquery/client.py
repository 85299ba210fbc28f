"""The only caller of BigQuery's client.

A statement is a named block with typed parameters. It is retried with jitter while its error is transient and its deadline has not passed.
So every mutating block must be safe to replay, and its comment says why. Every submission is counted.
"""

import asyncio
import contextlib
import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import Any, Self

import structlog
from google.api_core import exceptions as google
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery import client as google_client
from opentelemetry.trace import Span

from services.platform import metrics
from services.platform.backoff import backoff
from services.platform.bigquery.deadlines import CANCEL_SECONDS, DeadlineAdapter, in_time
from services.platform.bigquery.dml_turns import DmlTurns
from services.platform.bigquery.errors import RowsRefused, unavailable
from services.platform.bigquery.jobs import (
    CHUNK_BYTES,
    NO_RETRY,
    DatasetLocations,
    JobAccount,
    JobDied,
    SentJob,
    charge,
    count_job,
    count_statement,
    end_by_itself,
    raising_conflicts,
)
from services.platform.bigquery.prices import count_billed
from services.platform.bigquery.query_parameters import note_again, query_config
from services.platform.bigquery.result import QueryResult, read_job, read_result
from services.platform.bigquery.sql import Block
from services.platform.bigquery.transient import is_rate_limit, is_transient
from services.platform.errors import Unavailable
from services.platform.metrics.bigquery import timed
from services.platform.settings import ServiceSettings
from services.platform.tracing.bigquery import asked, note_retry, note_waited
from services.platform.turns.places import FairPlaces

_log = structlog.get_logger()


class BigQuery:
    """A process's BigQuery client. Blocking calls run in a bounded thread pool; leaving the context waits for them."""

    def __init__(self, settings: ServiceSettings, *, service: str) -> None:
        self._settings = settings
        self._turns = DmlTurns(statements=settings.dml_statements_per_10_seconds)
        self._labels = {"service": service, "managed-by": "convergence"}
        self._pool = ThreadPoolExecutor(settings.bigquery_threads, thread_name_prefix="bigquery")
        self._places = FairPlaces(max(1, settings.bigquery_threads // 2))  # tenants' calls leave the other half to the suite's own work
        # On GCP: application default credentials. Google's client reads the emulator's address from BIGQUERY_EMULATOR_HOST.
        credentials = AnonymousCredentials() if settings.bigquery_emulator_host else None  # type: ignore[no-untyped-call]
        host: Any = {"client_options": {"api_endpoint": settings.bigquery_emulator_host}} if settings.bigquery_emulator_host else {}
        self.client = bigquery.Client(project=settings.project, location=settings.location, credentials=credentials, **host)
        adapter = DeadlineAdapter(pool_maxsize=settings.bigquery_threads)
        for scheme in ("http://", "https://"):
            self.client._http.mount(scheme, adapter)  # noqa: SLF001 - neither the pool's size nor a statement's deadline has a public setting
        google_client._DEFAULT_CHUNKSIZE = CHUNK_BYTES  # noqa: SLF001 - nor has this
        self.locations = DatasetLocations(self._read_location, usual=settings.location, own={self.control(): settings.location})

    @property
    def statement_deadline_seconds(self) -> float:
        """Deadline in seconds of a short statement, retries included."""
        return self._settings.bigquery_deadline_seconds

    @property
    def script_seconds(self) -> float:
        """Deadline in seconds of a script of several statements, such as a transaction, retries included."""
        return self._settings.bigquery_script_seconds

    @property
    def stream_after_seconds(self) -> float:
        """Age in seconds from which rows are streamed to a table."""
        return self._settings.stream_after_seconds

    def control(self) -> str:
        """`project.dataset` of the control dataset."""
        return f"{self._settings.project}.{self._settings.control_dataset}"

    def take_busy_control_tables(self) -> dict[str, float]:
        """The control tables of which this process used more than half of its budget of changes since the last call, with the part used in
        their busiest ten seconds, 0 to 1.
        """
        prefix = f"{self.control()}."
        return {table.removeprefix(prefix): used for table, used in self._turns.take_busy().items() if table.startswith(prefix)}

    def tenant(self, tenant_id: str) -> str:
        """`project.dataset` of a tenant's dataset. `tenant_id` was checked when the request arrived."""
        return f"{self._settings.datasets_project}.{tenant_id}"

    async def query_job(
        self,
        block: Block,
        params: Mapping[str, object],
        *,
        dataset: str,
        seconds: float,
        account: JobAccount | None = None,
        once: bool = False,
    ) -> QueryResult:
        """As `query`, for long statements: runs as a job with an id chosen here, see `run_job`. `account`: the account on which the job
        runs. If the job would be billed more than the account allows, BigQuery refuses it, free of charge, with an error that
        `bytes_required` recognises. `once`: raises TransactionCancelled instead of sending a transaction again that BigQuery has cancelled.
        """
        began, config, sent = time.monotonic(), query_config(block, params, dataset, self._labels), set[str]()
        if account is not None:
            charge(config, account, is_script=block.is_script)

        def insert(job_id: str, timeout: float) -> bigquery.QueryJob:
            sent.add(job_id)
            note_again(config, block, params, is_again=len(sent) > 1)
            count_statement(block, params)
            end_by_itself(config, timeout)
            how: Any = {"job_config": config, "job_id": job_id, "location": location, "timeout": timeout}
            return self.client.query(block.sql, **how, retry=NO_RETRY, job_retry=NO_RETRY)

        def read(job: bigquery.QueryJob, timeout: float) -> QueryResult:
            try:
                return read_job(block, job, timeout)
            finally:
                count_job(job, account)

        calls = (raising_conflicts(insert), raising_conflicts(read)) if once else (insert, read)
        async with self.locations.where(dataset) as location:
            left = seconds - (time.monotonic() - began)
            return await self.run_job(block.name, *calls, location=location, seconds=left, written=block.written_in(dataset))

    async def run_job[Answer](  # noqa: PLR0913 - how a job is sent, read, and bounded
        self,
        what: str,
        insert: Callable[[str, float], Any],
        read: Callable[[Any, float], Answer],
        *,
        location: str,
        seconds: float,
        written: Sequence[str] = (),
        waits: Iterator[float] | None = None,
        max_jobs: int | None = None,
    ) -> Answer:
        """Runs a job in `location` to its end within `seconds`. `SentJob` describes `insert` and `read`, `call` describes `written`.

        A failed poll is repeated. A job that ended with a retryable error is followed by a new job after the next of `waits`, with at most
        `max_jobs` in all. If the task is cancelled or time runs out, the job is cancelled (best effort). Raises Unavailable if no job could
        be completed, else the job's own error.
        """
        deadline = time.monotonic() + seconds
        for number, wait in enumerate(waits or backoff(first=0.1, most=8.0), 1):
            job = SentJob(self.client, f"{what}_{uuid.uuid4().hex}", insert, read, location=location)
            try:
                with asked(what, job_id=job.job_id):
                    await self.call(what, job.begin, seconds=deadline - time.monotonic(), written=written, part="insert")
                    with timed(what):
                        return await self.call(what, job.finish, seconds=deadline - time.monotonic(), part="result")
            except JobDied as died:
                if isinstance(cause := died.__cause__, Exception) and is_rate_limit(cause):
                    self._turns.refused(written, time.monotonic())
                if number == max_jobs or time.monotonic() + wait >= deadline:
                    raise unavailable(what, died.__cause__) from died
            except (asyncio.CancelledError, Unavailable):
                # Set the flag first: a thread that is still submitting the job sees it.
                job.abandon()
                await self.cancel_job(job.job_id, location)
                raise
            metrics.BIGQUERY_RETRIES.labels(what).inc()
            await asyncio.sleep(wait)
        raise AssertionError("backoff never ends")

    async def dry_run(self, block: Block, params: Mapping[str, object], *, dataset: str) -> int:
        """Estimated bytes that the block would read, without running it; for a script, only what BigQuery can estimate.

        Free of charge and without effect, so it is not counted as a statement. Raises as `query` does.
        """
        config = query_config(block, params, dataset, self._labels)
        config.dry_run = True

        def send(timeout: float) -> int:
            how: Any = {"job_config": config, "location": location, "timeout": timeout}
            job = self.client.query(block.sql, **how, retry=NO_RETRY, job_retry=NO_RETRY)
            return int(job.total_bytes_processed or 0)

        async with self.locations.where(dataset) as location:
            return await self.call(f"dry_run_{block.name}", send)

    async def cancel_job(self, job_id: str, location: str) -> None:
        """Asks BigQuery to cancel a job. Does nothing if the job has ended, does not exist or cannot be reached."""
        with contextlib.suppress(google.GoogleAPICallError, Unavailable):
            cancel = partial(self.client.cancel_job, job_id, location=location, retry=NO_RETRY)
            await self.call("cancel_job", lambda timeout: cancel(timeout=timeout), seconds=CANCEL_SECONDS)

    async def query(
        self, block: Block, params: Mapping[str, object], *, dataset: str, seconds: float | None = None, max_bytes: int | None = None
    ) -> QueryResult:
        """Runs a block. Its bare table names are resolved in `dataset` (`project.dataset`).

        `seconds` is the deadline including retries and polls; default: the setting for short statements, or the one for scripts. At the
        deadline the job is cancelled if its id is known. Raises Unavailable if the deadline passed: the statement may or may not have run,
        and the same statement may be sent again. Raises NotFound for a missing dataset or table, and BigQuery's own error if it is not
        retryable. `max_bytes`: BigQuery refuses a query that would be billed more, with an error that `bytes_required` recognises.
        """

        def send(timeout: float) -> QueryResult:
            # In the pool: ten thousand rows of a parameter take a while.
            config = query_config(block, params, dataset, self._labels)
            if max_bytes is not None:
                config.maximum_bytes_billed = max_bytes
            count_statement(block, params)
            end_by_itself(config, timeout)
            how: Any = {"job_config": config, "location": location, "api_timeout": timeout, "wait_timeout": timeout}
            with timed(block.name):
                rows = self.client.query_and_wait(block.sql, **how, retry=NO_RETRY, job_retry=NO_RETRY)
                result = read_result(block, rows)
            count_billed(block, rows, usd_per_tib=self._settings.query_usd_per_tib)
            return result

        usual = self.script_seconds if block.is_script else self.statement_deadline_seconds
        until = time.monotonic() + (usual if seconds is None else seconds)
        async with self.locations.where(dataset) as location:
            return await self.call(block.name, send, seconds=until - time.monotonic(), written=block.written_in(dataset))

    async def _read_location(self, dataset: str) -> str:
        return await self.call("get_dataset", lambda left: str(self.client.get_dataset(dataset, timeout=left, retry=NO_RETRY).location))

    async def wait_for_budget(self, block: Block, *, dataset: str) -> None:
        """Waits until the rate limit of the tables that the block changes allows another statement; a batch can grow until then."""
        await self._turns.take(block.name, block.written_in(dataset), math.inf, is_look=True)

    async def stream(self, table: str, rows: Sequence[Mapping[str, object]], ids: Sequence[str]) -> None:
        """Appends rows (JSON values) to `project.dataset.table` with `ids` as insert ids, by which BigQuery drops duplicates of a replay.

        Only for append-only tables that have existed for some minutes: BigQuery may refuse rows for a new table (NotFound), and streamed
        rows cannot be changed for up to 90 minutes. Raises RowsRefused, else as `query` does.
        """

        def send(timeout: float) -> None:
            metrics.BIGQUERY_STATEMENTS.labels(table.rsplit(".", 1)[-1], "stream").inc()
            failed = self.client.insert_rows_json(table, rows, row_ids=list(ids), timeout=timeout, retry=NO_RETRY)
            if failed:
                raise RowsRefused(f"{table} refused streamed rows: {failed[0]['errors']}")

        await self.call("stream", send)

    async def call[Answer](
        self, what: str, send: Callable[[float], Answer], *, seconds: float | None = None, written: Sequence[str] = (), part: str = ""
    ) -> Answer:
        """Runs the blocking `send(timeout in seconds)` in the pool, and retries it while its error is transient and the deadline has not
        passed.

        `written`: the table that each statement changes, one entry a statement; the call waits for their rate limit, in turn (`DmlTurns`).
        `part`: of a job, for its span. Raises Unavailable at the deadline; ResourceExhausted, before anything was sent, if the tenant's own
        statements use up its share; any other error unchanged.
        """
        with asked(f"{what} {part}".rstrip()) as span:
            return await self._call(what, send, self.statement_deadline_seconds if seconds is None else seconds, written, span)

    async def _call[Answer](self, what: str, send: Callable[[float], Answer], seconds: float, written: Sequence[str], span: Span) -> Answer:
        deadline = time.monotonic() + seconds
        for number, wait in enumerate(backoff(), 1):
            asked_at = time.monotonic()
            await self._turns.take(what, written, deadline, is_first=number == 1)
            try:
                async with self._places.of_this_task():
                    note_waited(span, time.monotonic() - asked_at)
                    answer = await asyncio.get_running_loop().run_in_executor(self._pool, copy_context().run, in_time, send, deadline)
            except Exception as error:
                if not is_transient(error):
                    raise
                if is_rate_limit(error):
                    self._turns.refused(written, time.monotonic())
                if time.monotonic() + wait >= deadline:
                    raise unavailable(what, error) from error
                note_retry(span, error)
                metrics.BIGQUERY_RETRIES.labels(what).inc()
            else:
                self._turns.passed(written)
                return answer
            await asyncio.sleep(wait)
        raise AssertionError("backoff never ends")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await asyncio.to_thread(self._pool.shutdown)
        self.client.close()  # type: ignore[no-untyped-call]
