"""Answers kept for a short time, with one load in flight a key."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable


class TtlCache[Key: Hashable, Value]:
    """At most `size` answers, each for `seconds`; the least recently used goes first. Errors are not kept.

    Sixty calls that ask for the same key at once cause one load, and all sixty hear its answer or its error.
    """

    def __init__(self, *, seconds: float, size: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._size = size
        self._monotonic = monotonic
        self._kept: OrderedDict[Key, tuple[float, Value]] = OrderedDict()
        self._loading: dict[Key, asyncio.Task[Value]] = {}

    def get_cached(self, key: Key) -> Value | None:
        """The answer that is kept for `key`, or None."""
        kept = self._kept.get(key)
        if kept is None or kept[0] <= self._monotonic():
            return None
        self._kept.move_to_end(key)
        return kept[1]

    async def get(self, key: Key, load: Callable[[Key], Awaitable[Value]]) -> Value:
        """The kept answer, else what `load(key)` answers. Raises what `load` raises."""
        kept = self.get_cached(key)
        if kept is not None:
            return kept
        task = self._loading.get(key)
        if task is None:
            task = asyncio.create_task(self._load(key, load))
            self._loading[key] = task
        # A caller that hangs up must not take the answer from the others.
        return await asyncio.shield(task)

    def put(self, key: Key, value: Value, *, since: float | None = None) -> None:
        """Remembers an answer; it is as old as `since` (default: now)."""
        self._kept[key] = ((self._monotonic() if since is None else since) + self._seconds, value)
        self._kept.move_to_end(key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def invalidate_if(self, unwanted: Callable[[Value], bool]) -> None:
        """Drops the answers that are `unwanted`, and all that are being loaded: they may be, too."""
        self._kept = OrderedDict((key, kept) for key, kept in self._kept.items() if not unwanted(kept[1]))
        self._loading.clear()

    async def _load(self, key: Key, load: Callable[[Key], Awaitable[Value]]) -> Value:
        # The age counts from before the load: an answer may already be old when it arrives.
        asked = self._monotonic()
        try:
            value = await load(key)
            if self._loading.get(key) is asyncio.current_task():
                self.put(key, value, since=asked)
            return value
        finally:
            if self._loading.get(key) is asyncio.current_task():
                del self._loading[key]
