"""Work that is finished even if its caller has gone."""

import asyncio
from typing import Any

import structlog

from services.platform.errors import ConvergenceError

_log = structlog.get_logger()


def note_end(task: asyncio.Task[Any]) -> None:
    """A done callback for a task that callers wait for with `asyncio.shield`. If none is left, asyncio would log its error as a bug; a
    refusal or an outage is none, and a caller that asks again gets it again.
    """
    if task.cancelled() or (error := task.exception()) is None:
        return
    if isinstance(error, ConvergenceError):
        _log.debug("background_work_refused", reason=error.reason)
    else:
        _log.warning("background_work_failed", error=type(error).__name__)
