"""Caches the properties that the API has stored of datasets, tables and routines.

local-bigquery reads them from a table about ten times for each statement, mostly to find nothing. It also reads which tables have row
access policies, twice for each translation. All writes go through `metadata.save` and `metadata.delete`, in this process.

Upstream would have to do the same in `catalog.metadata`.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from local_bigquery.catalog import metadata, row_access
from local_bigquery.engine import database

from localcloud.bigquery.version import require_known_version

KEPT = 20_000

type Key = tuple[str, ...]
"""The kind of resource, and the first parts of its name."""
type Tables = frozenset[tuple[str, str, str]]

_list: Callable[..., list[Any]] = metadata.list_
_save: Callable[..., Any] = metadata.save
_delete: Callable[..., None] = metadata.delete
_secured: Callable[[], Tables] = row_access.secured
_lock = threading.Lock()
# DuckDB refuses one of two concurrent writes of a key.
_writing = threading.Lock()
_kept: OrderedDict[Key, list[Any]] = OrderedDict()
_stored = 0
# The tables with policies, and the number of stored changes when they were read.
_policies: tuple[int, Tables] | None = None


def install() -> None:
    """Replaces `metadata.list_`, `save` and `delete`, and `row_access.secured`. RuntimeError if local-bigquery is not the known version."""
    require_known_version()
    # `metadata.load` and all others look them up by name at every call.
    metadata.list_, metadata.save, metadata.delete = list_, save, delete
    row_access.secured = secured


def reset() -> None:
    """Clears everything, for another database in the same process."""
    global _policies  # noqa: PLW0603 - one database for the process
    with _lock:
        _kept.clear()
        _policies = None


def stored() -> int:
    """How often the API has stored a property, in this process."""
    return _stored


def list_(model: type[Any], *keys: str) -> list[Any]:
    """`metadata.list_`: the resources whose names begin with these parts."""
    kind = metadata.KINDS[model]
    key = (kind, *keys)
    with _lock:
        before, known = _stored, _kept.get(key)
    if known is not None:
        return list(known)
    found = _list(model, *keys)
    with _lock:
        # Not cached if something was stored meanwhile, which may be newer. Readers never change a resource in place.
        if _stored == before:
            _kept[key] = found
            if len(_kept) > KEPT:
                _kept.popitem(last=False)
    return list(found)


def secured() -> Tables:
    """`row_access.secured`: the tables with policies."""
    global _policies  # noqa: PLW0603 - see above
    before, known = _stored, _policies
    if known is not None and known[0] == before:
        return known[1]
    found = _secured()
    with _lock:
        if _stored == before:
            _policies = before, found
    return found


def save(resource: Any, *keys: str) -> Any:
    """`metadata.save`."""
    with _writing:
        saved = _save(resource, *keys)
    _changed(metadata.KINDS[type(resource)], keys)
    return saved


def delete(model: type[Any], *keys: str) -> None:
    """`metadata.delete`: the resources whose names begin with these parts."""
    with _writing:
        _delete(model, *keys)
    _changed(metadata.KINDS[model], keys)


def _changed(kind: str, keys: tuple[str, ...]) -> None:
    global _stored  # noqa: PLW0603 - one counter for the process
    start = (kind, *keys)
    with _lock:
        _stored += 1
        # Forgets all lists that contain the resource.
        for length in range(1, len(start) + 1):
            _kept.pop(start[:length], None)
        if len(keys) < len(database.RESOURCES[kind]):
            for key in [key for key in _kept if key[: len(start)] == start]:
                del _kept[key]
