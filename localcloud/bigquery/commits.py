"""Counts the commits of each project, and records when each table was created and last changed.

These numbers validate everything that the emulator caches: an entry is right as long as its number stays the same. DuckDB itself does not
count commits: see `engine.cursors`.
"""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from localcloud.bigquery.engine import register
from localcloud.bigquery.engine.changes import ROWS, Change, Kind

FILE = "commits.json"
"""A file in the data directory, which exists between a stop and the next start."""

type _Table = tuple[str, str]
"""Dataset and table."""


type _Reference = tuple[str, str, str]


class Commit(NamedTuple):
    """Numbers that only grow."""

    number: int
    schema_version: int
    """The count of the changes of the project's schema: tables, views, their columns and names."""


class _Project:
    def __init__(self) -> None:
        self.number = self.schema_version = 0
        self.columns_from = 0
        """The schema version since which tables that are not in `columns` have their columns."""
        self.columns: dict[_Table, int] = {}
        """For each table, the schema version since which it has its columns."""
        self.rows_from = 0
        self.rows: dict[_Table, int] = {}
        """For each table, the commit since which it has its rows."""
        self.created: dict[_Table, int] = {}
        self.modified: dict[_Table, int] = {}
        """For each table, when its rows last changed, in milliseconds since 1970."""

    def note(self, change: Change, now: int) -> None:
        """`number` and `schema_version` are those of the commit."""
        if change.table is None:
            self._note_dataset(change)
            return
        table = (change.dataset, change.table)
        self.rows[table] = self.number
        if change.kind not in ROWS:
            self.columns[table] = self.schema_version
        if change.kind is Kind.GONE:
            self._forget(table)
        elif change.kind is Kind.KEPT:
            self.created.setdefault(table, now)
        else:
            if change.kind is Kind.MADE:
                self.created[table] = now
            # Two changes of a table never have the same time, however quickly they follow each other.
            self.modified[table] = max(now, self.modified.get(table, 0) + 1)
        if change.renamed is not None:
            self._rename(table, (change.dataset, change.renamed))

    def _note_dataset(self, change: Change) -> None:
        if change.kind is Kind.GONE:
            for table in [table for table in self.created.keys() | self.modified.keys() if table[0] == change.dataset]:
                self._forget(table)
        self.columns_from, self.rows_from = self.schema_version, self.number

    def _rename(self, table: _Table, renamed: _Table) -> None:
        self.columns[renamed], self.rows[renamed] = self.schema_version, self.number
        for times in (self.created, self.modified):
            if (then := times.pop(table, None)) is not None:
                times[renamed] = then

    def _forget(self, table: _Table) -> None:
        self.created.pop(table, None)
        self.modified.pop(table, None)


_lock = threading.Lock()
_projects: dict[str, _Project] = {}
_count = 0
# By project, dataset and table.
_mutated: dict[_Reference, int] = {}
_commits = defaultdict[_Reference, threading.Lock](threading.Lock)
_began = time.time_ns() // 1_000_000


def newest(project: str) -> Commit:
    """The newest commit of a project."""
    with _lock:
        known = _project(project)
        return Commit(known.number, known.schema_version)


def columns_version(project: str, dataset: str, table: str) -> int:
    """The version of the project's schema since which a table, not a view, has the columns that it has."""
    with _lock:
        known = _project(project)
        return max(known.columns_from, known.columns.get((dataset, table), 0))


def rows_version(project: str, dataset: str, table: str) -> int:
    """The number of the project's commit since which a table has its rows."""
    with _lock:
        known = _project(project)
        return max(known.rows_from, known.rows.get((dataset, table), 0))


def created(project: str, dataset: str, table: str) -> int:
    """When a table was created, in milliseconds since 1970. For an older table: when this process began, if the previous process was
    killed.
    """
    with _lock:
        return _project(project).created.get((dataset, table), _began)


def modified(project: str, dataset: str, table: str) -> int:
    """When the rows of a table last changed, in milliseconds since 1970; 0 if they have not changed since it was created."""
    with _lock:
        known = _project(project)
        return known.modified.get((dataset, table), 0 if (dataset, table) in known.created else _began)


def count() -> int:
    """The number of commits of all projects."""
    return _count


@contextmanager
def in_turn(changes: Iterable[Change]) -> Iterator[None]:
    """Commits with changes of the same table, except insertions, run one at a time, and each is recorded before the next begins. So if two
    statements create a table IF NOT EXISTS at the same time, the second finds it.
    """
    named = {_reference(change) for change in changes if change.kind not in (Kind.INSERTED, Kind.UNKNOWN)}
    with _lock:
        locks = [_commits[table] for table in sorted(named)]
    with ExitStack() as stack:
        for lock in locks:
            stack.enter_context(lock)
        yield


def mutated_since(began: int, changes: Iterable[Change]) -> str | None:
    """The name of a table that these changes mutate and that another commit has mutated since `began`; None: there is none."""
    with _lock:
        found = [table for table in _mutated_by(changes) if _mutated.get(table, 0) > began]
    return ".".join(found[0]) if found else None


def _mutated_by(changes: Iterable[Change]) -> set[_Reference]:
    return {_reference(change) for change in changes if change.kind is Kind.MUTATED}


def _reference(change: Change) -> _Reference:
    return change.project, change.dataset, change.table or ""


def note(changes: Iterable[Change]) -> None:
    """Records that these changes were committed together."""
    global _count  # noqa: PLW0603 - one counter for the process
    changes = list(changes)
    for change in changes:
        register.note(change)
    now = time.time_ns() // 1_000_000
    with _lock:
        _count += 1
        _mutated.update(dict.fromkeys(_mutated_by(changes), _count))
        if any(change.kind is Kind.UNKNOWN for change in changes):
            for known in _projects.values():
                known.number, known.schema_version = known.number + 1, known.schema_version + 1
                known.columns_from, known.rows_from = known.schema_version, known.number
        for project in {change.project for change in changes if change.project}:
            known = _project(project)
            own = [change for change in changes if change.project == project]
            if any(change.kind not in ROWS for change in own):
                known.schema_version += 1
            known.number += 1
            for change in own:
                known.note(change, now)


def _project(project: str) -> _Project:
    return _projects.setdefault(project, _Project())


def save(folder: Path) -> None:
    """Writes when tables were created and changed, for the next process. Called after the last change."""
    with _lock:
        times = [
            (project, dataset, table, at, known.modified.get((dataset, table), 0))
            for project, known in _projects.items()
            for (dataset, table), at in known.created.items()
        ]
    (folder / FILE).write_text(json.dumps(times))


def load(folder: Path) -> None:
    """Reads the previous process's file, before the first change. A process that was killed leaves none."""
    path = folder / FILE
    if not path.exists():
        return
    times = json.loads(path.read_text())
    path.unlink()
    with _lock:
        for project, dataset, table, at, changed in times:
            known = _project(project)
            known.created[dataset, table] = at
            if changed:
                known.modified[dataset, table] = changed


def reset() -> None:
    """Clears everything, for another database in the same process."""
    with _lock:
        _projects.clear()
        _mutated.clear()
