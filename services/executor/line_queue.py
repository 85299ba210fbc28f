"""A queue of rows on their way to an append-only table, which nothing waits for but `flushed`."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from services.platform.errors import Unavailable
from services.platform.turns import ALL, on_behalf_of

type Row = Mapping[str, Any]
GATHER_SECONDS = 0.25
"""For how long rows gather before they are sent: the end of one step and the start of the next are one call."""

_log = structlog.get_logger()


class LineQueue:
    """Sends rows in order, one call at a time; rows that arrive meanwhile go into the next call. If BigQuery does not accept rows for now,
    they are sent again together with the next ones. `flushed` makes the last try. If the process dies, rows that were not sent are lost.
    """

    def __init__(
        self, append: Callable[[Sequence[Row]], Awaitable[None]], *, ended: Callable[[], object], gather_seconds: float = GATHER_SECONDS
    ) -> None:
        """`append` retries until its own deadline, then raises Unavailable; the same rows again change nothing. `ended` is called when
        all rows are sent: with the next ones, a new queue may be made.
        """
        self._append, self._ended, self._gather_seconds = append, ended, gather_seconds
        self._rows = list[Row]()
        self._is_last_try = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None

    def put(self, rows: Sequence[Row]) -> None:
        """Queues rows; returns at once."""
        self._rows += rows
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())

    async def flushed(self) -> None:
        """Returns when all rows are written, or lost. Never raises because of them; if it is cancelled, they are sent all the same."""
        if self._sender is not None:
            self._is_last_try.set()
            await asyncio.wait([self._sender])

    async def _send(self) -> None:
        on_behalf_of.set(ALL)  # not of a call that may be answered by now
        while self._rows:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._gather_seconds):
                    await self._is_last_try.wait()
            batch, self._rows, is_last_try = self._rows, [], self._is_last_try.is_set()
            try:
                await self._append(batch)
            except Exception as error:  # noqa: BLE001 - lines are lost; the work itself is not undone for them
                if isinstance(error, Unavailable) and not is_last_try:
                    self._rows = batch + self._rows
                else:
                    _log.warning("step_log_lost", lines=len(batch), error=type(error).__name__)
        self._sender = None
        self._ended()
