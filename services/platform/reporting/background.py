"""Appends rows to a control table in the background."""

import asyncio
import itertools
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog

from services.platform import metrics
from services.platform.bigquery.append import AppendOnlyTable, Row
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.errors import BadRequest
from services.platform.bigquery.sql import Block
from services.platform.periodic import Periodic

MAX_BATCH = 500
"""Rows of one request: some 200 KB."""
MAX_WAITING = 10_000
"""Rows in memory; above that, the oldest are dropped."""
LAST_SECONDS = 3.0
"""How long a stopping process tries to send its last rows."""
LONGEST_PAUSE = 60.0
"""Seconds between two tries while BigQuery does not take the rows; doubles up to that."""

_log = structlog.get_logger()


class BackgroundRows:
    """While its context is open, rows that were added are sent every `every_seconds`. Leaving it sends what is left. To add a row never
    raises, waits for nothing and sends nothing.
    """

    def __init__(
        self,
        bq: BigQuery,
        table: str,
        *,
        key: str,
        insert: Block,
        every_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`table`: in the control dataset. `key`: its column with the row's id, by which a row that is sent twice is recognised. `insert`:
        as of AppendOnlyTable, for a table that is too young for streaming.
        """
        self._rows, self._dataset = AppendOnlyTable(bq, table, key=key, insert=insert), bq.control()
        self._table, self._key, self._monotonic = table, key, monotonic
        self._waiting = dict[str, Row]()
        self._every_seconds, self._pause, self._not_before = every_seconds, every_seconds, 0.0
        self._periodic = Periodic(f"report_{table}", (self.send_if_due, every_seconds))
        for ending in ("written", "dropped"):
            metrics.REPORT_ROWS.labels(table, ending)  # so that an alert has a zero to rise from

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, row: Row) -> None:
        """Keeps a row until it is sent; in place of one with the same id that still waits."""
        self._waiting.pop(row[self._key], None)
        self._waiting[row[self._key]] = row
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]
            metrics.REPORT_ROWS.labels(self._table, "dropped").inc()

    async def send_if_due(self) -> None:
        """Sends what waits, unless BigQuery did not take it a short while ago."""
        if self._monotonic() < self._not_before:
            return
        try:
            await self.send()
        except Exception as error:  # noqa: BLE001 - whatever it is, the rows stay and are tried again
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
            self._not_before = self._monotonic() + self._pause
            _log.warning("report_delayed", table=self._table, error=type(error).__name__, rows=len(self._waiting))
        else:
            self._pause = self._every_seconds

    async def send(self) -> None:
        """Sends all that waits. Raises the error of the first batch that was not taken; it stays, with all after it."""
        while batch := dict(itertools.islice(self._waiting.items(), MAX_BATCH)):
            ending = "written"
            try:
                await self._rows.append(self._dataset, [*batch.values()])
            except BadRequest as error:  # only the bad rows are refused: the others are written
                ending = "dropped"
                _log.error("report_refused", table=self._table, error=error.message)
            for identity, row in batch.items():
                if self._waiting.get(identity) is row:  # not one that came meanwhile
                    del self._waiting[identity]
            metrics.REPORT_ROWS.labels(self._table, ending).inc(len(batch))

    async def __aenter__(self) -> Self:
        await self._periodic.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._periodic.__aexit__(kind, error, trace)
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self.send()
        except Exception as unsent:  # noqa: BLE001 - the process ends all the same
            metrics.REPORT_ROWS.labels(self._table, "dropped").inc(len(self._waiting))
            _log.warning("report_not_sent", table=self._table, error=type(unsent).__name__, rows=len(self._waiting))
