"""Waiting, computing and writing side by side, in threads: gRPC, Arrow and the disk let go of Python's lock.

Memory stays bounded: both functions work ahead of their caller by a few items and no more. A thread has no work of its own but the next
item, so that none runs on once its caller has stopped.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Final

LOOK_SECONDS: Final = 1.0
"""How often `merged` calls `check_cancelled` while nothing arrives."""


def mapped[Item, Made](work: Callable[[Item], Made], items: Iterable[Item], *, threads: int) -> Iterator[Made]:
    """`map(work, items)` in order, with `work` in as many threads, and one item more that waits. The items are made in the caller's thread.
    Raises what they raise, and what `work` does, at the latest with the item after the next; no `work` goes on after that.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="mapped") as pool:
        begun = deque[Future[Made]]()
        try:
            for item in items:
                begun.append(pool.submit(work, item))
                del item  # its memory belongs to `work` alone
                if len(begun) > threads:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()


def merged[Item](
    iterators: Sequence[Iterator[Item]], *, size: Callable[[Item], int], most: int, check_cancelled: Callable[[], None]
) -> Iterator[Item]:
    """The items of all iterators, in the order in which they arrive. Each one's next item is fetched while the caller works; but of fewer
    at once if items as large as the largest so far would take more than `most` bytes together (`size` of an item); of one, always. Raises
    what an iterator raises, and what `check_cancelled` does, which is called once a second while nothing arrives.

    When the caller stops, an iterator may still wait for its next item in its thread; that item is dropped.
    """
    paused, fetched, largest = deque(iterators), dict[Future[Item | None], Iterator[Item]](), 0
    pool = ThreadPoolExecutor(len(iterators) or 1, thread_name_prefix="merged")

    def fetch() -> None:
        room = max(1, most // largest) if largest else 1  # how large items are is known once there is one
        while paused and len(fetched) < room:
            one = paused.popleft()
            fetched[pool.submit(next, one, None)] = one

    try:
        fetch()
        while fetched:
            done, _ = wait(fetched, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
            if not done:
                check_cancelled()
            while done:
                future = done.pop()
                one, item = fetched.pop(future), future.result()
                del future
                if item is not None:
                    largest = max(largest, size(item))
                    paused.appendleft(one)  # as few are begun as can be: a call that is open gathers memory
                fetch()
                if item is not None:
                    yield item
                del item
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
