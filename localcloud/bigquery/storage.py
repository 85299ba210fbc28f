"""Makes the emulator's Storage Read API refuse what BigQuery's does: sessions on views.

BigQuery reads tables only, "non-table entities cannot be read with the storage API"; local-bigquery selects from whatever has the name. A
read of a view that works on a laptop would fail on the first real project.
"""

from collections.abc import Callable
from typing import Any

import grpc
from local_bigquery.catalog import tables
from local_bigquery.grpc import read

VIEWS = {"VIEW", "MATERIALIZED_VIEW"}

_query: Callable[..., Any] = read._query  # noqa: SLF001


def install() -> None:
    """Replaces what local-bigquery makes of a session's table. RuntimeError if its sessions no longer ask for that."""
    if "_query" not in read.create_session.__code__.co_names:
        raise RuntimeError("local-bigquery has changed: create_session no longer calls _query")
    read._query = query  # noqa: SLF001


def query(path: str, *args: Any) -> Any:
    """`read._query`, for tables only."""
    kind = tables.load(*read.table(path)).type
    if kind in VIEWS:
        raise read.StorageError(grpc.StatusCode.INVALID_ARGUMENT, "request failed: non-table entities cannot be read with the storage API")
    return _query(path, *args)
