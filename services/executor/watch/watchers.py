"""The caps on open watches of this process."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from services.platform.errors import ResourceExhausted

RETRY: Final = timedelta(seconds=10)
"""Retry-After of a refused watch: each ends with its run, at any moment."""


class Watchers:
    """Counts open watches, by tenant. One costs no statement, but a stream and a task, for as long as its run lasts."""

    def __init__(self, most: int) -> None:
        """`most`: of all tenants together."""
        self._most, self._open = most, Counter[str]()

    def open(self, tenant_id: str) -> int:
        """How many watches of this tenant are open."""
        return self._open[tenant_id]

    @contextmanager
    def one_more(self, tenant_id: str, most: int) -> Iterator[None]:
        """A watch that is open while the context is. `most`: of this tenant, by its plan. Raises ResourceExhausted."""
        if self._open[tenant_id] >= most:
            raise _refusal(f"This tenant watches {self._open[tenant_id]} runs at once, as many as its plan's max_watchers allows.", most)
        if self._open.total() >= self._most:
            raise _refusal("This executor has as many open watches as it may (CONVERGENCE_MAX_WATCHERS).", self._most)
        self._open[tenant_id] += 1
        try:
            yield
        finally:
            self._open[tenant_id] -= 1
            self._open += Counter()  # drops zeros


def _refusal(why: str, most: int) -> ResourceExhausted:
    then = "Close one, or get the run without watching it." if most else "Get the run without watching it."
    return ResourceExhausted("WATCH_LIMIT_REACHED", f"{why} {then}", retry_after=RETRY if most else None)
