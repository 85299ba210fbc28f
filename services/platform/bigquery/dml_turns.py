"""The order in which statements begin if they wait for the DML rate limit of a table (`dml_rate_limiter`).

The suite's own work goes first, and tenants take turns. A fifth of a table's budget is only for the suite, and a single tenant gets at most
three fifths. So if one tenant writes much, no lease and no other tenant's first write has to wait. While tenants wait, the suite leaves
them a fifth.
"""

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest
from typing import Final

from services.platform import metrics
from services.platform.bigquery.dml_rate_limiter import MAX_TABLES, WINDOW_SECONDS, DmlRateLimiter
from services.platform.bigquery.errors import unavailable
from services.platform.errors import ConvergenceError, ResourceExhausted
from services.platform.turns import ALL, on_behalf_of

KEPT: Final = 5
"""A fifth of the budget is kept for the suite's own work, another for tenants other than the one that writes most."""
MAX_WAITING: Final = 20
"""Statements on one table that may wait for one tenant."""
BUSY: Final = 0.5
"""A table is busy if more than this part of its budget is used."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Waiting:
    """A job that waits. `tables`: one entry a statement. `deadline`: monotonic seconds. `is_look`: it sends nothing itself, but the work
    that it waits for may send soon after.
    """

    tenant_id: str
    tables: tuple[str, ...]
    deadline: float
    is_look: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The jobs that may begin, the jobs that cannot begin before their deadline, and the seconds after which to ask again."""

    begin: list[Waiting]
    late: list[Waiting]
    again: float


