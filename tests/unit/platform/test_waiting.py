"""Group commit and cache. Time is passed in; nothing sleeps."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence

import pytest

from services.platform.cache import TtlCache
from services.platform.errors import Unavailable
from services.platform.group_commit import GroupCommit, GroupCommits, SharedReads


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_who_comes_while_a_batch_is_in_flight_rides_in_the_next() -> None:
    batches: list[list[int]] = []
    gate = asyncio.Event()

    async def flush(items: Sequence[int]) -> Sequence[int]:
        batches.append(list(items))
        await gate.wait()
        return [item * 10 for item in items]

    async with GroupCommit(flush) as group:
        first = asyncio.create_task(group.submit(1))
        while not batches:
            await asyncio.sleep(0)
        others = [asyncio.create_task(group.submit(n)) for n in (2, 3, 4)]
        await asyncio.sleep(0)
        gate.set()
        assert await asyncio.gather(first, *others) == [10, 20, 30, 40]
    assert batches == [[1], [2, 3, 4]]


async def test_a_read_that_hangs_holds_up_no_caller_while_others_may_be_in_flight() -> None:
    batches: list[list[int]] = []
    gate = asyncio.Event()

    async def flush(items: Sequence[int]) -> Sequence[int]:
        batches.append(list(items))
        if 1 in items:
            await gate.wait()
        return items

    async with GroupCommit(flush, max_concurrent=2) as group:
        hangs = asyncio.create_task(group.submit(1))
        while not batches:
            await asyncio.sleep(0)
        assert await asyncio.gather(*(group.submit(n) for n in (2, 3))) == [2, 3]
        assert not hangs.done()
        gate.set()
        assert await hangs == 1
    assert batches == [[1], [2, 3]]


async def test_items_of_one_key_share_a_batch_and_those_of_another_do_not_wait_for_it() -> None:
    batches: list[tuple[str, list[int]]] = []
    gate = asyncio.Event()

    async def flush(key: str, items: Sequence[int]) -> Sequence[int]:
        batches.append((key, list(items)))
        if key == "a":
            await gate.wait()
        return items

    groups: GroupCommits[str, int, int] = GroupCommits(flush)
    first = [asyncio.create_task(groups.submit("a", n)) for n in (1, 2)]
    while not batches:
        await asyncio.sleep(0)
    later = [asyncio.create_task(groups.submit("a", n)) for n in (3, 4)]
    assert await groups.submit("b", 5) == 5
    gate.set()
    assert await asyncio.gather(*first, *later) == [1, 2, 3, 4]
    assert batches == [("a", [1, 2]), ("b", [5]), ("a", [3, 4])]


async def test_an_error_reaches_its_own_caller_and_a_failed_flush_everyone() -> None:
    async def flush(items: Sequence[int]) -> Sequence[int | Exception]:
        if 99 in items:
            raise ConnectionError
        return [KeyError(item) if item == 2 else item for item in items]

    async with GroupCommit(flush) as group:
        answers = await asyncio.gather(*(group.submit(n) for n in (1, 2, 3)), return_exceptions=True)
        failed = await asyncio.gather(*(group.submit(n) for n in (98, 99)), return_exceptions=True)
        after = await group.submit(5)
    assert (answers[0], type(answers[1]), answers[2], after) == (1, KeyError, 3, 5)
    assert [type(error) for error in failed] == [ConnectionError, ConnectionError]


async def test_leaving_flushes_what_was_gathered_and_refuses_what_comes_later() -> None:
    flushed: list[int] = []

    async def flush(items: Sequence[int]) -> Sequence[None]:
        await asyncio.sleep(0)
        flushed.extend(items)
        return [None] * len(items)

    async with GroupCommit(flush, max_batch=2) as group:
        tasks = [asyncio.create_task(group.submit(n)) for n in range(5)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert flushed == [0, 1, 2, 3, 4]
    with pytest.raises(Unavailable):
        await group.submit(6)


def recording() -> tuple[list[list[int]], Callable[[Sequence[int]], Awaitable[Sequence[None]]]]:
    """Batches as they were flushed, and a flush that answers nothing."""
    batches: list[list[int]] = []

    async def flush(items: Sequence[int]) -> Sequence[None]:
        batches.append(list(items))
        return [None] * len(items)

    return batches, flush


async def test_what_no_caller_waits_for_gathers_and_a_hurried_caller_sends_it_now() -> None:
    """The first goes at once; the next would gather for an hour."""
    batches, flush = recording()
    async with GroupCommit(flush, batch_window_seconds=3600) as group:
        await group.submit(1)
        others = [asyncio.create_task(group.submit(n)) for n in (2, 3)]
        for _ in range(10):
            await asyncio.sleep(0)
        assert (batches, group.pending()) == ([[1]], [2, 3])
        await group.flush_now()
        await asyncio.gather(*others)
        assert (batches, group.pending()) == ([[1], [2, 3]], [])
        await group.flush_now()
        late = asyncio.create_task(group.submit(4))
        await asyncio.sleep(0)
    await late
    assert batches == [[1], [2, 3], [4]]


async def test_hurrying_with_nothing_gathered_changes_nothing_and_the_urgent_take_all_along() -> None:
    """What comes later gathers all the same."""
    batches, flush = recording()
    async with GroupCommit(flush, batch_window_seconds=3600) as group:
        await group.submit(1)
        await group.flush_now()
        late = asyncio.create_task(group.submit(2))
        for _ in range(10):
            await asyncio.sleep(0)
        assert batches == [[1]]
        await asyncio.gather(late, group.submit_all([3], urgent=True))
        assert batches == [[1], [2, 3]]


async def test_a_batch_is_cut_when_its_table_is_ready() -> None:
    batches, flush = recording()
    ready = asyncio.Event()

    async def wait() -> None:
        await ready.wait()

    async with GroupCommit(flush, before_flush=wait) as group:
        tasks = [asyncio.create_task(group.submit(1))]
        for _ in range(5):
            await asyncio.sleep(0)
        tasks.append(asyncio.create_task(group.submit(2)))
        await asyncio.sleep(0)
        assert group.pending() == [1, 2]
        ready.set()
        await asyncio.gather(*tasks)
    assert batches == [[1, 2]]


async def test_sixty_callers_cause_one_load() -> None:
    loads = 0

    async def load(key: str) -> str:
        nonlocal loads
        loads += 1
        await asyncio.sleep(0)
        return key.upper()

    cache: TtlCache[str, str] = TtlCache(seconds=3, size=10)
    assert await asyncio.gather(*(cache.get("a", load) for _ in range(60))) == ["A"] * 60
    assert loads == 1


async def test_an_answer_ages_from_before_it_was_asked_for() -> None:
    time = Time()

    async def slow(key: str) -> str:
        time.now += 2
        return key

    cache: TtlCache[str, str] = TtlCache(seconds=3, size=10, monotonic=time)
    await cache.get("a", slow)
    assert cache.get_cached("a") == "a"
    time.now += 1
    assert cache.get_cached("a") is None


async def test_errors_are_not_kept_and_the_oldest_goes_first() -> None:
    answers: Iterator[str | Exception] = iter([ConnectionError(), "fine"])

    async def load(key: str) -> str:
        answer = next(answers, key)
        if isinstance(answer, Exception):
            raise answer
        return answer

    cache: TtlCache[str, str] = TtlCache(seconds=3, size=2)
    with pytest.raises(ConnectionError):
        await cache.get("a", load)
    assert await cache.get("a", load) == "fine"
    await cache.get("b", load)
    await cache.get("c", load)
    assert [cache.get_cached(key) for key in "abc"] == [None, "b", "c"]


async def test_a_value_in_use_is_loaded_again_in_the_background_once_half_of_its_time_is_over() -> None:
    """Its age counts from when it was asked for, and one that is not used is not loaded again."""
    time, loads, ready = Time(), list[float](), asyncio.Event()

    async def load(key: str) -> str:
        loads.append(time.now)
        await ready.wait()
        return f"{key}{len(loads)}"

    async def use() -> str | None:
        if known := cache.get_cached("a"):
            cache.refresh("a", load)
            await asyncio.sleep(0)
        return known

    cache: TtlCache[str, str] = TtlCache(seconds=3, size=10, monotonic=time)
    began = time.now
    ready.set()
    assert await cache.get("a", load) == "a1"
    time.now += 1.25
    assert await use() == "a1"
    assert loads == [began]
    ready.clear()
    time.now += 0.25
    assert [await use() for _ in range(5)] == ["a1"] * 5
    assert loads == [began, began + 1.5]
    time.now += 1
    ready.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert cache.get_cached("a") == "a2"
    time.now += 2  # the second was asked for 3 s ago
    assert await use() is None
    assert len(loads) == 2


async def test_a_load_in_the_background_that_fails_is_tried_once_and_leaves_the_value_until_its_own_end() -> None:
    time, tries = Time(), 0

    async def load(key: str) -> str:
        nonlocal tries
        tries += 1
        if tries > 1:
            raise ConnectionError
        return key

    cache: TtlCache[str, str] = TtlCache(seconds=3, size=10, monotonic=time)
    await cache.get("a", load)
    for _ in range(23):
        time.now += 0.125
        assert cache.get_cached("a") == "a"
        cache.refresh("a", load)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert tries == 2
    time.now += 0.125
    assert cache.get_cached("a") is None


async def test_a_value_that_was_dropped_meanwhile_does_not_come_back() -> None:
    """The load that was in flight then may have been answered before the change."""
    time, ready = Time(), asyncio.Event()
    ready.set()

    async def load(key: str) -> str:
        await ready.wait()
        return key

    cache: TtlCache[str, str] = TtlCache(seconds=3, size=10, monotonic=time)
    await cache.get("a", load)
    time.now += 2
    ready.clear()
    cache.refresh("a", load)
    await asyncio.sleep(0)
    cache.invalidate_if(lambda _: True)
    ready.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert cache.get_cached("a") is None


async def test_equal_questions_share_a_read_that_begins_after_each_was_asked() -> None:
    """So an answer is never older than its question. Other questions go beside it."""
    reads, ready = list[str](), asyncio.Event()

    async def read(question: str) -> str:
        reads.append(question)
        number = reads.count(question)
        await ready.wait()
        return f"{question}{number}"

    shared: SharedReads[str, str] = SharedReads(read)
    first = asyncio.create_task(shared.get("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert reads == ["a"]
    others = [asyncio.create_task(shared.get(question)) for question in "aaab"]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert reads == ["a", "b"]
    ready.set()
    assert [await task for task in (first, *others)] == ["a1", "a2", "a2", "a2", "b1"]
    assert reads == ["a", "b", "a"]


async def test_all_who_ask_get_the_error_of_a_shared_read_and_the_next_question_is_asked_anew() -> None:
    answers: Iterator[str | Exception] = iter([ConnectionError(), "fine"])

    async def read(question: str) -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    shared: SharedReads[str, str] = SharedReads(read)
    both = await asyncio.gather(shared.get("a"), shared.get("a"), return_exceptions=True)
    assert [type(one) for one in both] == [ConnectionError] * 2
    assert await shared.get("a") == "fine"
