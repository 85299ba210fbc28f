"""Whether and when a call is sent again: a decision, without I/O."""

from collections.abc import Callable
from dataclasses import dataclass

from convergence.rpc.errors import ConvergenceError, Internal, ResourceExhausted, Unavailable


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """How patient a client is. All times in seconds."""

    attempts: int = 5
    """At most so many times a call is sent; 1: no retries."""
    max_wait: float = 30.0
    """A server that asks for a longer wait, e.g. until midnight, is not waited for: the error is raised at once, with `retry_after`."""
    first_backoff: float = 0.25
    """The first wait is anything up to this, each further one up to twice the one before (full jitter)."""
    max_backoff: float = 8.0


@dataclass(kw_only=True, slots=True)
class Attempts:
    """The attempts of one call. `deadline` and `now` are of the same monotonic clock."""

    retry: Retry
    repeatable: bool
    deadline: float | None
    random: Callable[[], float]
    """From 0 to 1."""
    reopens: bool = False
    """A stream: that it breaks without a reason, e.g. because a proxy restarts, is as if the server were unavailable."""
    sent: int = 0

    def wait_after(self, error: ConvergenceError, now: float) -> float | None:
        """Seconds until the call is to be sent again; None: it is not, and the error is the caller's."""
        self.sent += 1
        if not self.repeatable or self.sent >= self.retry.attempts:
            return None
        jitter = self.random() * min(self.retry.max_backoff, self.retry.first_backoff * 2.0 ** (self.sent - 1))
        if error.retry_after is not None and isinstance(error, Unavailable | ResourceExhausted):
            wait = max(error.retry_after.total_seconds(), 0.0) + jitter
        elif isinstance(error, Unavailable) or (self.reopens and isinstance(error, Internal) and not error.reason):
            wait = jitter
        else:
            return None
        if wait - jitter > self.retry.max_wait or (self.deadline is not None and now + wait >= self.deadline):
            return None
        return wait

    def begin_anew(self) -> None:
        """A stream has brought something: what comes now is a new cut."""
        self.sent = 0
