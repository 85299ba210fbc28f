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
    column: int = 1
    """From 1; 1 also where it is not known."""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"
