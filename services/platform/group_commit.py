"""Group commit: many callers share one statement.

BigQuery accepts 25 DML statements in 10 seconds a table and runs 2 at a time, but one statement can carry hundreds of rows. So while one
statement is in flight, new items are collected, and the next statement takes all of them. A lone caller does not wait.
"""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from opentelemetry.trace import Span

from services.platform.errors import Unavailable
from services.platform.tracing.batches import callers_span, together
from services.platform.turns import ALL, on_behalf_of


class GroupCommit[Item, Answer]:
    """Passes submitted items to `flush` in batches of at most `max_batch`, in order of arrival.

    `flush` returns one entry an item, in the same order; an entry that is an exception is raised to that caller only. If `flush` itself
    raises, every caller of the batch gets the error, so a flush must be safe to repeat. Leaving the context flushes what is left.

    `batch_window_seconds`: minimum seconds between the starts of two batches, for work that no caller waits for. The first item after an
    idle period is sent at once, and `flush_now` sends everything at once. `before_flush` is awaited before a batch is cut: items that
    arrive during that wait join the batch.

    `max_concurrent`: how many batches may be in flight. More than one is for reads, which need no order: a slow one does not delay the
    next.
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
        self._gathered: list[tuple[Item, asyncio.Future[Answer], Span]] = []
        self._in_flight: list[tuple[Item, asyncio.Future[Answer], Span]] = []
        self._workers = set[asyncio.Task[None]]()
        self._closed = False

    async def submit(self, item: Item) -> Answer:
        """The answer of `flush` for `item`. Raises Unavailable once the context was left."""
        return await self._gather(item)

    def _gather(self, item: Item) -> asyncio.Future[Answer]:
        if self._closed:
            raise Unavailable("SERVICE_UNAVAILABLE", "This service is stopping. Try again in a moment.")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._gathered.append((item, answer, callers_span()))
        self._workers = {worker for worker in self._workers if not worker.done()}
        if len(self._workers) < self._max_concurrent:
            self._workers.add(asyncio.create_task(self._drain()))
        return answer

    async def submit_all(self, items: Sequence[Item], *, urgent: bool = False) -> list[Answer]:
        """As `submit` for each item, in the same batch or batches. `urgent`: flush now, along with everything collected. Raises the first
        error once every item has its answer.
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
        """Items without an answer: those in flight first, then those collected."""
        return [item for item, _, _ in (*self._in_flight, *self._gathered)]

    async def flush_now(self) -> None:
        """Flushes what is collected and returns when all of it has been answered, with or without error."""
        # With nothing collected, setting the event would send the next item alone.
        if self._gathered:
            self._flush_requested.set()
        if waiting := [answer for _, answer, _ in (*self._in_flight, *self._gathered)]:
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
        on_behalf_of.set(ALL)  # not of the caller that came first
        while self._gathered:
            await self._pause()
            batch, self._gathered = self._gathered[: self._max_batch], self._gathered[self._max_batch :]
            if not batch:  # another worker has taken it during the pause
                return
            answering = {answer for _, answer, _ in batch}
            self._in_flight += batch
            if not self._gathered and not self._closed:
                self._flush_requested.clear()
            try:
                with together([caller for _, _, caller in batch], "batch"):
                    answers = await self._flush([item for item, _, _ in batch])
                if len(answers) != len(batch):
                    raise RuntimeError(f"flush answered {len(answers)} of {len(batch)} items")
            except Exception as error:  # noqa: BLE001 - any error belongs to the callers of this batch
                answers = [error] * len(batch)
            self._in_flight = [one for one in self._in_flight if one[1] not in answering]
            for (_, future, _), answer in zip(batch, answers, strict=True):
                if future.done():  # its caller was cancelled
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
    """One `GroupCommit` a key, kept while it has items collected or in flight. It is no context manager: each caller waits for its own
    answer.
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
        """The answer of `flush` for `item`, which shares a batch only with items of the same key."""
        return await self._group(key).submit(item)

    async def submit_all(self, key: Key, items: Sequence[Item]) -> list[Answer]:
        """As `submit` for each item, in the same batch or batches of that key."""
        return await self._group(key).submit_all(items)

    def _group(self, key: Key) -> GroupCommit[Item, Answer]:
        group = self._groups.get(key)
        if group is None:
            before_flush = partial(self._before_flush, key) if self._before_flush else None
            group = self._groups[key] = GroupCommit(partial(self._flush, key), before_flush=before_flush)
        return group


class SharedReads[Question: Hashable, Answer]:
    """Equal questions share one read, which begins after each of them was asked: no answer is older than its question. While a read is in
    flight, the equal questions that arrive wait for the next one. Callers share the answer, so none may change it.
    """

    def __init__(self, read: Callable[[Question], Awaitable[Answer]]) -> None:
        self._read = read
        self._questions: GroupCommits[Question, None, Answer] = GroupCommits(self._answer_all)

    async def get(self, question: Question) -> Answer:
        """The answer of `read`. Raises what it raises."""
        return await self._questions.submit(question, None)

    async def _answer_all(self, question: Question, askers: Sequence[None]) -> Sequence[Answer]:
        return [await self._read(question)] * len(askers)
