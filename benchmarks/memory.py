"""The memory of a process and all that it starts, sampled while it works: a child's own peak is known only once it has ended."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

EVERY: Final = 0.05
"""Seconds between two samples."""


class PeakMemory:
    """The most memory in MB that was resident at once."""

    def __init__(self) -> None:
        self.own = 0.0
        """Of the process itself."""
        self.with_children = 0.0
        """With the processes that it has started; what they share counts once for each."""

    def sample(self, pid: int) -> None:
        """Looks once."""
        own = _resident(pid)
        children = sum(_resident(child) for child in _children(pid))
        self.own, self.with_children = max(self.own, own), max(self.with_children, own + children)


@contextmanager
def peak_memory(pid: int) -> Iterator[PeakMemory]:
    """Samples while the block runs."""
    peak, ended = PeakMemory(), threading.Event()

    def look() -> None:
        while not ended.wait(EVERY):
            peak.sample(pid)

    thread = threading.Thread(target=look, daemon=True)
    peak.sample(pid)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()
        peak.sample(pid)


def _resident(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:  # it has ended
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmRSS:")), 0.0)


def _children(pid: int) -> Iterator[int]:
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = listed.read_text(encoding="ascii").split()
        except OSError:
            continue
        for child in map(int, found):
            yield child
            yield from _children(child)
