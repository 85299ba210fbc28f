"""How long to wait before something is tried again."""

import random
from collections.abc import Iterator


def backoff(*, first: float = 0.05, most: float = 1.0) -> Iterator[float]:
    """Seconds to wait before each next try: full jitter under a ceiling that doubles from `first` to `most`."""
    ceiling = first
    while True:
        yield random.uniform(ceiling / 4, ceiling)  # noqa: S311 - spreads retries, protects nothing
        ceiling = min(most, ceiling * 2)
