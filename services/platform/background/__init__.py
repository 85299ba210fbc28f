"""Work that is finished even if its caller has gone."""

import asyncio
from typing import Any

import structlog

from services.platform.errors import ConvergenceError

_log = structlog.get_logger()


def note_end(task: asyncio.Task[Any]) -> None:
    """A done callback for a task that callers wait for with `asyncio.shield`. If no caller is left, asyncio would log the task's error as a
    bug. A refusal or an outage is no bug, and a caller that asks again gets the error again.
    """
    if task.cancelled() or (error := task.exception()) is None:
        return
    if isinstance(error, ConvergenceError):
        _log.debug("background_work_refused", reason=error.reason)
    else:
        _log.warning("background_work_failed", error=type(error).__name__)
