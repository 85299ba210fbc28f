"""Connections to DuckDB that record the changes made through them, when they commit.

DuckDB does not say which tables a commit changed, or that there was a commit. All statements come from this process, so they are examined
as they are run: see `changes`. A change is recorded after it is visible, and before the caller has its answer.

If two transactions change or delete rows of one table, the one that commits later fails, as in BigQuery. DuckDB itself detects only
conflicts of rows, and none for an UPDATE that leaves a row unchanged. Our services use such UPDATEs as locks.
"""

from typing import Any, Self

import duckdb

from localcloud.bigquery import commits
from localcloud.bigquery.engine.changes import ROWS, Change, change_of, of_a_transaction

type Rows = list[tuple[Any, ...]]


class Watched:
    """Wraps a DuckDB connection or cursor. Other attributes are passed on to it."""

    def __init__(self, raw: duckdb.DuckDBPyConnection) -> None:
        self._raw = raw
        self._changes: list[Change] | None = None
        """The changes since BEGIN; None outside a transaction."""
        self._began = 0
        """The number of commits before BEGIN."""
        self._rows: Rows | None = None
        """The rows that a change has returned."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def cursor(self) -> "Watched":
        """Another connection to the same database."""
        return Watched(self._raw.cursor())

    def close(self) -> None:
        """Rolls back what was not committed."""
        self._raw.close()

    def sql(self, query: str, **how: Any) -> Any:
        """The relation of a query."""
        return self._raw.sql(query, **how)

    def execute(self, sql: str, params: Any = None) -> Self:
        """Runs a statement; then its rows can be fetched."""
        self._rows = None
        change = change_of(sql)
        if change is None:
            word = of_a_transaction(sql)
            if word is None:
                self._raw.execute(sql, params)
            else:
                self._end_or_begin(word, sql)
            return self
        if self._changes is not None:
            if self._run(change, sql, params):
                self._changes.append(change)
            return self
        with commits.in_turn([change]):
            if self._run(change, sql, params):
                commits.note([change])
        return self

    def _run(self, change: Change, sql: str, params: Any) -> bool:
        """Whether it has changed anything."""
        self._raw.execute(sql, params)
        # A statement has committed only when all its rows are read.
        self._rows = self._raw.fetchall()
        return change.kind not in ROWS or self._rows != [(0,)]

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""
        if self._rows is None:
            return self._raw.fetchone()
        return self._rows.pop(0) if self._rows else None

    def fetchall(self) -> Rows:
        """The rows that are left."""
        if self._rows is None:
            return self._raw.fetchall()
        rows, self._rows = self._rows, []
        return rows

    def _end_or_begin(self, word: str, sql: str) -> None:
        if word == "BEGIN":
            if self._changes is not None:
                # DuckDB's message, but not raised by DuckDB, which would end the transaction: a MERGE uses it to find out whether one is
                # open.
                raise duckdb.TransactionException("TransactionContext Error: cannot start a transaction within a transaction")
            # What is committed from now on may be unknown to this transaction.
            began = commits.count()
            self._raw.execute(sql)
            self._changes, self._began = [], began
            return
        changes, self._changes = self._changes, None
        if word == "ROLLBACK" or not changes:
            self._raw.execute(sql)
            return
        with commits.in_turn(changes):
            if table := commits.mutated_since(self._began, changes):
                self._raw.execute("ROLLBACK")
                raise duckdb.TransactionException(
                    f"Failed to commit: transaction conflict, another has changed rows of {table} since BEGIN"
                )
            self._raw.execute(sql)
            commits.note(changes)
