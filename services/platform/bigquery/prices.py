"""What BigQuery charges for queries (BigQuery, "Pricing", on-demand compute)."""

from typing import Final

TIB: Final = 2**40
MIN_BYTES: Final = 10 * 2**20
"""The minimum charged for each table that a statement names, and for a query, however little it reads. A script is charged as each of its
statements.
"""


def query_cost(size: int, *, references: int = 1, usd_per_tib: float) -> float:
    """US dollars for an on-demand query or script that reads `size` bytes; `references`: tables that it names, each once a statement
    (`Block.references`). A large table beside small ones hides their minimum: the sum is then too low by at most that.
    """
    return max(size, references * MIN_BYTES) / TIB * usd_per_tib
