"""Buffers rows between a source and a staging table in one Parquet file on disk. Memory is bounded by one table of rows. The file has no
name, so it vanishes even if the process is killed.
"""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from services.executor.errors import StepError

UNWRITABLE = "The executor could not write its spool file. Run it again in a moment."


@dataclass(frozen=True, kw_only=True, slots=True)
class Spooled:
    """Rows of an export on disk."""

    file: IO[bytes]
    """An unnamed file: closing it deletes it."""
    size: int
    """Bytes."""
    rows: int


def spool(tables: Iterable[pa.Table], schema: pa.Schema, *, folder: Path) -> Spooled:
    """Writes the tables, all with `schema`, each as a row group, into one unnamed Parquet file in `folder`. Blocks. Raises StepError if the
    file cannot be written, and what `tables` raises.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - returned open; the caller closes it
    except OSError as error:
        raise StepError(UNWRITABLE, is_retryable=True) from error
    try:
        rows = 0
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for table in tables:
                writer.write_table(table, row_group_size=max(1, table.num_rows))
                rows += table.num_rows
        return Spooled(file=file, size=file.tell(), rows=rows)
    except OSError as error:
        file.close()
        raise StepError(UNWRITABLE, is_retryable=True) from error
    except BaseException:
        file.close()
        raise
