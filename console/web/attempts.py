"""Bounds how often a sign-in may fail, so that keys cannot be tried out through the console."""

from collections import OrderedDict
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=5)
MAX_ADDRESSES = 10_000


class Attempts:
    """Failed sign-ins of client addresses in the last five minutes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._failures: OrderedDict[str, list[datetime]] = OrderedDict()

    def wait(self, address: str, now: datetime) -> timedelta | None:
        """How long this address has to wait; None: it may try."""
        recent = [one for one in self._failures.get(address, ()) if now - one < WINDOW]
        return None if len(recent) < self._most else recent[-self._most] + WINDOW - now

    def begin(self, address: str, now: datetime) -> None:
        """Counts one as failed before its outcome is known, so that many at once are not more than the limit."""
        recent = [one for one in self._failures.pop(address, ()) if now - one < WINDOW]
        self._failures[address] = [*recent, now][-self._most :]
        while len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)

    def forgive(self, address: str) -> None:
        """Takes back the last one that was counted: it has not failed."""
        if recent := self._failures.get(address):
            recent.pop()
