"""Moves a table's `lastModifiedTime` whenever its rows change, as BigQuery does.

local-bigquery changes it only with the table's definition. DuckLake's own list of commits says which tables each one changed; it is read
from where it was read last. The time of a commit may be that of its transaction's beginning, so a later commit counts as at least a
millisecond later than the one before it.

Upstream would have to do the same in `catalog.tables.get`.
"""

import re
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local_bigquery.api import tables as api
from local_bigquery.catalog import tables
from local_bigquery.engine import database
from local_bigquery.models import Table

from localcloud.bigquery import catalog
from localcloud.bigquery.version import require_known_version

_CHANGED = re.compile(r"(?:inserted_into|deleted_from|altered)_table:(\d+)|inlined_(?:insert|delete):(\d+)")
_get: Callable[..., Table] = tables.get
_lock = threading.Lock()


@dataclass(kw_only=True, slots=True)
class _Commits:
    """What is known of a project's commits."""

    read: int = -1
    """The newest that was read."""
    modified: dict[int, int] = field(default_factory=dict)
    """When each table changed, in milliseconds since 1970."""


_projects = defaultdict[str, _Commits](_Commits)


def install() -> None:
    """Replaces `tables.get`. RuntimeError if tables.get of the API is no longer answered by it."""
    require_known_version()
    if api.tables is not tables or "get" not in api.get_table.__code__.co_names:
        raise RuntimeError("local-bigquery has changed: api.tables.get_table no longer calls catalog.tables.get")
    tables.get = get


def get(project: str, dataset: str, table: str, *args: Any) -> Table:
    """`tables.get`, with the time at which the rows changed last."""
    resource = _get(project, dataset, table, *args)
    modified = _modified(project, dataset, table)
    return resource.replace(lastModifiedTime=str(modified)) if modified > int(resource.lastModifiedTime or 0) else resource


def _modified(project: str, dataset: str, table: str) -> int:
    """0 if its rows never changed, or it is no table."""
    lake = catalog.metadata_of(project)
    if lake is None:
        return 0
    with _lock:
        commits = _projects[project]
        for commit, time, changes in database.fetch(
            f"SELECT snapshot_id, epoch_ms(snapshot_time), changes_made FROM {lake}.ducklake_snapshot "  # noqa: S608
            f"JOIN {lake}.ducklake_snapshot_changes USING (snapshot_id) WHERE snapshot_id > ? ORDER BY snapshot_id",
            [commits.read],
        ):
            commits.read = commit
            for number in {int(one or other) for one, other in _CHANGED.findall(changes or "")}:
                commits.modified[number] = max(time, commits.modified.get(number, 0) + 1)
        found = database.fetch(
            f"SELECT table_id FROM {lake}.ducklake_table AS tab JOIN {lake}.ducklake_schema AS schema USING (schema_id) "  # noqa: S608
            "WHERE schema_name = ? AND table_name = ? AND tab.end_snapshot IS NULL AND schema.end_snapshot IS NULL",
            [dataset, table],
        )
        return max((commits.modified.get(number, 0) for (number,) in found), default=0)
