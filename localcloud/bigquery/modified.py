"""Moves a table's `lastModifiedTime` whenever its rows change, as BigQuery does.

local-bigquery changes it only with the table's definition.

Our services ask for the same few tables all the time: what was said of one is said again until its rows change, or its columns, or what the
API has stored.

Upstream would have to do the same in `catalog.tables.get`.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from local_bigquery.api import tables as api
from local_bigquery.catalog import tables
from local_bigquery.models import Table

from localcloud.bigquery import catalog, commits
from localcloud.bigquery.resources import stored
from localcloud.bigquery.version import require_known_version

KEPT = 5000

type Versions = tuple[int, int, int]
"""Of what the API has stored, of the table's columns, and of its rows."""

_get: Callable[..., Table] = tables.get
_lock = threading.Lock()
_described: OrderedDict[tuple[str, str, str], tuple[Versions, Table]] = OrderedDict()


def install() -> None:
    """Replaces `tables.get`. RuntimeError if tables.get of the API is no longer answered by it."""
    require_known_version()
    if api.tables is not tables or "get" not in api.get_table.__code__.co_names:
        raise RuntimeError("local-bigquery has changed: api.tables.get_table no longer calls catalog.tables.get")
    tables.get = get


def reset() -> None:
    """Clears everything, for another database in the same process."""
    with _lock:
        _described.clear()


def get(project: str, dataset: str, table: str, *how: Any) -> Table:
    """`tables.get`, with the time at which the rows changed last."""
    if not catalog.is_project(project):
        return _get(project, dataset, table, *how)
    reference = (project, dataset, table)
    # Before anything is looked up: what changes after this is not missed.
    versions = (stored(), commits.columns_version(*reference), commits.rows_version(*reference))
    modified = commits.modified(*reference)
    with _lock:
        known = _described.get(reference)
    if known is not None and not any(how) and known[0] == versions:
        return known[1]
    resource = _get(project, dataset, table, *how)
    if resource.type == "TABLE" and modified > int(resource.lastModifiedTime or 0):
        resource = resource.replace(lastModifiedTime=str(modified))
    # A view is as its tables are, and nothing tells when a table has expired.
    if not any(how) and resource.type == "TABLE" and resource.expirationTime is None:
        with _lock:
            _described[reference] = versions, resource
            if len(_described) > KEPT:
                _described.popitem(last=False)
    return resource
