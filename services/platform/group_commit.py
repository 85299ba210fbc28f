"""Group commit: many callers, few statements.

BigQuery takes 25 DML statements in 10 seconds on a table and runs 2 at a time, but one statement may carry hundreds of rows. So while one
is in flight, whoever comes gathers, and the next statement takes all of them. A lone caller waits for nobody.
"""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from services.platform.errors import Unavailable


class GroupCommit[Item, Answer]:
    """Hands what was submitted to `flush` in batches of at most `max_batch`, one batch at a time, in order of arrival.

    `flush` answers one entry an item, in the same order; an entry that is an exception is raised to that caller alone. If `flush` itself
    raises, every caller of the batch hears it: what is flushed must be safe to send again. Leaving the context flushes what is gathered.

    `batch_window_seconds`: for what nobody waits for. After a quiet time the first item goes at once; then a batch begins at most so often,
    unless somebody calls `flush_now`. `before_flush` is awaited before a batch is cut: what comes while a table has to be left alone rides
    along.

    `max_concurrent`: so many batches may be in flight. More than one is for reads, which need no order: one that hangs holds up no other.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | Exception]]],
        *,
        max_batch: int = 500,
        batch_window_seconds: float = 0.0,
        before_flush: Callable[[], Awaitable[None]] | None = None,
        max_concurrent: int = 1,
    ) -> None:
        self._max_concurrent = max_concurrent
        self._flush = flush
        self._max_batch = max_batch
        self._batch_window_seconds = batch_window_seconds
        self._before_flush = before_flush
        self._began = -math.inf
        self._flush_requested = asyncio.Event()
        self._gathered: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._in_flight: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._workers = set[asyncio.Task[None]]()
        self._closed = False

    async def submit(self, item: Item) -> Answer:
        """What `flush` answers for `item`. Raises Unavailable after the context was left."""
        return await self._gather(item)

    def _gather(self, item: Item) -> asyncio.Future[Answer]:
        if self._closed:
            raise Unavailable("SERVICE_UNAVAILABLE", "This service is stopping. Try again in a moment.")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._gathered.append((item, answer))
        self._workers = {worker for worker in self._workers if not worker.done()}
        if len(self._workers) < self._max_concurrent:
            self._workers.add(asyncio.create_task(self._drain()))
        return answer

    async def submit_all(self, items: Sequence[Item], *, urgent: bool = False) -> list[Answer]:
        """As `submit` for each, all in the same batch or batches; `urgent` ones take along what is gathered, now. Raises the first error
        after every one has its answer.
        """
        gathered = [self._gather(item) for item in items]
        if urgent and gathered:
            self._flush_requested.set()
        answers = await asyncio.gather(*gathered, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    def pending(self) -> list[Item]:
        """What has no answer yet: in flight, then gathered."""
        return [item for item, _ in (*self._in_flight, *self._gathered)]

    async def flush_now(self) -> None:
        """Sends what is gathered now, and returns when all of it has its answers, whatever they are."""
        # Set with nothing gathered, it would send the next item alone.
        if self._gathered:
            self._flush_requested.set()
        if waiting := [answer for _, answer in (*self._in_flight, *self._gathered)]:
            await asyncio.wait(waiting)

    async def _pause(self) -> None:
        left = self._began + self._batch_window_seconds - asyncio.get_running_loop().time()
        if left > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._flush_requested.wait()
        if self._before_flush is not None:
            await self._before_flush()
        self._began = asyncio.get_running_loop().time()

    async def _drain(self) -> None:
        while self._gathered:
            await self._pause()
            batch, self._gathered = self._gathered[: self._max_batch], self._gathered[self._max_batch :]
            answering = {answer for _, answer in batch}
            self._in_flight += batch
            if not self._gathered and not self._closed:
                self._flush_requested.clear()
            try:
                answers = await self._flush([item for item, _ in batch])
                if len(answers) != len(batch):
                    raise RuntimeError(f"flush answered {len(answers)} of {len(batch)} items")
            except Exception as error:  # noqa: BLE001 - whatever went wrong belongs to the callers of this batch
                answers = [error] * len(batch)
            self._in_flight = [(item, answer) for item, answer in self._in_flight if answer not in answering]
            for (_, future), answer in zip(batch, answers, strict=True):
                if future.done():  # its caller has hung up
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closed = True
        self._flush_requested.set()
        await asyncio.gather(*self._workers)


class GroupCommits[Key: Hashable, Item, Answer]:
    """A `GroupCommit` for each key, there as long as something of that key is gathered or in flight. It has no context to leave: whoever
    submits waits for the answer.
    """

    def __init__(
        self,
        flush: Callable[[Key, Sequence[Item]], Awaitable[Sequence[Answer | Exception]]],
        *,
        before_flush: Callable[[Key], Awaitable[None]] | None = None,
    ) -> None:
        self._flush, self._before_flush = flush, before_flush
        self._groups: WeakValueDictionary[Key, GroupCommit[Item, Answer]] = WeakValueDictionary()

    async def submit(self, key: Key, item: Item) -> Answer:
        """What `flush` answers for `item`, which shares a batch with items of the same key only."""
        return await self._group(key).submit(item)

    async def submit_all(self, key: Key, items: Sequence[Item]) -> list[Answer]:
        """As `submit` for each. See `GroupCommit.submit_all`."""
        return await self._group(key).submit_all(items)

    def _group(self, key: Key) -> GroupCommit[Item, Answer]:
        group = self._groups.get(key)
        if group is None:
            before_flush = partial(self._before_flush, key) if self._before_flush else None
            group = self._groups[key] = GroupCommit(partial(self._flush, key), before_flush=before_flush)
        return group
