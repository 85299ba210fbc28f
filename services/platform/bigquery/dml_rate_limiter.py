"""Limits how fast statements that change a table follow each other.

BigQuery accepts 25 DML statements in 10 seconds a table ("Quotas and limits", DML statements; all processes together) and refuses more.
Waiting before the limit lets the next batch grow, instead of a refusal and a retry. No I/O; `now` is monotonic seconds.
"""

from collections import Counter, deque
from collections.abc import Iterable

WINDOW_SECONDS = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 8.0
"""Seconds to pause after BigQuery has refused a statement all the same (other processes write, too). Doubles with each refusal in a row."""
MAX_TABLES = 10_000


class DmlRateLimiter:
    """One process's budget of DML statements for each table: at most `statements` begin within any 10 seconds."""

    def __init__(self, *, statements: int) -> None:
        self.statements = statements
        self._begun: dict[str, deque[float]] = {}
        self._held: dict[str, tuple[float, float]] = {}
        """Table -> (monotonic time until which it is paused, length of that pause in seconds)."""

    def wait(self, tables: Iterable[str], now: float) -> float:
        """Seconds until a job with one statement on each entry of `tables` may begin (a script may name a table twice); 0: now."""
        return max((self._wait(table, count, now) for table, count in Counter(tables).items()), default=0.0)

    def begin(self, tables: Iterable[str], now: float) -> None:
        """Records that a job with these statements begins."""
        for table in tables:
            self._begun.setdefault(table, deque()).append(now)
        if len(self._begun) > MAX_TABLES:
            self._begun = {table: begun for table, begun in self._begun.items() if begun and begun[-1] > now - WINDOW_SECONDS}

    def used(self, table: str, now: float) -> float:
        """The part of the table's budget that was used in the ten seconds before `now`; above 1 after a script larger than the budget."""
        return len(self._recent(table, now)) / self.statements

    def take_back(self, tables: Iterable[str], began: float) -> None:
        """Records that a job recorded by `begin` at `began` has sent nothing after all."""
        for table in tables:
            if began in (begun := self._begun.get(table, deque())):
                begun.remove(began)

    def refused(self, tables: Iterable[str], now: float) -> None:
        """Records that BigQuery refused a job for its rate. Refusals of jobs that were in flight together count as one."""
        for table in set(tables):
            until, pause = self._held.get(table, (now, 0.0))
            if until <= now:
                longer = min(LONGEST_PAUSE, pause * 2 or FIRST_PAUSE)
                self._held[table] = (now + longer, longer)

    def passed(self, tables: Iterable[str]) -> None:
        """Records that a job on these tables was accepted."""
        for table in tables:
            self._held.pop(table, None)

    def _wait(self, table: str, count: int, now: float) -> float:
        held = max(0.0, self._held.get(table, (now, 0.0))[0] - now)
        begun = self._recent(table, now)
        # A script with more statements than the budget may begin once the table has been idle.
        over = min(len(begun), len(begun) + count - self.statements)
        return max(held, begun[over - 1] + WINDOW_SECONDS - now) if over > 0 else held

    def _recent(self, table: str, now: float) -> deque[float]:
        """When the statements of the last ten seconds began."""
        begun = self._begun.get(table, deque())
        while begun and begun[0] <= now - WINDOW_SECONDS:
            begun.popleft()
        return begun
