"""How many threads DuckDB has, by what runs: see `threads`, which sets them. Nothing of the emulator's is needed to decide it."""

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
"""After the last large job."""
LOOK_SECONDS: Final = 0.25
"""Between two looks at the jobs that run; there are none while nothing runs and there are no other threads."""

type Clock = Callable[[], float]


def cpu_clock() -> Clock:
    """The CPU seconds of this thread, for another one to read; where there is no such clock, time that passes."""
    if hasattr(time, "pthread_getcpuclockid"):
        return partial(time.clock_gettime, time.pthread_getcpuclockid(threading.get_ident()))
    return time.monotonic


@dataclass(kw_only=True)
class Width:
    """How many threads DuckDB has, by what runs."""

    most: int
    set_threads: Callable[[int], None]
    clock: Clock = time.monotonic
    cpu: Callable[[], Clock] = cpu_clock
    _jobs: dict[int, tuple[Clock, float]] = field(default_factory=dict)
    """By the thread that runs it: its clock of CPU seconds, and what that said when the job began."""
    _threads: int = 1
    _large_at: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _busy: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def working(self, size: int = 0) -> Iterator[None]:
        """Around a job, in its thread; `size`: bytes of the file that it loads."""
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
        """Looks for ever."""
        while True:
            self._busy.wait()
            time.sleep(LOOK_SECONDS)
            self.look()

    def _set(self) -> None:
        wanted = self.most if self.clock() - self._large_at < LINGER_SECONDS else 1
        if wanted != self._threads:
            self.set_threads(wanted)
            self._threads = wanted
