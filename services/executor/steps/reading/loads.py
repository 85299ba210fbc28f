"""Loads the first parts of a large export while the rest of it is read."""

import asyncio
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from services.executor.errors import StepError
from services.executor.sources.source import CheckCancelled
from services.executor.sources.spool import Spooled
from services.executor.staging.shape import StagingTable
from services.executor.steps.reading.waiting import wait_for
from services.executor.templates.step import StepContext

PART_BYTES: Final = 32 * 2**20
"""Bytes of a Parquet file that is loaded while the next one is written. Most exports are smaller, and are loaded by one job at the end."""
LOADS_AT_ONCE: Final = 2
"""The most files that are being loaded, or wait to be loaded, while another one is written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Staged:
    """Rows that are in the staging table."""

    rows: int
    size: int | None = None
    """Bytes of their Parquet files; None: there were none."""


class PartLoads:
    """For one try of a step, in its worker thread. The loads are tasks of the event loop."""

    def __init__(self, context: StepContext, table: StagingTable) -> None:
        """On the event loop."""
        self._context, self._table, self._loop = context, table, asyncio.get_running_loop()
        self._loading = deque[Future[None]]()

    def take(self, parts: Generator[tuple[Spooled, bool]], check_cancelled: CheckCancelled) -> Spooled | Staged:
        """Loads all parts. If there is only one file, it is returned, and the caller must load it. Blocks. Raises StepError if in the end
        the table does not have the number of rows that the files had; Unavailable, and what `parts` and `check_cancelled` raise.
        """
        rows = size = number = 0
        with closing(parts):
            try:
                for number, (part, is_last) in enumerate(parts, 1):
                    if is_last and number == 1:
                        return part
                    rows, size = rows + part.rows, size + part.size
                    self._begin(part, is_first=number == 1)
                    self._wait(LOADS_AT_ONCE, check_cancelled)
                self._wait(0, check_cancelled)
            except BaseException:
                for future in self._loading:
                    future.cancel()
                raise
        staging, tenant_id = self._context.tools.staging, self._context.run.tenant_id
        found = wait_for(staging.count(tenant_id, self._table), self._loop, check_cancelled)
        if found != rows:  # a load whose answer was lost ran twice, or one of an earlier try came late
            message = f"{rows:,} rows were read, and the staging table has {found:,}. Nothing is published of them."
            raise StepError(message, is_retryable=True)
        return Staged(rows=rows, size=size)

    def _begin(self, part: Spooled, *, is_first: bool) -> None:
        self._loading.append(asyncio.run_coroutine_threadsafe(self._load(part, is_first=is_first), self._loop))

    async def _load(self, part: Spooled, *, is_first: bool) -> None:
        context, within = self._context, timedelta(seconds=self._context.timeout_seconds)
        staging, tenant_id = context.tools.staging, context.run.tenant_id
        with part:
            if is_first:
                await staging.made(tenant_id, self._table)
            await staging.fill(tenant_id, self._table, part.file, part.size, within=within, account=context.meter, is_part=True)

    def _wait(self, most: int, check_cancelled: CheckCancelled) -> None:
        """Waits until at most `most` loads are left. Raises the error of a load that has failed."""
        while len(self._loading) > most:
            wait_for(self._loading[0], self._loop, check_cancelled)
            self._loading.popleft()
