"""Reads tenants' usage. Questions that arrive while a statement is in flight share the next one; most are answered from memory."""

import asyncio
import contextvars
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

from services.auth.quota import Usage
from services.auth.store import AuthStore, Settlement
from services.auth.usage.memory import LONGEST_UNREAD, UsageMemory
from services.platform.background import note_end
from services.platform.clock import Clock, utc_day
from services.platform.group_commit import GroupCommit

MAX_CONCURRENT = 2
"""Concurrent readings. With several, a question starts its own reading and does not first wait for the end of another one."""
MOST_AHEAD = 500
"""Tenants in a reading that no question waits for."""


class UsageReader:
    """As old as `memory` says, at most."""

    def __init__(self, store: AuthStore, clock: Clock, memory: UsageMemory) -> None:
        self._store, self._clock, self._memory = store, clock, memory
        self._questions: GroupCommit[str, Usage] = GroupCommit(self._answer, max_concurrent=MAX_CONCURRENT)
        self._ahead: asyncio.Task[None] | None = None

    def known(self, tenant_id: str, collected: Sequence[Settlement] = ()) -> Usage | None:
        """The tenant's row for today, from memory, as it will be after these settlements; None if memory does not suffice."""
        known = self._memory.confirmed(tenant_id, self._clock.now(), collected)
        if known is not None and self._memory.is_ageing(tenant_id) and (self._ahead is None or self._ahead.done()):
            # It is for all callers: so it belongs to no tenant's call, and does not queue with questions that wait.
            self._ahead = asyncio.create_task(self._read_ahead(), context=contextvars.Context())
            self._ahead.add_done_callback(note_end)
        return known

    async def read(self, tenant_id: str) -> Usage:
        """The tenant's row for today, created if it is missing; all zero for a tenant without any subscription, which gets none."""
        return await self._questions.submit(tenant_id)

    async def _read_ahead(self) -> None:
        # Rows that no question waits for are read again before they are too old.
        await self._read(self._memory.wanted(MOST_AHEAD), longest=LONGEST_UNREAD / 2)

    async def _answer(self, asked: Sequence[str]) -> Sequence[Usage]:
        usages = dict(await self._read(sorted(set(asked))))
        if missing := sorted(set(asked) - usages.keys()):
            now = self._clock.now()
            await self._store.open_day(missing, now, utc_day(now))
            usages |= await self._read(missing)
            # Without any subscription there is no row, see `open_day`.
            usages |= {one: self._store.unused(one, utc_day(now)) for one in missing if one not in usages}
        return [usages[one] for one in asked]

    async def _read(self, tenant_ids: Collection[str], *, longest: timedelta = LONGEST_UNREAD) -> Mapping[str, Usage]:
        """One statement for all of these that are not known; those without a row for today are missing."""
        now = self._clock.now()
        with self._memory.reading(now) as reading:
            version = await self._store.usage_version()
            usages = dict(self._memory.recall(reading, version, tenant_ids, longest=longest))
            if unknown := sorted(set(tenant_ids) - usages.keys()):
                read = await self._store.read_usage(unknown, [], now, utc_day(now))
                self._memory.keep(reading, version, read.values())
                usages |= read
        return usages

    async def __aenter__(self) -> Self:
        await self._questions.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._questions.__aexit__(kind, error, trace)
        if self._ahead is not None:
            self._ahead.cancel()
            await asyncio.wait({self._ahead})
