"""What a data file may be; checked in the child process, which gets it as JSON."""

from dataclasses import dataclass
from typing import Final

BATCH_ROWS: Final = 20_000
"""Rows decoded at once: some 20 MB of a cost report."""
MAX_FRAME: Final = 32 * 2**20
"""The most bytes of the rows that the executor gets at once (see `plain.weight`); larger batches are split."""
FREE: Final = 16 * 2**20
"""Bytes that any gzip file may become: a small file may well be repetitive."""
FREE_DECODED: Final = 256 * 2**20
"""Bytes that the rows of any file may take in memory: a small one may well be repetitive, and nulls take none of a Parquet file."""
MAX_NAMES: Final = 128 * 2**20
"""The most bytes of their columns' names, once a row: as JSON, a row has all of them."""
MAX_NAME: Final = 300
"""Characters of a column's name: BigQuery has no more."""
MAX_DEPTH: Final = 8
"""Types within each other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """The most that a data file may be, and that decoding all files of a run may take."""

    rows: int
    columns: int
    """Fields of nested ones included."""
    cell_bytes: int
    row_group_bytes: int
    """Of a Parquet file, uncompressed."""
    inflation: int
    """Bytes that one byte of a gzip file may become."""
    growth: int
    """Bytes that the rows of one byte of any file may take in memory."""
    memory_bytes: int
    cpu_seconds: int
