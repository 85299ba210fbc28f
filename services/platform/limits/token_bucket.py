"""A token bucket: it holds as many tokens as a minute brings, and refills evenly. Pure; time is passed in."""

import math
from dataclasses import dataclass
from datetime import timedelta

WINDOW_SECONDS = 60


@dataclass(kw_only=True, slots=True)
class TokenBucket:
    """Starts full. In any period of `s` seconds it gives at most `per_minute * (1 + s / 60)` tokens."""

    per_minute: int
    left: float
    at: float
    """Monotonic seconds at which `left` was right."""

    @classmethod
    def full(cls, per_minute: int, now: float) -> "TokenBucket":
        """A bucket that nothing was taken from."""
        return cls(per_minute=per_minute, left=float(per_minute), at=now)

    def refill(self, per_minute: int, now: float) -> None:
        """Adds what has come since; `per_minute` may have changed."""
        came = max(0.0, now - self.at) * per_minute / WINDOW_SECONDS
        self.per_minute, self.left, self.at = per_minute, min(float(per_minute), self.left + came), max(now, self.at)

    def take(self) -> None:
        """Takes a token, if there is one."""
        self.left = max(0.0, self.left - 1)

    @property
    def wait(self) -> timedelta | None:
        """How long until there is a token, rounded up to a millisecond; None: there is one."""
        return None if self.left >= 1 else timedelta(milliseconds=math.ceil((1 - self.left) * WINDOW_SECONDS * 1000 / self.per_minute))

    @property
    def seconds_to_more(self) -> int:
        """Whole seconds, rounded up, until the bucket is full if nothing is taken; without a token: until there is one."""
        if self.wait is not None:
            return max(1, math.ceil(self.wait.total_seconds()))
        return math.ceil((self.per_minute - self.left) * WINDOW_SECONDS / self.per_minute)
