"""The only caller of BigQuery's client.

A statement is a named block with typed parameters. It is sent again, with jitter, while what went wrong can heal and its deadline has not
passed; so every mutating block has to be safe to replay, and says in its comment why it is. Every submission is counted.
"""

import asyncio
import contextlib
import math
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import requests.adapters
import structlog
from google.api_core import exceptions as google
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery.table import RowIterator

from services.platform import metrics
from services.platform.errors import Unavailable
from services.platform.pacing import Pace
from services.platform.parameters import to_parameter
from services.platform.settings import ServiceSettings
from services.platform.sql import Block
from services.platform.transient import backoff, is_rate_limit, is_transient

NotFound = google.NotFound
BadRequest = google.BadRequest
"""Raised where a dataset or a table does not exist."""

NO_RETRY: Any = None
"""For the client's methods: its own retries last for minutes, ours end at the deadline."""

CANCEL_SECONDS = 3.0

_log = structlog.get_logger()


class RowsRefused(ValueError):
    """Streamed rows do not fit their table; none was appended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryResult:
    """What a block answered."""

    rows: list[dict[str, Any]]
    """Column name to value; empty for DML."""
    affected: int
    """Rows changed by DML; 0 for a query, and for a script."""


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
        self._pace = Pace(statements=settings.dml_statements_per_10_seconds)
        self._labels = {"service": service, "managed-by": "convergence"}
        self._pool = ThreadPoolExecutor(settings.bigquery_threads, thread_name_prefix="bigquery")
        # On GCP: the application's default credentials. The emulator's address is read from BIGQUERY_EMULATOR_HOST by the client itself.
        credentials = AnonymousCredentials() if settings.bigquery_emulator_host else None  # type: ignore[no-untyped-call]
        options = {"api_endpoint": settings.bigquery_emulator_host} if settings.bigquery_emulator_host else None
        self.client = bigquery.Client(project=settings.project, location=settings.location, credentials=credentials, client_options=options)
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=settings.bigquery_threads)
        for scheme in ("http://", "https://"):
            self.client._http.mount(scheme, adapter)  # noqa: SLF001 - the pool's size has no public setting

    @property
    def patience_seconds(self) -> float:
        """How long a short statement may take with all its retries."""
        return self._settings.bigquery_deadline_seconds

    def control(self) -> str:
        """`project.dataset` of the control dataset."""
        return f"{self._settings.project}.{self._settings.control_dataset}"

    def tenant(self, tenant_id: str) -> str:
        """`project.dataset` of a tenant's dataset. `tenant_id` has been checked where the request came in."""
        return f"{self._settings.datasets_project}.{tenant_id}"

    async def query_job(self, block: Block, params: Mapping[str, object], *, dataset: str, seconds: float) -> QueryResult:
        """As `query`, for what takes long: each try is a job with an id of ours. Whoever stops waiting for it, cancelled or out of
        time, has BigQuery stop it (best effort: a job that is ending anyway ends).
        """
        config = self._config(block, params, dataset, None)
        sent, left_alone = list[str](), threading.Event()

        def send(timeout: float) -> QueryResult:
            _count(block)
            sent.append(f"{block.name}_{uuid.uuid4().hex}")
            job = self.client.query(block.sql, job_config=config, job_id=sent[-1], timeout=timeout, retry=NO_RETRY, job_retry=NO_RETRY)
            if left_alone.is_set():
                job.cancel(timeout=timeout, retry=NO_RETRY)
            rows = job.result(timeout=timeout, retry=NO_RETRY, job_retry=NO_RETRY)
            return _result(rows)

        try:
            return await self.call(block.name, send, seconds=seconds, written=_tables(block, dataset))
        except (asyncio.CancelledError, Unavailable):
            # First the flag: a thread that is still handing in its job sees it, and any other job's id is in the list.
            left_alone.set()
            await asyncio.gather(*(self.cancel_job(job_id) for job_id in sent))
            raise

    async def dry_run(self, block: Block, params: Mapping[str, object], *, dataset: str) -> int:
        """The bytes that BigQuery says the block would read, without running it; of a script only what BigQuery can foresee.

        It costs nothing and changes nothing, so it is counted as no statement. Raises as `query` does.
        """
        config = self._config(block, params, dataset, None)
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

    def _config(
        self, block: Block, params: Mapping[str, object], dataset: str, labels: Mapping[str, str] | None
    ) -> bigquery.QueryJobConfig:
        if unknown := params.keys() - block.params.keys():
            raise TypeError(f"block {block.name} declares no parameter {sorted(unknown)}")
        return bigquery.QueryJobConfig(
            default_dataset=dataset,
            query_parameters=[to_parameter(name, kind, params[name]) for name, kind in block.params.items()],
            labels={**self._labels, "statement": block.name, **(labels or {})},
        )

    async def query(
        self,
        block: Block,
        params: Mapping[str, object],
        *,
        dataset: str,
        labels: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> QueryResult:
        """Runs a block whose bare table names stand in `dataset` (`project.dataset`).

        `seconds` bounds it with all its retries (default: the setting for short statements). Raises Unavailable when it could not be
        done in that time: whether it ran then, nobody knows, and the same ids may be sent again. Raises NotFound for a missing dataset
        or table, and BigQuery's own error for what no retry heals.
        """
        config = self._config(block, params, dataset, labels)

        def send(timeout: float) -> QueryResult:
            _count(block)
            rows = self.client.query_and_wait(
                block.sql, job_config=config, api_timeout=timeout, wait_timeout=timeout, retry=NO_RETRY, job_retry=NO_RETRY
            )
            return _result(rows)

        return await self.call(block.name, send, seconds=seconds, written=_tables(block, dataset))

    async def room(self, block: Block, *, dataset: str) -> None:
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
        deadline = time.monotonic() + (self._settings.bigquery_deadline_seconds if seconds is None else seconds)
        for wait in backoff():
            if not await self._wait_for(written, deadline):
                raise _unavailable(what, None)
            self._pace.begin(written, time.monotonic())
            try:
                answer = await asyncio.get_running_loop().run_in_executor(self._pool, _in_time, send, deadline)
            except Exception as error:
                if not is_transient(error):
                    raise
                if is_rate_limit(error):
                    self._pace.refused(written, time.monotonic())
                if time.monotonic() + wait >= deadline:
                    raise _unavailable(what, error) from error
                metrics.BIGQUERY_RETRIES.labels(what).inc()
            else:
                self._pace.passed(written)
                return answer
            await asyncio.sleep(wait)
        raise AssertionError("backoff never ends")

    async def _wait_for(self, written: Sequence[str], deadline: float) -> bool:
        """Waits for the tables' budget, which others may take first; False if that would be later than `deadline`."""
        while (wait := self._pace.wait(written, time.monotonic())) > 0:
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
    return send(left)


def _result(rows: RowIterator) -> QueryResult:
    return QueryResult(rows=[dict(row.items()) for row in rows], affected=rows.num_dml_affected_rows or 0)


def _tables(block: Block, dataset: str) -> list[str]:
    return [f"{dataset}.{table}" for table in block.written]


def _unavailable(what: str, error: Exception | None) -> Unavailable:
    _log.warning("bigquery_unavailable", statement=what, error=type(error).__name__ if error else "paced")
    return Unavailable("BIGQUERY_UNAVAILABLE", "BigQuery does not answer. Try again in a moment.", retry_after=timedelta(seconds=5))
