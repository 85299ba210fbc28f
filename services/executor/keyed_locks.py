"""Locks by key, within this process."""

import asyncio
from weakref import WeakValueDictionary


class KeyedLocks:
    """One lock a key, kept while it is held or awaited."""

    def __init__(self) -> None:
        self._locks = WeakValueDictionary[tuple[str, ...], asyncio.Lock]()

    def of(self, *key: str) -> asyncio.Lock:
        """The lock of `key`, for `async with publish_locks.of(...)`."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock
