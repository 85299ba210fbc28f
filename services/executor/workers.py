"""Bounded thread pool for blocking reads of tenants' exports (minutes). Short statements use the BigQuery wrapper's own pool."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from types import TracebackType
from typing import Self


class Cancelled(Exception):
    """Raised in a worker to end it: its run is over."""


class Workers:
    """A bounded pool of threads. Cancellation is cooperative, through check_cancelled()."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="worker")

    async def run[Answer](self, work: Callable[[Callable[[], None]], Answer]) -> Answer:
        """Runs `work(check_cancelled)` in a thread, within its caller's trace, and returns its result. If the caller is cancelled, the next
        `check_cancelled()` raises Cancelled in the thread, because a thread cannot be stopped from outside. So `work` itself must close
        what it has opened.
        """
        stopped = threading.Event()

        def check_cancelled() -> None:
            if stopped.is_set():
                raise Cancelled

        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, copy_context().run, work, check_cancelled)
        except asyncio.CancelledError:
            stopped.set()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
