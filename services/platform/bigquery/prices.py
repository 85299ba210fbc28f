"""What BigQuery charges for queries (BigQuery, "Pricing")."""

from typing import Final

TIB: Final = 2**40
MIN_BYTES: Final = 10 * 2**20
"""The minimum charged for an on-demand query, however little it reads."""


def query_cost(size: int, *, usd_per_tib: float) -> float:
    """US dollars for an on-demand query that reads `size` bytes."""
    return max(size, MIN_BYTES) / TIB * usd_per_tib
