"""A problem found by the checks."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something in a file that BigQuery, or our own rules, refuse."""

    path: Path
    line: int
    """From 1."""
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"
