"""Caches the columns of a table until they change.

local-bigquery plans a query over the table whenever it describes the table, and twice for every call of insertAll. If tables are created
and dropped all the time, like a run's staging tables, this is a tenth of the emulator's work. insertAll also describes the whole table only
to check that it exists; here it checks only that.

Upstream would have to cache columns by table and catalog version.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from local_bigquery.catalog import names, tabledata, tables
from local_bigquery.errors import not_found

from localcloud.bigquery import catalog
from localcloud.bigquery.commits import columns_version
from localcloud.bigquery.engine import register
from localcloud.bigquery.version import require_known_version

KEPT = 5000

type Reference = tuple[str, str, str]

_columns: Callable[..., list[Any]] = tables.columns
_lock = threading.Lock()
# For each table: its columns, and the version at which it had them.
_kept: OrderedDict[Reference, tuple[int, list[Any]]] = OrderedDict()


def install() -> None:
    """Replaces `tables.columns`, also for insertAll and for reading rows. RuntimeError if local-bigquery is not the known version."""
    require_known_version()
    for name in ("columns", "load"):
        if getattr(tabledata, name, None) is not getattr(tables, name) or name not in tabledata.insert_all.__code__.co_names:
            raise RuntimeError(f"local-bigquery has changed: tabledata.insert_all no longer uses tables.{name}")
    # Their callers look them up by name at every call.
    tables.columns = tabledata.columns = columns
    tabledata.load = require


def reset() -> None:
    """Clears everything, for another database in the same process."""
    with _lock:
        _kept.clear()


def columns(project: str, dataset: str, table: str) -> list[Any]:
    """`tables.columns`."""
    reference = (project, dataset, table)
    if dataset == tables.RESULTS or not catalog.is_project(project):
        return _columns(*reference)
    # Before anything is looked up: what changes after this is not missed.
    version = columns_version(*reference)
    with _lock:
        known = _kept.get(reference)
    if known is not None and known[0] == version:
        return list(known[1])
    found = _columns(*reference)
    # Not cached for a view: its columns are those of its tables, which may be in other projects.
    if register.kind_of(*reference) == "TABLE":
        with _lock:
            _kept[reference] = version, list(found)
            _kept.move_to_end(reference)
            if len(_kept) > KEPT:
                _kept.popitem(last=False)
    return found


def require(project: str, dataset: str, table: str) -> None:
    """`tables.load`, for callers that only need its error: NOT_FOUND if there is no such table."""
    if not tables.exists(project, dataset, table):
        raise not_found("Table", names.label(project, dataset, table))
