"""Lets a worker thread wait for what the event loop does."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, Final

LOOK_SECONDS: Final = 1.0
"""How often `check_cancelled` is called meanwhile."""


def wait_for[Answer](
    work: Coroutine[Any, Any, Answer] | Future[Answer], loop: asyncio.AbstractEventLoop, check_cancelled: Callable[[], None]
) -> Answer:
    """Begins the work, unless it has begun, and returns its answer. Raises the work's error, and what `check_cancelled` raises; the latter
    cancels the work.
    """
    if not isinstance(work, Future):
        try:
            check_cancelled()
        except BaseException:
            work.close()
            raise
    future = work if isinstance(work, Future) else asyncio.run_coroutine_threadsafe(work, loop)
    try:
        while not wait([future], timeout=LOOK_SECONDS).done:
            check_cancelled()
    except BaseException:
        future.cancel()
        raise
    return future.result()
