"""A cache with a time to live and one load in flight a key, and a set of bounded size."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterator
from dataclasses import dataclass

from services.platform.background import note_end


class RecentSet[Key: Hashable]:
    """The `size` keys that were added last."""

    def __init__(self, size: int) -> None:
        self._size, self._kept = size, dict[Key, None]()

    def add(self, key: Key) -> None:
        """Adds it, or makes it the last one."""
        self._kept.pop(key, None)
        self._kept[key] = None
        if len(self._kept) > self._size:
            del self._kept[next(iter(self._kept))]

    def discard(self, key: Key) -> None:
        """Removes it, if it is there."""
        self._kept.pop(key, None)

    def clear(self) -> None:
        """Removes all."""
        self._kept.clear()

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def __iter__(self) -> Iterator[Key]:
        return iter(self._kept)


@dataclass(kw_only=True, slots=True)
class _Kept[Value]:
    """A cached value. Both times are monotonic seconds."""

    value: Value
    until: float
    refresh_from: float
    """When a use of it begins the next load."""


class TtlCache[Key: Hashable, Value]:
    """At most `size` values, each for `seconds`; the least recently used is evicted first. Errors are not cached.

    Concurrent calls for one key share one load: all get its value or its error.

    A value in use can be replaced before its end, so that no caller waits for the next one: see `refresh`.
    """

    def __init__(self, *, seconds: float, size: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._size = size
        self._monotonic = monotonic
        self._kept: OrderedDict[Key, _Kept[Value]] = OrderedDict()
        self._loading: dict[Key, asyncio.Task[Value]] = {}

    def get_cached(self, key: Key) -> Value | None:
        """The cached value of `key`, or None."""
        kept = self._kept.get(key)
        if kept is None or kept.until <= self._monotonic():
            return None
        self._kept.move_to_end(key)
        return kept.value

    async def get(self, key: Key, load: Callable[[Key], Awaitable[Value]]) -> Value:
        """The cached value, else the result of `load(key)`. Raises what `load` raises."""
        kept = self.get_cached(key)
        if kept is not None:
            return kept
        task = self._loading.get(key)
        if task is None:
            task = self._begin(key, load)
        # If one caller disconnects, the others still get the value.
        return await asyncio.shield(task)

    def refresh(self, key: Key, load: Callable[[Key], Awaitable[Value]]) -> None:
        """For a caller that has got the cached value: when half of the value's time is over, begins `load` in the background, once for each
        value. So only values in use are loaded again. If the load fails, the value stays until its own end.
        """
        kept = self._kept.get(key)
        if kept is not None and kept.refresh_from <= self._monotonic() and key not in self._loading:
            kept.refresh_from = math.inf
            self._begin(key, load)

    def put(self, key: Key, value: Value, *, since: float | None = None) -> None:
        """Caches a value whose age counts from `since` (monotonic seconds; default: now)."""
        since = self._monotonic() if since is None else since
        self._kept[key] = _Kept(value=value, until=since + self._seconds, refresh_from=since + self._seconds / 2)
        self._kept.move_to_end(key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def drop(self, key: Key) -> None:
        """Drops the value of `key`, and a load of it in flight: its value may be old on arrival."""
        self._kept.pop(key, None)
        self._loading.pop(key, None)

    def invalidate_if(self, unwanted: Callable[[Value], bool]) -> None:
        """Drops the values for which `unwanted` is true, and all loads in flight: their values may be unwanted, too."""
        self._kept = OrderedDict((key, kept) for key, kept in self._kept.items() if not unwanted(kept.value))
        self._loading.clear()

    def _begin(self, key: Key, load: Callable[[Key], Awaitable[Value]]) -> asyncio.Task[Value]:
        task = self._loading[key] = asyncio.create_task(self._load(key, load))
        task.add_done_callback(note_end)
        return task

    async def _load(self, key: Key, load: Callable[[Key], Awaitable[Value]]) -> Value:
        # TTL starts when the load was requested, not when it returned: the value may already be old on arrival.
        asked = self._monotonic()
        try:
            value = await load(key)
            if self._loading.get(key) is asyncio.current_task():
                self.put(key, value, since=asked)
            return value
        finally:
            if self._loading.get(key) is asyncio.current_task():
                del self._loading[key]
