"""Waiting, computing and writing side by side, a bounded amount ahead, and none of it after an error."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from services.executor.sources import overlap
from services.executor.sources.overlap import mapped, merged
from services.executor.workers import Cancelled

SECONDS = 30.0
"""For what happens at once; a test that waits so long fails."""


def by_value(item: int) -> int:
    return item


def never() -> None:
    """`check_cancelled` of a run that goes on."""


def merge(*iterators: Iterator[int], most: int = 10**9, check_cancelled: Callable[[], None] = never) -> Iterator[int]:
    return merged(iterators, size=by_value, most=most, check_cancelled=check_cancelled)


def test_items_come_in_order_and_are_made_while_one_is_worked_on() -> None:
    second_is_made, worked = threading.Event(), list[int]()

    def items() -> Iterator[int]:
        yield 1
        second_is_made.set()
        yield from (2, 3, 4)

    def work(item: int) -> int:
        assert second_is_made.wait(SECONDS)
        worked.append(item)
        return item * 10

    assert list(mapped(work, items(), threads=1)) == [10, 20, 30, 40]
    assert worked == [1, 2, 3, 4]


def test_no_more_than_one_item_waits() -> None:
    made, may_work = list[int](), threading.Event()

    def items() -> Iterator[int]:
        for item in range(10):
            made.append(item)
            if len(made) == 2:
                may_work.set()  # one is worked on, one waits
            yield item

    def work(item: int) -> int:
        assert may_work.wait(SECONDS)
        assert len(made) <= item + 2
        return item

    assert list(mapped(work, items(), threads=1)) == list(range(10))


def test_an_error_of_work_ends_it_and_nothing_works_on() -> None:
    worked = list[int]()

    def work(item: int) -> int:
        worked.append(item)
        if item == 2:
            raise OSError("full")
        return item

    with pytest.raises(OSError, match="full"):
        list(mapped(work, iter(range(10)), threads=1))
    assert max(worked) <= 4
    assert [one for one in threading.enumerate() if one.name.startswith("mapped")] == []


def test_an_error_of_the_items_comes_when_work_has_ended() -> None:
    ended = list[int]()

    def items() -> Iterator[int]:
        yield 1
        raise ConnectionResetError

    def work(item: int) -> int:
        time.sleep(0.05)
        ended.append(item)
        return item

    with pytest.raises(ConnectionResetError):
        list(mapped(work, items(), threads=1))
    assert ended == [1]


def test_all_items_of_all_iterators_arrive_once() -> None:
    parts = [range(first, 400, 7) for first in range(1, 8)]
    assert sorted(merge(*map(iter, parts))) == list(range(1, 400))
    assert list(merge()) == []


def test_iterators_wait_at_the_same_time() -> None:
    """The first item of each is there only when all others have been asked for theirs, once it is known how large items are."""
    together = threading.Barrier(3)

    def one(first: int) -> Iterator[int]:
        if first:
            yield first
        together.wait(SECONDS)
        yield 2

    assert sorted(merge(one(1), one(0), one(0))) == [1, 2, 2, 2]


def test_large_items_are_fetched_from_fewer_iterators_at_once() -> None:
    """Of one at least, and of each only when the one before has ended: what has begun gathers memory elsewhere."""
    begun = list[int]()

    def one(place: int) -> Iterator[int]:
        for _ in range(5):
            begun.append(place)
            yield 100

    assert sum(merge(one(0), one(1), one(2), most=150)) == 1500
    assert begun == [0] * 5 + [1] * 5 + [2] * 5


def test_an_error_of_an_iterator_reaches_the_caller() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        list(merge(iter([1, 2]), broken()))


def test_a_run_that_is_over_does_not_wait_for_an_item_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "LOOK_SECONDS", 0.05)
    arrives = threading.Event()

    def hung() -> Iterator[int]:
        arrives.wait(SECONDS)
        yield 1

    def over() -> None:
        raise Cancelled

    began = time.monotonic()
    with pytest.raises(Cancelled):
        list(merge(hung(), check_cancelled=over))
    assert time.monotonic() - began < SECONDS / 2
    arrives.set()
