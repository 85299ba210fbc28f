"""BigQuery's functions of places (`ST_...`), which no statement of ours has. They need `spatial`, an extension of DuckDB's of 80 MB, which
the image `local` leaves out.
"""

import importlib.util
from typing import Final

from local_bigquery.sql import dialect

EXTENSION: Final = "spatial"


def is_here() -> bool:
    """Whether the extension is installed."""
    return importlib.util.find_spec(f"duckdb_extension_{EXTENSION}") is not None


def install() -> None:
    """Before the first connection, which defines all functions."""
    if not is_here():
        dialect.FUNCTIONS[:] = [path for path in dialect.FUNCTIONS if path.stem != "geography"]
