"""Requests to BigQuery: who sent them, when, and when they were answered."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.latency.times import AT_ONCE, JOBS, Kind, Times

TENANT = "tenant"
"""Whose identity a request carries, if not the service's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """A request as it is sent."""

    kind: Kind
    name: str
    """A statement's name, which our client puts on its jobs; else what is asked of what, e.g. `insertAll x_meta_step_logs`."""
    statements: int = 1
    """Of a script."""
    ends_run: bool = False
    """Whether it makes a run COMPLETED, by itself or as one statement of its script."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A request that was answered; times in seconds of `time.monotonic`."""

    ask: Ask
    by: str
    """The service; `{service} as tenant` for requests with the tenant's own identity."""
    sent: float
    answered: float
    waited: float = 0.0
    """Seconds of BigQuery's time, before the emulator got it."""
    status: int = 200
    """HTTP's, or 200 and 500 for what is gRPC."""

    @property
    def kind(self) -> Kind:
        """As of its `ask`."""
        return self.ask.kind

    @property
    def is_job(self) -> bool:
        """A statement, a script or a load."""
        return self.ask.kind in JOBS

    @property
    def seconds(self) -> float:
        """From when it was sent to its answer."""
        return self.answered - self.sent


@dataclass(kw_only=True)
class Recorder:
    """Makes requests wait, and notes them. `times` may be changed at any moment. Used by all threads of the proxies."""

    times: Times = AT_ONCE
    sleep: Callable[[float], object] = time.sleep
    """Called with the seconds that a request waits, in a thread of this request's own: requests wait at the same time."""
    _seen: list[Seen] = field(default_factory=list)
    _open: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def passing(self, ask: Ask, by: str) -> Iterator[list[int]]:
        """Around what the emulator does for a request; waits first. The list holds the status of the answer."""
        sent, status, wait = time.monotonic(), [500], self.times.of(ask.kind, ask.statements)
        with self._lock:
            self._open += 1
        try:
            self.sleep(wait)
            yield status
        finally:
            seen = Seen(ask=ask, by=by, sent=sent, answered=time.monotonic(), waited=wait, status=status[0])
            with self._lock:
                self._open -= 1
                self._seen.append(seen)

    def since(self, moment: float) -> list[Seen]:
        """What was sent at `moment` (of `time.monotonic`) or later, and has been answered; in the order of sending."""
        with self._lock:
            return sorted((seen for seen in self._seen if seen.sent >= moment), key=lambda seen: seen.sent)

    @property
    def is_idle(self) -> bool:
        """No request waits for its answer."""
        with self._lock:
            return not self._open
