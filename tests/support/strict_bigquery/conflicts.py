"""Decides which statement may change which table now. No I/O and no waiting; time is the order of calls."""

from collections import Counter
from dataclasses import dataclass, field

from tests.support.strict_bigquery.refused import aborted


@dataclass(kw_only=True)
class Transaction:
    """An open transaction."""

    began: int
    mutated: set[str] = field(default_factory=set)


@dataclass(kw_only=True)
class Conflicts:
    """BigQuery's rules between transactions and plain mutations, by table."""

    at_once: int = 2
    """Plain mutations that run on a table at a time."""
    _now: int = 0
    _held: dict[str, Transaction] = field(default_factory=dict)
    """By table: the open transaction that has mutated it."""
    _running: Counter[str] = field(default_factory=Counter)
    """Plain mutations under way."""
    _changed: dict[str, int] = field(default_factory=dict)
    """By table: the time of its last committed mutation."""

    def begin(self) -> Transaction:
        """A transaction begins. From now on other mutations may cancel it."""
        self._now += 1
        return Transaction(began=self._now)

    def mutate(self, transaction: Transaction, table: str) -> None:
        """The transaction is about to mutate `table`. Raises Refused if it is cancelled; then call `roll_back`."""
        if self._held.get(table, transaction) is not transaction or self._running[table] or self._changed.get(table, 0) > transaction.began:
            raise aborted(table)
        self._held[table] = transaction
        transaction.mutated.add(table)

    def commit(self, transaction: Transaction) -> None:
        """The transaction's changes are visible, and its tables are free."""
        self._now += 1
        self._changed |= dict.fromkeys(transaction.mutated, self._now)
        self.roll_back(transaction)

    def roll_back(self, transaction: Transaction) -> None:
        """The transaction's changes are undone, and its tables are free."""
        for table in transaction.mutated:
            del self._held[table]
        transaction.mutated.clear()

    def has_room(self, table: str) -> bool:
        """Whether a plain mutation of `table` may run now; else it waits."""
        return table not in self._held and self._running[table] < self.at_once

    def start(self, table: str) -> None:
        """A plain mutation runs; `has_room` said that it may."""
        self._running[table] += 1

    def end(self, table: str) -> None:
        """A plain mutation has committed."""
        self._now += 1
        self._running[table] -= 1
        self._changed[table] = self._now
