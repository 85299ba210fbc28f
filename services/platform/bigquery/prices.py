"""What BigQuery charges for queries (BigQuery, "Pricing", on-demand compute)."""

from typing import Final

from google.cloud.bigquery.table import RowIterator

from services.platform.bigquery.sql import Block
from services.platform.metrics.bigquery import billed

TIB: Final = 2**40
MIN_BYTES: Final = 10 * 2**20
"""The minimum charged for each table that a statement names, and for a query, however little it reads. A script is charged as each of its
statements.
"""


def bytes_billed(size: int, *, references: int) -> int:
    """What BigQuery bills for a query or script that reads `size` bytes; `references`: as of `query_cost`."""
    return max(size, references * MIN_BYTES)


def query_cost(size: int, *, references: int = 1, usd_per_tib: float) -> float:
    """US dollars for an on-demand query or script that reads `size` bytes; `references`: tables that it names, each once a statement
    (`Block.references`). A large table beside small ones hides their minimum: the sum is then too low by at most that.
    """
    return bytes_billed(size, references=references) / TIB * usd_per_tib


def count_billed(block: Block, rows: RowIterator, *, usd_per_tib: float) -> None:
    """Counts what a statement was billed. It is reckoned: BigQuery says it of jobs alone, and to look each one up would cost a call."""
    size = rows.total_bytes_processed or 0
    billed(
        block.name,
        bytes_billed=bytes_billed(size, references=block.references),
        slot_ms=rows.slot_millis or 0,
        usd=query_cost(size, references=block.references, usd_per_tib=usd_per_tib),
    )
