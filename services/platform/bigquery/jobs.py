"""One BigQuery job under an id of ours, handed in once and followed to its end, whatever answers get lost on the way."""

import threading
from collections.abc import Callable
from typing import Any

from google.api_core import exceptions as google
from google.cloud import bigquery

from services.platform.bigquery.transient import is_transient

NO_RETRY: Any = None
"""For the client's methods: its own retries last for minutes, ours end at the deadline."""


class JobDied(Exception):
    """The job has ended with an error (`__cause__`) that another job may be spared."""


class NotSeenYet(TimeoutError):
    """A job that BigQuery has taken cannot be read for a moment (googleapis/python-bigquery #2134)."""


class UnconfirmedScript(TimeoutError):
    """A script came back as a success without the row that it ends with (see `Block.is_confirmed`): whether it ran is unknown."""


class SentJob[Answer]:
    """A job of this id. Both methods block; after a transient error the same method may be called again.

    `insert(job_id, timeout)` hands the job in; `read(job, timeout)` waits for its end and reads its result.
    """

    def __init__(
        self,
        client: bigquery.Client,
        job_id: str,
        insert: Callable[[str, float], Any],
        read: Callable[[Any, float], Answer],
    ) -> None:
        self.job_id = job_id
        self._client, self._insert, self._read = client, insert, read
        self._job: Any = None
        self._is_sent = self._is_taken = self._is_stale = False
        self._abandoned = threading.Event()

    def begin(self, timeout: float) -> None:
        """Hands the job in. A reply that was lost is no reason for a second job, nor to send a file again: the id is looked up first, and
        BigQuery refuses what it has already.
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
        """The result, once the job has ended. Raises JobDied for what a new job may heal, else the job's own error."""
        if self._is_stale:
            self._job = self._find(timeout)
            if self._job is None:
                raise NotSeenYet
            self._is_stale = False
        try:
            return self._read(self._job, timeout)
        except UnconfirmedScript as error:
            raise JobDied from error
        except Exception as error:
            if is_transient(error) and self._job.state == "DONE" and self._job.error_result:
                raise JobDied from error
            # Else it may have been the poll that failed, not the job: only the job itself can say.
            self._is_stale = True
            raise

    def abandon(self) -> None:
        """Has a thread that is still handing the job in stop it at once."""
        self._abandoned.set()

    def _find(self, timeout: float) -> Any:
        try:
            return self._client.get_job(self.job_id, timeout=timeout, retry=NO_RETRY)
        except google.NotFound:
            return None
