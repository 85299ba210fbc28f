"""Whether tables have changed, by their metadata. Reading the metadata costs nothing. If it is unchanged, a statement would find the same
as before and need not be sent.

Every committed DML statement and load job changes a table's `lastModifiedTime` ("tables" in BigQuery's REST reference). Streamed rows
change it later, when they leave the streaming buffer. So a reader may learn late of new streamed rows. It never learns late of a changed or
deleted row, because rows in the buffer can be neither changed nor deleted.
"""

import asyncio
from collections.abc import Sequence

import structlog
from google.api_core import exceptions as google
from google.cloud.bigquery import Table

from services.platform import metrics
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.jobs import NO_RETRY
from services.platform.errors import ConvergenceError
from services.platform.group_commit import GroupCommit

READ_SECONDS = 2.0
"""Deadline of one reading. The statement that a reading may make unnecessary takes about as long."""
MIN_INTERVAL_SECONDS = 0.25
"""Google asks for low rates of this call, and all replicas of a service share a quota of 100 a second."""

type Version = tuple[str, ...]
"""Equal versions: nothing was committed to the tables between the two readings."""

_log = structlog.get_logger()


class TableVersions:
    """The version of some tables of one dataset, together."""

    def __init__(self, bq: BigQuery, dataset: str, tables: Sequence[str], *, min_interval_seconds: float = MIN_INTERVAL_SECONDS) -> None:
        """`dataset`: `project.dataset`. `min_interval_seconds`: from one reading to the next; a caller waits no longer than that."""
        self._bq, self._dataset, self._tables = bq, dataset, tables
        self._readings: GroupCommit[None, Version | None] = GroupCommit(self._read, batch_window_seconds=min_interval_seconds)

    async def current(self) -> Version | None:
        """The version, by a reading that begins after this call; concurrent callers share the reading. None if the version cannot be read:
        then only a statement shows what is in the tables.
        """
        return await self._readings.submit(None)

    async def _read(self, callers: Sequence[None]) -> Sequence[Version | None]:
        try:
            version = tuple(await asyncio.gather(*map(self._read_one, self._tables)))
        except (ConvergenceError, google.GoogleAPICallError) as error:
            _log.warning("table_versions_unreadable", tables=self._tables, error=type(error).__name__)
            version = None
        return [version] * len(callers)

    async def _read_one(self, table: str) -> str:
        name = f"{self._dataset}.{table}"

        def send(timeout: float) -> Table:
            metrics.BIGQUERY_VERSION_READS.labels(table).inc()
            return self._bq.client.get_table(name, timeout=timeout, retry=NO_RETRY)

        found = await self._bq.call("get_table", send, seconds=READ_SECONDS)
        # A table that was dropped and recreated is another table.
        return f"{found.created} {found.modified}"
