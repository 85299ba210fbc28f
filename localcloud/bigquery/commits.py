"""The newest commit of a project, for what is kept as long as nothing has been committed.

Asked several times a statement, so each thread has the question prepared: a quarter of what it costs as a text.
"""

import threading
from typing import NamedTuple

import duckdb
from local_bigquery.engine import database

PREPARED = 100
"""How many projects' questions a thread keeps."""


class Commit(NamedTuple):
    """Numbers that only grow."""

    number: int
    schema_version: int
    """The count of the changes of the project's schema: tables, views, their columns and names."""


class _Questions:
    """A cursor of one thread's, and the names of what is prepared on it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self._cursor = connection.cursor()
        self._names: dict[str, str] = {}

    @property
    def is_full(self) -> bool:
        return len(self._names) >= PREPARED

    def newest(self, lake: str) -> Commit:
        if lake not in self._names:
            name = f"newest_{len(self._names)}"
            # Not max(): a plan may have that as a constant, from statistics of when it was made.
            question = f"SELECT max_by(snapshot_id, snapshot_id), max_by(schema_version, snapshot_id) FROM {lake}.ducklake_snapshot"  # noqa: S608
            self._cursor.execute(f"PREPARE {name} AS {question}")
            self._names[lake] = name
        return Commit(*self._cursor.execute(f"EXECUTE {self._names[lake]}").fetchall()[0])


_thread = threading.local()


def newest(lake: str) -> Commit:
    """Of a project, by the quoted name of its metadata (see `catalog.metadata_of`): as committed now."""
    connection = database.connection()
    questions: _Questions | None = getattr(_thread, "questions", None)
    if questions is None or questions.connection is not connection or questions.is_full:
        questions = _thread.questions = _Questions(connection)
    return questions.newest(lake)
