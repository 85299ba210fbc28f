"""Tells the other services at once whose keys or standing have changed, so that they forget what they remember."""

import asyncio
from collections.abc import AsyncGenerator


class KeyChangeFeed:
    """What this process has changed, to everybody who listens to it. A push may be lost, and another auth process has listeners of its own:
    what services remember is bounded by `key_cache_seconds` in any case.
    """

    def __init__(self) -> None:
        self._listeners = set[asyncio.Queue[str | None]]()
        self._closed = False

    def publish(self, tenant_id: str) -> None:
        """A key of the tenant, or the tenant itself, is not what it was."""
        for listener in self._listeners:
            listener.put_nowait(tenant_id)

    async def subscribe(self) -> AsyncGenerator[str]:
        """An empty text, which says that listening has begun; then tenant ids. Ends when the process stops."""
        queue = asyncio.Queue[str | None]()
        self._listeners.add(queue)
        try:
            yield ""
            while not self._closed and (tenant_id := await queue.get()) is not None:
                yield tenant_id
        finally:
            self._listeners.discard(queue)

    def close(self) -> None:
        """Ends all listening."""
        self._closed = True
        for listener in self._listeners:
            listener.put_nowait(None)
