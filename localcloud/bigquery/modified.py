"""Updates a table's `lastModifiedTime` whenever its rows change, as BigQuery does. local-bigquery updates it only with the table's
definition.

Our services ask for the same few tables all the time. So the answer is cached until the table's rows, its columns or its stored properties
change.

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
"""The versions of the stored properties, of the table's columns, and of its rows."""

_get: Callable[..., Table] = tables.get
_lock = threading.Lock()
_described: OrderedDict[tuple[str, str, str], tuple[Versions, Table]] = OrderedDict()


def install() -> None:
    """Replaces `tables.get`. RuntimeError if the API's tables.get no longer uses it."""
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
    # Not cached: views, which change with their tables, and tables that expire, because the expiration is no recorded change.
    if not any(how) and resource.type == "TABLE" and resource.expirationTime is None:
        with _lock:
            _described[reference] = versions, resource
            if len(_described) > KEPT:
                _described.popitem(last=False)
    return resource
