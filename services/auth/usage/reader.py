"""Reads tenants' usage. Questions that arrive while a statement is in flight share the next one; where memory is current, none is sent."""

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from services.auth.quota import Usage
from services.auth.store import AuthStore
from services.auth.usage.memory import UsageMemory
from services.platform.background import note_end
from services.platform.clock import Clock, utc_day
from services.platform.group_commit import GroupCommit

MAX_CONCURRENT = 2
"""Readings in flight: a question waits for no longer than a reading lasts, not for the rest of the one before, too."""


class UsageReader:
    """As old as `memory` says, at most."""

    def __init__(self, store: AuthStore, clock: Clock, memory: UsageMemory) -> None:
        self._store, self._clock, self._memory = store, clock, memory
        self._questions: GroupCommit[str, Usage] = GroupCommit(self._read, max_concurrent=MAX_CONCURRENT)
        self._ahead: asyncio.Task[Usage] | None = None

    async def usage(self, tenant_id: str) -> Usage:
        """The tenant's row for today, created if it is missing."""
        known = self._memory.confirmed(tenant_id, self._clock.now())
        if known is None:
            return await self._questions.submit(tenant_id)
        if self._memory.is_ageing() and (self._ahead is None or self._ahead.done()):
            self._ahead = asyncio.create_task(self._questions.submit(tenant_id))
            self._ahead.add_done_callback(note_end)
        return known

    async def _read(self, asked: Sequence[str]) -> Sequence[Usage]:
        """One statement for all tenants of the batch that are not known; more only where today's row is missing."""
        now, asked_at, doubts = self._clock.now(), time.monotonic(), self._memory.doubts
        version = await self._store.usage_version()
        usages = dict(self._memory.recall(version, asked, now))
        if unknown := sorted(set(asked) - usages.keys()):
            read = await self._store.read_usage(unknown, [], now, utc_day(now))
            self._memory.keep(version, now, read.values())
            if missing := [one for one in unknown if one not in read]:
                await self._store.open_day(missing, now, utc_day(now))
                self._memory.doubt()
                read |= await self._store.read_usage(missing, [], now, utc_day(now))
            usages |= read
        self._memory.confirm(version, asked_at=asked_at, doubts=doubts)
        return [usages[one] for one in asked]

    async def __aenter__(self) -> Self:
        await self._questions.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._questions.__aexit__(kind, error, trace)
