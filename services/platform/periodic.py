"""Periodic background tasks."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import NoReturn, Self

import structlog

from services.platform.errors import ConvergenceError

type Work = Callable[[], Awaitable[None]]

_log = structlog.get_logger()


async def run_once(what: Work, *, name: str) -> None:
    """Runs it once, in the background, where no caller gets the error: errors are logged under `name`."""
    try:
        await what()
    except ConvergenceError as error:
        _log.warning(f"{name}_delayed", reason=error.reason)
    except Exception:  # noqa: BLE001 - see above
        _log.exception(f"{name}_broke")


class Periodic:
    """While its context is open, each work runs at once and then at its interval, independent of the others. Errors are logged under
    `name`, and the next round runs on schedule: a bug in one round must not end the leases of all runs. Leaving the context cancels what is
    in progress and waits until it has ended.
    """

    def __init__(self, name: str, *works: tuple[Work, float]) -> None:
        """Each work with its interval in seconds, from the start of one round to the start of the next."""
        self._name, self._works = name, works
        self._tasks = list[asyncio.Task[NoReturn]]()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._repeat(what, every)) for what, every in self._works]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def _repeat(self, what: Work, every: float) -> NoReturn:
        while True:
            began = asyncio.get_running_loop().time()
            await run_once(what, name=self._name)
            # From start to start: a slow round must not delay the next one.
            await asyncio.sleep(max(0.0, every - (asyncio.get_running_loop().time() - began)))
