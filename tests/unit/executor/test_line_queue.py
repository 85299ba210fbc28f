"""The queue by which a run's lines reach a table: what is sent together, what is sent again, and when nothing is left."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from services.executor.line_queue import LineQueue, Row
from services.platform.errors import Unavailable

BUSY = Unavailable("BIGQUERY_UNAVAILABLE", "BigQuery does not answer.", retry_after=timedelta(seconds=1))


class Table:
    """What came, call by call. `answers`: what the next calls raise; None: nothing."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers, self.calls, self.ended = list(answers), list[list[str]](), 0
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.queue = LineQueue(self.append, ended=self.end, gather_seconds=0.02)

    async def append(self, rows: Sequence[Row]) -> None:
        self.calls.append([row["log_id"] for row in rows])
        await self.is_open.wait()
        if self.answers and (error := self.answers.pop(0)):
            raise error

    def end(self) -> None:
        self.ended += 1

    def put(self, *names: str) -> None:
        self.queue.put([{"log_id": name} for name in names])


async def until_called(table: Table, calls: int) -> None:
    async with asyncio.timeout(10):
        while len(table.calls) < calls:
            await asyncio.sleep(0)


async def test_lines_that_come_soon_after_each_other_are_one_call_in_their_order() -> None:
    table = Table()
    table.put("a")
    table.put("b", "c")
    await until_called(table, 1)
    assert table.calls == [["a", "b", "c"]]
    await table.queue.flushed()
    assert (table.calls, table.ended) == ([["a", "b", "c"]], 1)


async def test_what_gathers_behind_a_call_is_the_next_one() -> None:
    """Never two calls at once: the table has the rows in order."""
    table = Table()
    table.is_open.clear()
    table.put("a")
    await until_called(table, 1)
    table.put("b")
    table.put("c")
    await asyncio.sleep(0.05)
    assert table.calls == [["a"]]
    table.is_open.set()
    await table.queue.flushed()
    assert table.calls == [["a"], ["b", "c"]]


async def test_a_flush_does_not_wait_for_more_lines() -> None:
    table = Table()
    table.queue = LineQueue(table.append, ended=table.end, gather_seconds=3600.0)
    table.put("a")
    await asyncio.sleep(0)
    assert table.calls == []
    async with asyncio.timeout(10):
        await table.queue.flushed()
        await table.queue.flushed()
    assert (table.calls, table.ended) == ([["a"]], 1)


async def test_lines_that_are_not_taken_for_now_are_sent_again_and_at_last_by_the_flush() -> None:
    table = Table(BUSY, BUSY)
    table.put("a")
    await until_called(table, 1)
    table.put("b")
    await until_called(table, 3)
    await table.queue.flushed()
    assert table.calls[0] == ["a"]
    assert table.calls[-1] == ["a", "b"]


@pytest.mark.parametrize(("error", "calls"), [(BUSY, 1), (ValueError("no such column"), 1)])
async def test_a_flush_ends_though_lines_are_lost(error: Exception, calls: int) -> None:
    """The last try was the flush's own, or another would not help. Later lines are not held up by them."""
    table = Table(error)
    table.queue = LineQueue(table.append, ended=table.end, gather_seconds=3600.0)
    table.put("a")
    await table.queue.flushed()
    assert (len(table.calls), table.ended) == (calls, 1)
    table.put("b")
    await table.queue.flushed()
    assert table.calls[-1] == ["b"]


async def test_a_flush_that_is_cancelled_stops_no_line() -> None:
    table = Table()
    table.is_open.clear()
    table.put("a")
    flush = asyncio.create_task(table.queue.flushed())
    await until_called(table, 1)
    table.put("b")
    flush.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flush
    table.is_open.set()
    await until_called(table, 2)
    assert table.calls == [["a"], ["b"]]
