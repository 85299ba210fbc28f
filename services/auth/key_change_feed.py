"""Pushes changes of keys and tenants to the other services, so that they invalidate cached answers."""

import asyncio
from collections.abc import AsyncGenerator, Callable

from services.auth.key_memory import KeyMemory


class KeyChangeFeed:
    """This process's changes, forgotten by `memory` and pushed to all subscribers. A push may be lost, and another auth process has
    subscribers of its own; so caches are also bounded by `key_cache_seconds`.
    """

    def __init__(self, memory: KeyMemory, *, also: Callable[[str], None] | None = None) -> None:
        """`also`: called with the tenant of each change, before it is pushed."""
        self._memory, self._also = memory, also
        self._listeners = set[asyncio.Queue[str | None]]()
        self._closed = False

    def publish(self, tenant_id: str) -> None:
        """Announces that the tenant, or one of its keys, has changed."""
        self._memory.forget()
        if self._also is not None:
            self._also(tenant_id)
        for listener in self._listeners:
            listener.put_nowait(tenant_id)

    async def subscribe(self) -> AsyncGenerator[str]:
        """Yields an empty string once subscribed, then tenant ids. Ends when the process stops."""
        queue = asyncio.Queue[str | None]()
        self._listeners.add(queue)
        try:
            yield ""
            while not self._closed and (tenant_id := await queue.get()) is not None:
                yield tenant_id
        finally:
            self._listeners.discard(queue)

    def close(self) -> None:
        """Ends all subscriptions."""
        self._closed = True
        for listener in self._listeners:
            listener.put_nowait(None)
