"""One BigQuery job with an id chosen here: submitted once and followed to its end, even if responses get lost. And where it has to run."""

import contextlib
import math
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

from google.api_core import exceptions as google
from google.cloud import bigquery
from google.cloud.bigquery.table import RowIterator

from services.platform import metrics
from services.platform.bigquery.errors import Forbidden, NotFound, TransactionCancelled
from services.platform.bigquery.sql import Block
from services.platform.bigquery.transient import is_conflict, is_transient
from services.platform.cache import TtlCache
from services.platform.tracing.bigquery import note_job

NO_RETRY: Any = None
"""Passed to the client's methods: its own retries last minutes, ours end at the deadline."""

CHUNK_BYTES = 8 * 2**20
"""Bytes of an upload chunk. Each loading run holds a chunk in memory twice; the client's default of 100 MB would be most of a run's memory.
BigQuery requires a multiple of 256 KiB ("Resumable uploads").
"""
PAGE_ROWS = 10_000
"""Rows of a result in one answer. BigQuery sends fewer if they are large."""
POLL_SHARE, MIN_POLL_SECONDS, MAX_POLL_SECONDS = 0.1, 0.1, 5.0
"""For a load or copy job: the wait until the next poll, as a part of the time that the job has taken so far."""
LOST_SECONDS = 10.0
"""A job is forgotten if it was seen once and then is not found for this long: a local BigQuery that is killed loses its newest jobs."""


class JobAccount(Protocol):
    """The account on which a job runs: the job's labels, the most that it may be billed, and where its cost is counted. Called from several
    threads.
    """

    @property
    def labels(self) -> Mapping[str, str]:
        """For the job. Keys and values are as BigQuery demands ("Requirements for labels")."""
        ...

    def max_bytes_billed(self) -> int | None:
        """The most that the next query job may be billed; None: no limit."""
        ...

    def add_job(self, job_id: str, *, statement: str, bytes_billed: int, slot_ms: int) -> None:
        """Counts a job that has ended, also one that failed. The same job again changes nothing. `statement`: the block's name."""
        ...


def count_statement(block: Block, params: Mapping[str, object]) -> None:
    """Counts a submission, the tables that it reads and writes, and those that it is charged for."""
    metrics.BIGQUERY_JOBS.labels(block.name).inc()
    for table in block.written:
        metrics.BIGQUERY_STATEMENTS.labels(table, "dml").inc()
    for table in block.read:
        metrics.BIGQUERY_STATEMENTS.labels(table, "read").inc()
    for table in block.charged(params):
        metrics.BIGQUERY_BILLED.labels(block.name, table).inc()


def charge(config: bigquery.QueryJobConfig, account: JobAccount, *, is_script: bool) -> None:
    """Puts the account's labels and limit on a query job."""
    config.labels = {**config.labels, **account.labels}
    if (most := account.max_bytes_billed()) is not None:
        config.maximum_bytes_billed = most
        if is_script:  # of each of its statements, too
            config.script_options = bigquery.ScriptOptions(statement_byte_budget=most)


def end_by_itself(config: bigquery.QueryJobConfig, seconds: float) -> None:
    """Sets the job's own timeout at BigQuery (best effort), in case this process dies or never learns the job's id."""
    config.job_timeout_ms = math.ceil(seconds * 1000)


def count_job(job: Any, account: JobAccount | None) -> None:
    """Counts a job on its account, once it has ended; BigQuery's figures for a script are the sums over its statements."""
    note_job(job)
    if account is None or job.state != "DONE":
        return
    statistics = job._properties.get("statistics", {})  # noqa: SLF001 - a load job's slot time has no public property
    billed = statistics.get("query", {}).get("totalBytesBilled") or 0
    statement = (job.labels or {}).get("statement", "")
    account.add_job(job.job_id, statement=statement, bytes_billed=int(billed), slot_ms=int(statistics.get("totalSlotMs") or 0))


def raising_conflicts[**P, Answer](send: Callable[P, Answer]) -> Callable[P, Answer]:
    """`send`, which raises TransactionCancelled if BigQuery has cancelled its transaction for another statement."""

    def sent(*args: P.args, **kwargs: P.kwargs) -> Answer:
        try:
            return send(*args, **kwargs)
        except google.GoogleAPICallError as error:
            if is_conflict(error):
                raise TransactionCancelled from error
            raise

    return sent


class JobDied(Exception):
    """The job ended with an error (`__cause__`) that a new job may not hit."""


class NotSeenYet(TimeoutError):
    """A submitted job cannot be read yet (googleapis/python-bigquery #2134)."""


class UnconfirmedScript(TimeoutError):
    """A script reported success without its final row (see `Block.is_confirmed`): it may or may not have run."""


