"""The lock of the control dataset: one bootstrap works at a time, and the lease of one that died expires."""

import asyncio
import math
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import load_blocks
from services.platform.errors import Unavailable

BLOCKS = load_blocks(Path(__file__).with_name("queries.sql"))
LEASE_SECONDS = 180
"""The lease of a holder. Three times as long as any statement of a bootstrap may take."""
WAIT_SECONDS = 400.0
"""How long a bootstrap waits for another: two leases, within the ten minutes that the chart's job has."""
LOOK_SECONDS = 2.0
ROW_LOOKS, ROW_SECONDS = 20, 0.5

_log = structlog.get_logger()


class LockLost(Unavailable):
    """Another bootstrap has taken over. What was done stays done, and the other does the rest."""

    def __init__(self) -> None:
        super().__init__("SERVICE_UNAVAILABLE", "Another bootstrap has taken over this one's lock, and does the rest. Run it again to see.")


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """The row of `schema_state`."""

    version: int
    holder: str | None


class SchemaLock:
    """While its context is open, this process alone changes the dataset's schema. Entering it waits for the holder of the lock, or for the
    end of its lease; raises Unavailable after `wait_seconds`.
    """

    def __init__(self, bq: BigQuery, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._bq, self._wait_seconds = bq, wait_seconds
        self._holder = str(uuid.uuid4())
        self._taken_at = -math.inf

    async def read_version(self) -> int:
        """The dataset's version; needs no lock."""
        return (await self._state("read_state", {})).version

    async def renew(self) -> None:
        """Before each statement: renews the lease once a third of it has passed. Raises LockLost."""
        if time.monotonic() - self._taken_at > LEASE_SECONDS / 3 and (await self._take()).holder != self._holder:
            raise LockLost

    async def record(self, version: int, migration: str) -> None:
        """Counts a migration that was applied. Raises LockLost."""
        params = {"holder": self._holder, "version": version, "migration": migration}
        state = await self._state("record_migration", params)
        if (state.version, state.holder) != (version, self._holder):
            raise LockLost

    async def __aenter__(self) -> Self:
        until, seen = time.monotonic() + self._wait_seconds, None
        while (state := await self._take()).holder != self._holder:
            if state.holder != seen:
                _log.info("waiting_for_another_bootstrap", holder=state.holder)
            if time.monotonic() >= until:
                raise Unavailable("SERVICE_UNAVAILABLE", "Another bootstrap is still at work. Run this one again when it has ended.")
            seen = state.holder
            await asyncio.sleep(LOOK_SECONDS)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._bq.query(BLOCKS["release_lock"], {"holder": self._holder}, dataset=self._bq.control())

    async def _take(self) -> State:
        self._taken_at = time.monotonic()
        return await self._state("take_lock", {"holder": self._holder, "lease_seconds": LEASE_SECONDS})

    async def _state(self, block: str, params: dict[str, object]) -> State:
        for _ in range(ROW_LOOKS):
            result = await self._bq.query(BLOCKS[block], params, dataset=self._bq.control())
            if result.rows:
                break
            # While another bootstrap creates the table, the emulator shows the table before its row.
            await asyncio.sleep(ROW_SECONDS)
        row = result.only_row
        return State(version=row["version"], holder=row["locked_by"])
