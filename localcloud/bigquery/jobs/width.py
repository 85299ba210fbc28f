"""Decides how many threads DuckDB has, by the jobs that run. Independent of the emulator; `threads` applies the decision."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

LARGE_CPU_SECONDS: Final = 1.0
LARGE_BYTES: Final = 4 * 2**20
LINGER_SECONDS: Final = 30.0
"""How long the worker threads stay after the last large job."""
LOOK_SECONDS: Final = 0.25
"""Seconds between two looks at the running jobs. There are no looks while no job runs and there are no worker threads."""

type Clock = Callable[[], float]


def cpu_clock() -> Clock:
    """A clock of this thread's CPU seconds that other threads can read; elapsed time if the system has no such clock."""
    if hasattr(time, "pthread_getcpuclockid"):
        return partial(time.clock_gettime, time.pthread_getcpuclockid(threading.get_ident()))
    return time.monotonic


@dataclass(kw_only=True)
class Width:
    """The number of DuckDB's threads, by the jobs that run."""

    most: int
    set_threads: Callable[[int], None]
    clock: Clock = time.monotonic
    cpu: Callable[[], Clock] = cpu_clock
    _jobs: dict[int, tuple[Clock, float]] = field(default_factory=dict)
    """By the thread that runs the job: the thread's CPU clock, and its reading when the job began."""
    _threads: int = 1
    _large_at: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _busy: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def working(self, size: int = 0) -> Iterator[None]:
        """Encloses a job, in its thread. `size`: bytes of the file that it loads."""
        own, clock = threading.get_ident(), self.cpu()
        with self._lock:
            self._jobs[own] = clock, clock()
            if size >= LARGE_BYTES:
                self._large_at = self.clock()
                self._set()
        self._busy.set()
        try:
            yield
        finally:
            with self._lock:
                del self._jobs[own]

    def look(self) -> None:
        """Adapts the number of threads to what runs now."""
        with self._lock:
            if any(clock() - began >= LARGE_CPU_SECONDS for clock, began in self._jobs.values()):
                self._large_at = self.clock()
            self._set()
            if not self._jobs and self._threads == 1:
                self._busy.clear()

    def watch(self) -> None:
        """Calls `look` forever."""
        while True:
            self._busy.wait()
            time.sleep(LOOK_SECONDS)
            self.look()

    def _set(self) -> None:
        wanted = self.most if self.clock() - self._large_at < LINGER_SECONDS else 1
        if wanted != self._threads:
            self.set_threads(wanted)
            self._threads = wanted