class SentJob[Answer]:
    """A job with this id. Both methods block. After a transient error, call the same method again.

    `insert(job_id, timeout)` submits the job; `read(job, timeout)` waits for its end and reads its result.
    """

    def __init__(
        self,
        client: bigquery.Client,
        job_id: str,
        insert: Callable[[str, float], Any],
        read: Callable[[Any, float], Answer],
        *,
        location: str,
    ) -> None:
        self.job_id, self._location = job_id, location
        self._client, self._insert, self._read = client, insert, read
        self._job: Any = None
        self._is_sent = self._is_taken = self._is_stale = False
        self._missed_since: float | None = None
        self._abandoned = threading.Event()

    def begin(self, timeout: float) -> None:
        """Submits the job. If the response is lost, the job is looked up by id first and BigQuery refuses a duplicate id, so neither a
        second job runs nor is a file sent again.
        """
        self._job = self._find(timeout) if self._is_sent else None
        if self._job is None and self._is_taken:
            raise NotSeenYet
        if self._job is None:
            self._is_sent = True
            try:
                self._job = self._insert(self.job_id, timeout)
            except google.Conflict:
                self._is_taken = True
                raise NotSeenYet from None
        if self._abandoned.is_set():
            self._job.cancel(timeout=timeout, retry=NO_RETRY)

    def finish(self, timeout: float) -> Answer:
        """The result, once the job has ended. Raises JobDied for an error that a new job may not hit, and for a job that BigQuery has
        forgotten, else the job's own error.
        """
        if self._is_stale:
            found = self._find(timeout)
            if found is None:
                raise self._missed()
            self._job, self._is_stale, self._missed_since = found, False, None
        try:
            return self._read(self._job, timeout)
        except UnconfirmedScript as error:
            raise JobDied from error
        except Exception as error:
            if is_transient(error) and self._job.state == "DONE" and self._job.error_result:
                raise JobDied from error
            # Otherwise the poll may have failed, not the job: only the job itself can say.
            self._is_stale = True
            raise

    def abandon(self) -> None:
        """Makes a thread that is still submitting the job cancel it at once."""
        self._abandoned.set()

    def _missed(self) -> Exception:
        """What to raise for a job that is not found, though it was seen."""
        now = time.monotonic()
        self._missed_since = self._missed_since or now
        unseen = NotSeenYet()
        if now - self._missed_since < LOST_SECONDS:
            return unseen
        died = JobDied()
        died.__cause__ = unseen
        return died

    def _find(self, timeout: float) -> Any:
        try:
            return self._client.get_job(self.job_id, location=self._location, timeout=timeout, retry=NO_RETRY)
        except google.NotFound:
            return None


def query_result(job: bigquery.QueryJob, timeout: float) -> RowIterator:
    """The rows of a query job, once it has ended, by two GETs: one that waits for the end and has the first rows, one for what the job has
    cost. The client alone would look at the job's state first, which is of no use for a job that has just begun.
    """
    # A call that fails may say something about the job, or about the call only: `result` asks the job itself.
    with contextlib.suppress(google.GoogleAPICallError):
        job._reload_query_results(retry=NO_RETRY, timeout=timeout, page_size=PAGE_ROWS)  # noqa: SLF001 - the client has no public call for it
    return job.result(page_size=PAGE_ROWS, timeout=timeout, retry=NO_RETRY, job_retry=NO_RETRY)


def wait_for_end(job: bigquery.LoadJob | bigquery.CopyJob, timeout: float) -> None:
    """Waits for the end of a load or copy job. Raises the job's error; TimeoutError. BigQuery has no call that waits for one, and the
    client's own polls leave a second and more between them: here it is a part of the time that the job has taken.
    """
    began = time.monotonic()
    while not job.done(retry=NO_RETRY, timeout=timeout):
        elapsed = time.monotonic() - began
        if elapsed >= timeout:
            raise TimeoutError
        time.sleep(min(max(elapsed * POLL_SHARE, MIN_POLL_SECONDS), MAX_POLL_SECONDS, timeout - elapsed))
    job.result(timeout=timeout, retry=NO_RETRY)


LOCATION_KNOWN_SECONDS = 86_400.0
KNOWN_DATASETS = 100_000


class DatasetLocations:
    """Where `project.dataset`s are: a job sees the tables of one location only, so it has to run in that of its tables.

    The dataset itself says it, whatever was asked for when it was made. That is a metadata call, which is free and no statement, and it is
    made once: a dataset never moves. One that was deleted may have been made again elsewhere, so after a notFound it is asked for again.
    """

    def __init__(self, read: Callable[[str], Awaitable[str]], *, usual: str, own: Mapping[str, str]) -> None:
        """`read` asks BigQuery. `usual`: where a dataset is that this account may not look at. `own`: datasets that are not asked for."""
        self._read, self._usual, self._own = read, usual, own
        self._known: TtlCache[str, str] = TtlCache(seconds=LOCATION_KNOWN_SECONDS, size=KNOWN_DATASETS)

    async def of(self, dataset: str) -> str:
        """Its location. Raises NotFound if there is no such dataset, and what `read` raises. Concurrent callers share a question."""
        if (own := self._own.get(dataset)) is not None:
            return own
        try:
            return await self._known.get(dataset, self._read)
        except Forbidden:
            return self._usual  # the job itself is answered what it lacks

    @asynccontextmanager
    async def where(self, dataset: str) -> AsyncIterator[str]:
        """Around a job: its location. Raises as `of` does."""
        location = await self.of(dataset)
        try:
            yield location
        except NotFound:
            self._known.drop(dataset)
            raise

    def put(self, dataset: str, location: str) -> None:
        """The caller has seen it."""
        self._known.put(dataset, location)
