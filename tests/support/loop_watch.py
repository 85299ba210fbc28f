"""Holds servicers to never computing for long on the event loop."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch


@dataclass(kw_only=True)
class LongestStep:
    """The callback, or the step of a task, that took most of the loop's thread."""

    cpu_seconds: float = 0.0
    """Of the thread itself: time in which the machine did something else does not count."""
    what: str = "nothing"


@contextmanager
def no_step_longer_than(cpu_seconds: float) -> Iterator[LongestStep]:
    """Fails if the event loop's thread computed for longer than this between two awaits of any task while the context was open."""
    longest, run = LongestStep(), asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        try:
            run(handle)
        finally:
            took = time.thread_time() - began
            if took > longest.cpu_seconds:
                longest.cpu_seconds, longest.what = took, repr(handle)

    with patch.object(asyncio.Handle, "_run", timed):
        yield longest
    assert longest.cpu_seconds <= cpu_seconds, f"{longest.cpu_seconds:.3f} s of CPU on the event loop in one step of {longest.what}"
