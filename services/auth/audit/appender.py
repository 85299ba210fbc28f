"""Appends entries to their chains: those that arrive while a transaction is in flight share the next one."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

import structlog

from services.auth.audit.chain import Head, extend
from services.auth.audit.store import AuditStore
from services.platform.audit.entry import PLATFORM, AuditEntry
from services.platform.backoff import backoff
from services.platform.clock import Clock
from services.platform.errors import Unavailable
from services.platform.group_commit import GroupCommit

_log = structlog.get_logger()
TRIES = 8
"""Rounds in which other processes may move the heads first."""


class AuditAppender:
    """Two statements a batch, for any number of tenants: a reading of the entries that the log already has, then one transaction. If
    another process has moved a head in between, the transaction appends nothing, and the batch is chained to the new heads. An entry whose
    id is already in the log is left out: the answer to an earlier try was lost.
    """

    def __init__(self, store: AuditStore, clock: Clock, *, gather_seconds: float) -> None:
        """`gather_seconds`: minimum time between batches; no caller of the suite waits for one."""
        self._store, self._clock = store, clock
        self._commits: GroupCommit[AuditEntry, None] = GroupCommit(self._flush, batch_window_seconds=gather_seconds)

    async def append(self, entries: Sequence[AuditEntry], *, urgent: bool = False) -> None:
        """Returns when all are stored. `urgent`: without waiting for others. Raises Unavailable if that is not certain; sending them again
        is safe.
        """
        await self._commits.submit_all(entries, urgent=urgent)

    async def _flush(self, batch: Sequence[AuditEntry]) -> Sequence[None]:
        left = {entry.entry_id: entry for entry in batch}
        since = min(entry.time for entry in batch)
        for wait in itertools.islice(backoff(first=0.2, most=2.0), TRIES):
            heads, known = await self._store.heads({PLATFORM, *(entry.chain for entry in left.values())}, list(left), since=since)
            if PLATFORM not in heads:
                raise Unavailable("BIGQUERY_UNAVAILABLE", "audit_heads has no row of the platform. Run services.platform.bootstrap.")
            left = {entry_id: entry for entry_id, entry in left.items() if entry_id not in known}
            if not left or await self._store.append(*self._chained(heads, left.values())):
                return [None] * len(batch)
            _log.info("audit_heads_moved", entries=len(left))
            await asyncio.sleep(wait)
        raise Unavailable("BIGQUERY_UNAVAILABLE", "Other processes append to the audit log all the time. Try again in a moment.")

    def _chained(self, heads: Mapping[str, Head], entries: Iterable[AuditEntry]) -> tuple[list[tuple[Head, Head]], list[dict[str, Any]]]:
        """What `AuditStore.append` takes. The platform's head is always among those that move, see `queries.sql`."""
        by_chain = defaultdict[str, list[dict[str, Any]]](list, {PLATFORM: []})
        for entry in entries:
            by_chain[entry.chain].append(asdict(entry))
        moves, chained = list[tuple[Head, Head]](), list[dict[str, Any]]()
        for chain, ones in by_chain.items():
            seen = heads.get(chain, Head(chain=chain))
            head, more = extend(seen, ones, self._clock.now())
            moves.append((seen, head))
            chained += more
        return moves, chained

    async def __aenter__(self) -> Self:
        await self._commits.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._commits.__aexit__(kind, error, trace)