class DmlLine:
    """Decides who begins. Pure; `now` is monotonic seconds.

    A job that waits for the shared budget keeps later jobs from its tables, so that small jobs do not pass a large one for ever. A job that
    waits because its tenant has used its own share keeps back only that tenant's jobs.
    """

    def __init__(self, *, statements: int) -> None:
        """`statements`: the process's budget for each table, in 10 seconds."""
        kept = max(1, statements // KEPT)
        self._all = DmlRateLimiter(statements=statements)
        self._tenants = DmlRateLimiter(statements=max(1, statements - kept))
        self._each = DmlRateLimiter(statements=max(1, statements - 2 * kept))  # of tables by tenant
        self._suite = DmlRateLimiter(statements=max(1, statements - kept))  # holds only while tenants wait
        self._line = dict[str, deque[Waiting]]()  # in the order of the tenants' turns
        self._busy = dict[str, float]()

    def take_busy(self) -> dict[str, float]:
        """The tables that were busy since the last call, with the part of the budget, 0 to 1, used in their busiest ten seconds."""
        busy, self._busy = self._busy, {}
        return busy

    def join(self, one: Waiting) -> None:
        """One more job waits, behind its tenant's others."""
        self._line.setdefault(one.tenant_id, deque()).append(one)

    def leave(self, one: Waiting) -> bool:
        """The job waits no longer. False if it did not wait."""
        jobs = self._line.get(one.tenant_id, deque())
        if one not in jobs:
            return False
        jobs.remove(one)
        if not jobs:
            del self._line[one.tenant_id]
        return True

    def decide(self, now: float) -> Decision:
        """Takes those that may begin, and those that are late, out of the line. What begins is counted."""
        decision, again = Decision(begin=[], late=[], again=math.inf), math.inf
        kept_back = set[tuple[str | None, str]]()
        wanted = {table for one in self._order() if one.tenant_id != ALL for table in one.tables}
        for one in list(self._order()):
            wait, is_own = self._wait(one, now, is_wanted=not wanted.isdisjoint(one.tables))
            if not kept_back.isdisjoint((whose, table) for whose in (None, one.tenant_id) for table in one.tables):
                if one.deadline <= now:
                    self._take(one, decision.late)
                again = min(again, max(0.0, one.deadline - now))
            elif wait <= 0:
                self._take(one, decision.begin)
                if one.is_look:
                    kept_back |= {(None, table) for table in one.tables}
                else:
                    self._begin(one, now)
            elif now + wait >= one.deadline:
                self._take(one, decision.late)
            else:
                again = min(again, wait)
                kept_back |= {(one.tenant_id if is_own else None, table) for table in one.tables}
        return Decision(begin=decision.begin, late=decision.late, again=again)

    def at_best(self, one: Waiting, now: float) -> float:
        """Seconds until a waiting job begins, if those before it in the line begin as soon as they may, and no more join."""
        shared, own = Counter[str](), Counter[str]()
        for other in self._order():
            if other.tenant_id == one.tenant_id:
                shared.update(other.tables if other is one or not other.is_look else ())
                own.update(_own(other))
            # Others that have used their share are passed over, and the suite leaves tenants one.
            elif ALL not in (one.tenant_id, other.tenant_id) and not self.has_used_its_share(other, now):
                shared.update(other.tables)
            if other is one:
                break
        waits = [_nth(self._all, table, shared[table], now) for table in one.tables]
        if one.tenant_id != ALL:
            waits += [_nth(self._tenants, table, shared[table], now) for table in one.tables]
            waits += [_nth(self._each, table, own[table], now) for table in _own(one)]
        return max(waits, default=0.0)

    def of_its_tenant(self, one: Waiting) -> int:
        """How many other jobs of the same tenant wait for one of the same tables."""
        return sum(not {*other.tables}.isdisjoint(one.tables) for other in self._line.get(one.tenant_id, ()) if other is not one)

    def has_used_its_share(self, one: Waiting, now: float) -> bool:
        """True if the job's tenant has used its own share of one of the tables."""
        return one.tenant_id != ALL and self._each.wait(_own(one), now) > 0

    def take_back(self, one: Waiting, began: float) -> None:
        """A job that was allowed to begin at `began` has sent nothing."""
        self._all.take_back(one.tables, began)
        if one.tenant_id == ALL:
            self._suite.take_back(one.tables, began)
        else:
            self._tenants.take_back(one.tables, began)
            self._each.take_back(_own(one), began)

    def refused(self, tables: Sequence[str], now: float) -> None:
        """As of `DmlRateLimiter`."""
        self._all.refused(tables, now)

    def passed(self, tables: Sequence[str]) -> None:
        """As of `DmlRateLimiter`."""
        self._all.passed(tables)

    def __bool__(self) -> bool:
        return bool(self._line)

    def _order(self) -> Iterator[Waiting]:
        yield from self._line.get(ALL, ())
        for turn in zip_longest(*(jobs for tenant_id, jobs in self._line.items() if tenant_id != ALL)):
            yield from (one for one in turn if one is not None)

    def _wait(self, one: Waiting, now: float, *, is_wanted: bool) -> tuple[float, bool]:
        """The seconds to wait, and whether the job waits because of its own tenant's (or the suite's own) statements."""
        if one.tenant_id == ALL:
            shared, own = self._all.wait(one.tables, now), self._suite.wait(one.tables, now) if is_wanted else 0.0
        else:
            shared = max(self._all.wait(one.tables, now), self._tenants.wait(one.tables, now))
            own = self._each.wait(_own(one), now)
        return max(shared, own), own > 0

    def _begin(self, one: Waiting, now: float) -> None:
        self._all.begin(one.tables, now)
        for table in set(one.tables):
            if (used := self._all.used(table, now)) > BUSY and (table in self._busy or len(self._busy) < MAX_TABLES):
                self._busy[table] = max(min(used, 1.0), self._busy.get(table, 0.0))
        if one.tenant_id == ALL:
            self._suite.begin(one.tables, now)
        else:
            self._tenants.begin(one.tables, now)
            self._each.begin(_own(one), now)

    def _take(self, one: Waiting, into: list[Waiting]) -> None:
        into.append(one)
        self.leave(one)
        if jobs := self._line.pop(one.tenant_id, None):
            self._line[one.tenant_id] = jobs  # to the end of the line


def _own(one: Waiting) -> list[str]:
    return [f"{one.tenant_id} {table}" for table in one.tables]


def _nth(limiter: DmlRateLimiter, table: str, number: int, now: float) -> float:
    """Seconds until the `number`-th further statement on the table may begin."""
    windows, rest = divmod(max(0, number - 1), limiter.statements)
    return windows * WINDOW_SECONDS + limiter.wait([table] * (rest + 1), now)


class DmlTurns:
    """The line of one process. For one event loop."""

    def __init__(self, *, statements: int) -> None:
        """As of `DmlLine`."""
        self._line = DmlLine(statements=statements)
        self._answers = dict[Waiting, asyncio.Future[float | None]]()
        """For each job in the line: the time at which it began; None if it is late."""
        self._timer: asyncio.Handle | None = None

    async def take(self, what: str, tables: Sequence[str], deadline: float, *, is_look: bool = False, is_first: bool = True) -> None:
        """Waits until a job of the current task's tenant may begin; the budget counts it unless `is_look`. May be cancelled at any time.

        Raises as soon as it is clear that the job cannot begin before `deadline` (monotonic seconds): ResourceExhausted if the tenant's own
        statements are the cause and this is the job's first attempt (`is_first`), else Unavailable.
        """
        if not tables:
            return
        since = time.monotonic()
        one = Waiting(tenant_id=on_behalf_of.get(), tables=tuple(tables), deadline=deadline, is_look=is_look)
        if one.tenant_id != ALL and self._line.of_its_tenant(one) >= MAX_WAITING:
            raise self._too_late(what, one, since, is_first=is_first)
        self._line.join(one)
        if self._line.at_best(one, since) > max(0.0, deadline - since):
            self._line.leave(one)
            raise self._too_late(what, one, since, is_first=is_first)
        answer = self._answers[one] = asyncio.get_running_loop().create_future()
        self._decide()
        try:
            began = await answer
        except asyncio.CancelledError:
            if not self._line.leave(one) and not is_look and not answer.cancelled() and (began := answer.result()) is not None:
                self._line.take_back(one, began)
            self._decide()
            raise
        finally:
            del self._answers[one]
            metrics.BIGQUERY_PACED_SECONDS.inc(time.monotonic() - since)
        if began is None:
            raise self._too_late(what, one, time.monotonic(), is_first=is_first)

    def take_busy(self) -> dict[str, float]:
        """As of `DmlLine`."""
        return self._line.take_busy()

    def refused(self, tables: Sequence[str], now: float) -> None:
        """BigQuery refused a job on these tables for its rate, at `now` (monotonic seconds)."""
        self._line.refused(tables, now)

    def passed(self, tables: Sequence[str]) -> None:
        """BigQuery accepted a job on these tables."""
        self._line.passed(tables)
        self._decide()

    def _too_late(self, what: str, one: Waiting, now: float, *, is_first: bool) -> ConvergenceError:
        is_own = one.tenant_id != ALL and (self._line.of_its_tenant(one) > 0 or self._line.has_used_its_share(one, now))
        if not is_own or not is_first:  # an earlier attempt may have had its effect, and a 429 would say that it had none
            return unavailable(what, None)
        self._line.join(one)
        wait = self._line.at_best(one, now)
        self._line.leave(one)
        return ResourceExhausted(
            "RATE_LIMITED",
            "Too many of your changes wait for the same table. Wait as Retry-After says, and send fewer at once.",
            retry_after=timedelta(seconds=max(1, math.ceil(wait))),
        )

    def _decide(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._line:
            return
        now, loop = time.monotonic(), asyncio.get_running_loop()
        decision = self._line.decide(now)
        for one in (*decision.begin, *decision.late):
            answer = self._answers[one]
            if answer.cancelled():  # `take` has not run since
                if one in decision.begin and not one.is_look:
                    self._line.take_back(one, now)
            else:
                answer.set_result(now if one in decision.begin else None)
        if self._line and (decision.begin or decision.late):
            # The jobs that begin run first: a job that only looked can send now.
            self._timer = loop.call_soon(self._decide)
        elif self._line:
            self._timer = loop.call_later(decision.again, self._decide)
