"""Answers questions about costs: from memory as long as no day of their range has been published again, otherwise by one query."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from weakref import WeakValueDictionary

from services.executor.costs.answer import Answer, to_answer, weight
from services.executor.costs.cache import AnswerCache, Kept, Seen
from services.executor.costs.compose import compose_question
from services.executor.costs.coverage import Coverage, KnownDay, coverage, versions
from services.executor.costs.invoices import EnteredAmount, InvoiceQuestion, InvoiceSums
from services.executor.costs.looks import DAYS, FOCUS, INVOICES, Look, Looks
from services.executor.costs.question import Question
from services.executor.costs.store import CostStore
from services.executor.keyed_locks import KeyedLocks
from services.executor.records import Period
from services.platform import metrics
from services.platform.clock import Clock, utc_day

AT_ONCE = 4
"""Queries of one tenant at once in this process; further ones wait their turn."""
MOST_TABLES, TABLE_BYTES, TABLE_SECONDS = 1_000, 32 * 2**20, 3600.0
"""Small tables of tenants that are cached, their ledgers mostly; about how much memory they take, and for how long."""
BYTES_A_DAY, BYTES_A_ROW = 300, 1_000
"""About how much memory a day of a ledger, and an invoice, takes."""

type Ledger = tuple[KnownDay, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Situation:
    """The state of a tenant's tables, as far as it is known."""

    focus: Look
    ledger: Ledger
    tables: tuple[datetime | None, ...]


class CostAnswers:
    """All methods raise Unavailable if BigQuery does not answer. A tenant without tables, or without a dataset, has no costs.

    The look at the tables comes before the query. So an answer is at least as new as its coverage says. The next look notices what is
    published in between.
    """

    def __init__(self, store: CostStore, looks: Looks, clock: Clock, cache: AnswerCache[tuple[str, Hashable], Any]) -> None:
        self._store, self._looks, self._clock, self._answers = store, looks, clock, cache
        self._tables: AnswerCache[tuple[str, str], Any] = AnswerCache(
            most_entries=MOST_TABLES, most_bytes=TABLE_BYTES, seconds=TABLE_SECONDS
        )
        self._locks = KeyedLocks()
        self._turns = WeakValueDictionary[str, asyncio.Semaphore]()

    async def costs(self, tenant_id: str, question: Question) -> tuple[Answer, Coverage]:
        """The answer. Raises FailedPrecondition if it would be too large."""

        async def read() -> Answer:
            return to_answer(question, await self._store.costs(tenant_id, compose_question(question)))

        now = await self._situation(tenant_id)
        answer = Answer(rows=(), totals={})
        if now.focus.exists:
            answer = await self._cached(tenant_id, question, _seen(now, question.period), read, lambda found: weight(found.rows))
        return answer, self._coverage(now, question.period)

    async def invoices(self, tenant_id: str, question: InvoiceQuestion) -> tuple[tuple[InvoiceSums, ...], Coverage]:
        """The published sums. Raises as `costs` does."""
        now = await self._situation(tenant_id)
        sums: tuple[InvoiceSums, ...] = ()
        if now.focus.exists:
            seen = _seen(now, question.read)
            read = self._store.invoice_sums
            sums = await self._cached(
                tenant_id, question, seen, lambda: read(tenant_id, question), lambda found: BYTES_A_ROW * (1 + len(found))
            )
        return sums, self._coverage(now, question.months)

    async def entered(self, tenant_id: str) -> tuple[EnteredAmount, ...]:
        """The amounts that the tenant has entered. Reads nothing if none was ever entered."""
        [look] = await self._looks.at(tenant_id, [INVOICES])
        return await self._small_table(tenant_id, INVOICES, look, self._store.invoice_amounts, BYTES_A_ROW) if look.exists else ()

    def forget_entered(self, tenant_id: str) -> None:
        """Drops the cached amounts, after the tenant has entered one."""
        self._looks.forget(tenant_id, INVOICES)

    async def coverage(self, tenant_id: str, period: Period) -> Coverage:
        """How settled the days are."""
        return self._coverage(await self._situation(tenant_id), period)

    def _coverage(self, now: _Situation, period: Period) -> Coverage:
        return coverage(now.ledger, period, utc_day(self._clock.now()))

    async def _situation(self, tenant_id: str) -> _Situation:
        focus, days = await self._looks.at(tenant_id, [FOCUS, DAYS])
        ledger: Ledger = await self._small_table(tenant_id, DAYS, days, self._store.ledger, BYTES_A_DAY) if days.exists else ()
        return _Situation(focus=focus, ledger=ledger, tables=(focus.modified, days.modified))

    async def _small_table[Row](
        self, tenant_id: str, table: str, look: Look, read: Callable[[str], Awaitable[tuple[Row, ...]]], size: int
    ) -> tuple[Row, ...]:
        """All rows of a small table, read once for each change of it."""
        seen, key = Seen(tables=(look.modified,), versions=None), (tenant_id, table)

        def known() -> tuple[Row, ...] | None:
            kept = self._tables.get(key)
            return kept.value if kept is not None and kept.seen == seen else None

        if (found := known()) is not None:
            return found
        async with self._locks.of(*key):
            if (found := known()) is not None:
                return found
            async with self._turn_of(tenant_id):
                rows = await read(tenant_id)
            self._tables.put(key, rows, seen, size=size * (1 + len(rows)))
            return rows

    async def _cached[Value](
        self, tenant_id: str, question: Hashable, seen: Seen, read: Callable[[], Awaitable[Value]], size: Callable[[Value], int]
    ) -> Value:
        key = (tenant_id, question)
        kept: Kept[Value] | None
        if (kept := self._still_right(key, seen)) is not None:
            return kept.value
        # A second call with the same question waits for the first one's answer.
        async with self._locks.of(tenant_id, repr(question)):
            if (kept := self._still_right(key, seen)) is not None:
                return kept.value
            async with self._turn_of(tenant_id):
                value = await read()
            metrics.COST_ANSWERS.labels("read").inc()
            self._answers.put(key, value, seen, size=size(value) + len(repr(question)))
            return value

    def _still_right(self, key: tuple[str, Hashable], seen: Seen) -> Kept[Any] | None:
        kept = self._answers.get(key)
        if kept is None or not kept.seen.is_as(seen):
            return None
        metrics.COST_ANSWERS.labels("cached").inc()
        self._answers.confirm(key, kept, seen)
        return kept

    def _turn_of(self, tenant_id: str) -> asyncio.Semaphore:
        turn = self._turns.get(tenant_id)
        if turn is None:
            turn = self._turns[tenant_id] = asyncio.Semaphore(AT_ONCE)
        return turn


def _seen(now: _Situation, period: Period) -> Seen:
    # If the ledger has no row, only the table itself shows a change.
    return Seen(tables=now.tables, versions=versions(now.ledger, period) or now.focus.modified)
