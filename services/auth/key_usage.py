"""When API keys were last used: collected in memory, written for all keys at once, never while a caller waits."""

from datetime import datetime
from types import TracebackType
from typing import Self

import structlog

from services.auth.store import AuthStore
from services.platform.clock import Clock
from services.platform.errors import ConvergenceError
from services.platform.periodic import Periodic

_log = structlog.get_logger()


class KeyUsage:
    """Accurate to `seconds`: services cache a key's holder for some seconds, and the notes are written every `seconds` and when the context
    is left. If they cannot be written, they are kept for the next time.
    """

    def __init__(self, store: AuthStore, clock: Clock, *, seconds: float) -> None:
        self._store, self._clock = store, clock
        self._periodic = Periodic("key_usage", (self.write, seconds))
        self._used: dict[str, datetime] = {}

    def note(self, api_key_id: str) -> None:
        """Records that the key was used now."""
        self._used[api_key_id] = self._clock.now()

    async def write(self) -> None:
        """Writes the notes in one statement."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._store.record_key_usage(used)
        except ConvergenceError as error:
            _log.warning("key_usage_delayed", reason=error.reason, keys=len(used))
            self._used = used | self._used

    async def __aenter__(self) -> Self:
        await self._periodic.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._periodic.__aexit__(kind, error, trace)
        await self.write()
