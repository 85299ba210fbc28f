"""Slows down clients that guess keys: after too many refused keys an address has to wait."""

import math
from collections import OrderedDict
from datetime import timedelta


class FailureThrottle:
    """A token bucket of `per_minute` failures an address, refilled evenly. Keeps the `size` addresses that failed most recently."""

    def __init__(self, *, per_minute: int, size: int = 10_000) -> None:
        self._most = float(per_minute)
        self._rate = per_minute / 60.0
        self._size = size
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str, now: float) -> timedelta | None:
        """How long `address` must wait before it may try again; None if it need not. `now` is monotonic seconds."""
        left = self._left(address, now)
        return None if left >= 1 else timedelta(seconds=math.ceil((1 - left) / self._rate))

    def failed(self, address: str, now: float) -> None:
        """Takes one failure from the address's bucket."""
        self._buckets[address] = (max(0.0, self._left(address, now) - 1), now)
        self._buckets.move_to_end(address)
        while len(self._buckets) > self._size:
            self._buckets.popitem(last=False)

    def _left(self, address: str, now: float) -> float:
        left, at = self._buckets.get(address, (self._most, now))
        return min(self._most, left + (now - at) * self._rate)
