"""What a service does again and again while it lives."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from services.platform.errors import ConvergenceError

_log = structlog.get_logger()


async def run_once(what: Callable[[], Awaitable[None]], *, name: str) -> None:
    """Does it once, in the background, where there is nobody else to tell: whatever goes wrong is logged under `name`."""
    try:
        await what()
    except ConvergenceError as error:
        _log.warning(f"{name}_delayed", reason=error.reason)
    except Exception:  # noqa: BLE001 - see above
        _log.exception(f"{name}_broke")


async def run_periodically(what: Callable[[], Awaitable[None]], *, every: float, name: str) -> NoReturn:
    """Does it now, and then every so many seconds, until it is cancelled. What goes wrong is tried again the next time: a bug in one
    round must not end the leases of all runs.
    """
    while True:
        began = asyncio.get_running_loop().time()
        await run_once(what, name=name)
        # From beginning to beginning: a slow round must not put off the next one.
        await asyncio.sleep(max(0.0, every - (asyncio.get_running_loop().time() - began)))
