"""Threads for what blocks for long: reading a tenant's export. Short statements have the BigQuery wrapper's own pool."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self


class Cancelled(Exception):
    """What a worker raises to end itself: the run that it works for is over."""


class Workers:
    """A bounded pool of threads."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="worker")

    async def run[Answer](self, work: Callable[[Callable[[], None]], Answer]) -> Answer:
        """What `work(check_cancelled)` answers. If the caller is cancelled, the next `check_cancelled()` raises Cancelled in the thread: a
        thread cannot be stopped from outside. So `work` itself closes what it has opened.
        """
        stopped = threading.Event()

        def check_cancelled() -> None:
            if stopped.is_set():
                raise Cancelled

        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, check_cancelled)
        except asyncio.CancelledError:
            stopped.set()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
