"""Records what happened to claimed runs: many runs, few statements."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from services.platform.clock import Clock
from services.platform.group_commit import GroupCommit
from services.scheduler.queue.outcomes import End, Refusal
from services.scheduler.queue.store import QueueStore, Started


class QueueWriter:
    """While one statement is in flight, the next batch is collected. Every entry is fenced by its claim and may be repeated: if the claim
    is lost, or the entry was written before, it changes nothing. Each method raises Unavailable if BigQuery does not answer.
    """

    def __init__(self, store: QueueStore, clock: Clock, *, batch_window_seconds: float = 0.0) -> None:
        """`batch_window_seconds`: how long starts and ends are collected, since no caller waits for their rows."""
        self._store, self._clock = store, clock
        self._started: GroupCommit[Started, None] = GroupCommit(self._record_batch, batch_window_seconds=batch_window_seconds)
        self._refusals: GroupCommit[Refusal, None] = GroupCommit(self._put_back_batch)
        self._ends: GroupCommit[End, None] = GroupCommit(self._settle_batch, batch_window_seconds=batch_window_seconds)

    async def record(self, started: Started) -> None:
        """Records that an attempt has begun."""
        await self._started.submit(started)

    async def put_back(self, refusals: Sequence[Refusal]) -> None:
        """Returns refused runs to the queue; this counts as no failure."""
        await self._refusals.submit_all(refusals)

    async def settle(self, ends: Sequence[End]) -> None:
        """Records the ends of attempts."""
        await self._ends.submit_all(ends)

    async def _record_batch(self, started: Sequence[Started]) -> Sequence[None]:
        await self._store.record_started(started)
        return [None] * len(started)

    async def _put_back_batch(self, refusals: Sequence[Refusal]) -> Sequence[None]:
        await self._store.put_back(refusals)
        return [None] * len(refusals)

    async def _settle_batch(self, ends: Sequence[End]) -> Sequence[None]:
        await self._store.settle(ends, self._clock.now())
        return [None] * len(ends)

    async def __aenter__(self) -> Self:
        self._groups = AsyncExitStack()
        for group in (self._started, self._refusals, self._ends):
            await self._groups.enter_async_context(group)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._groups.aclose()
