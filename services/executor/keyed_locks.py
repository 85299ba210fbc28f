"""Locks by key, in this process: whoever works on a thing waits for the one before."""

import asyncio
from weakref import WeakValueDictionary


class KeyedLocks:
    """A lock for each key, for as long as somebody holds or awaits it."""

    def __init__(self) -> None:
        self._locks = WeakValueDictionary[tuple[str, ...], asyncio.Lock]()

    def of(self, *key: str) -> asyncio.Lock:
        """The lock of `key`; to be used as `async with publish_locks.of(...)`."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock
