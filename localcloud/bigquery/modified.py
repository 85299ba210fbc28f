"""Moves a table's `lastModifiedTime` whenever its rows change, as BigQuery does.

local-bigquery changes it only with the table's definition. DuckLake's own list of commits says which tables each one changed; it is read
from where it was read last. The time of a commit may be that of its transaction's beginning, so a later commit counts as at least a
millisecond later than the one before it.

Our services ask for the same few tables all the time: what was said of one is said again until its rows change, or the schema, or what the
API has stored.

Upstream would have to do the same in `catalog.tables.get`.
"""

import re
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local_bigquery.api import tables as api
from local_bigquery.catalog import tables
from local_bigquery.engine import database
from local_bigquery.models import Table

from localcloud.bigquery import catalog
from localcloud.bigquery.commits import newest
from localcloud.bigquery.resources import stored as count_stored
from localcloud.bigquery.version import require_known_version

KEPT = 5000

_CHANGED = re.compile(r"(?:inserted_into|deleted_from|altered)_table:(\d+)|inlined_(?:insert|delete):(\d+)")
_get: Callable[..., Table] = tables.get
_lock = threading.Lock()


@dataclass(kw_only=True, slots=True)
class _Commits:
    """What is known of a project's commits."""

    read: int = -1
    """The newest that was read."""
    schema: int = -1
    """The version of the schema then."""
    modified: dict[int, int] = field(default_factory=dict)
    """When each table changed, in milliseconds since 1970."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Described:
    """What was said of a table, and what it depends on."""

    stored: int
    schema: int
    number: int
    modified: int
    resource: Table

    def is_of(self, stored: int, schema: int, modified: Mapping[int, int]) -> bool:
        """Whether all is as it was."""
        return (self.stored, self.schema, self.modified) == (stored, schema, modified.get(self.number, 0))


_projects = defaultdict[str, _Commits](_Commits)
_described: OrderedDict[tuple[str, str, str], _Described] = OrderedDict()


def install() -> None:
    """Replaces `tables.get`. RuntimeError if tables.get of the API is no longer answered by it."""
    require_known_version()
    if api.tables is not tables or "get" not in api.get_table.__code__.co_names:
        raise RuntimeError("local-bigquery has changed: api.tables.get_table no longer calls catalog.tables.get")
    tables.get = get


def reset() -> None:
    """Clears everything, for another database in the same process."""
    with _lock:
        _projects.clear()
        _described.clear()


def get(project: str, dataset: str, table: str, *how: Any) -> Table:
    """`tables.get`, with the time at which the rows changed last."""
    lake = catalog.metadata_of(project)
    if lake is None:
        return _get(project, dataset, table, *how)
    # Before anything is looked up: what changes after this is not missed.
    stored = count_stored()
    with _lock:
        commits = _read_on(project, lake)
        schema, known = commits.schema, _described.get((project, dataset, table))
        if known and not any(how) and known.is_of(stored, schema, commits.modified):
            return known.resource
        number = _number(lake, dataset, table)
        modified = commits.modified.get(number, 0)
    resource = _get(project, dataset, table, *how)
    if modified > int(resource.lastModifiedTime or 0):
        resource = resource.replace(lastModifiedTime=str(modified))
    # A view is as its tables are, and nothing tells when a table has expired.
    if not any(how) and resource.type == "TABLE" and resource.expirationTime is None and number:
        with _lock:
            _described[project, dataset, table] = _Described(
                stored=stored, schema=schema, number=number, modified=modified, resource=resource
            )
            if len(_described) > KEPT:
                _described.popitem(last=False)
    return resource


def _read_on(project: str, lake: str) -> _Commits:
    """What is known of the commits, with the newest. The caller has the lock."""
    commits = _projects[project]
    if newest(lake).number == commits.read:
        return commits
    for commit, schema, time, changes in database.fetch(
        f"SELECT snapshot_id, schema_version, epoch_ms(snapshot_time), changes_made FROM {lake}.ducklake_snapshot "  # noqa: S608
        f"JOIN {lake}.ducklake_snapshot_changes USING (snapshot_id) WHERE snapshot_id > ? ORDER BY snapshot_id",
        [commits.read],
    ):
        commits.read, commits.schema = commit, schema
        for number in {int(one or other) for one, other in _CHANGED.findall(changes or "")}:
            commits.modified[number] = max(time, commits.modified.get(number, 0) + 1)
    return commits


def _number(lake: str, dataset: str, table: str) -> int:
    """DuckLake's id of a table; 0 if there is none."""
    found = database.fetch(
        f"SELECT table_id FROM {lake}.ducklake_table AS tab JOIN {lake}.ducklake_schema AS schema USING (schema_id) "  # noqa: S608
        "WHERE schema_name = ? AND table_name = ? AND tab.end_snapshot IS NULL AND schema.end_snapshot IS NULL",
        [dataset, table],
    )
    return found[0][0] if found else 0
