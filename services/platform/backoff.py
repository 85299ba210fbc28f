"""Exponential backoff."""

import random
from collections.abc import Iterator


def backoff(*, first: float = 0.05, most: float = 1.0) -> Iterator[float]:
    """Seconds to wait before each retry: random between a quarter and all of a ceiling that doubles from `first` to `most`."""
    ceiling = first
    while True:
        yield random.uniform(ceiling / 4, ceiling)  # noqa: S311 - spreads retries, protects nothing
        ceiling = min(most, ceiling * 2)
