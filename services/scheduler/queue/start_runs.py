"""Starts claimed runs and interprets the executor's answer."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog

from services.platform.clock import Clock
from services.platform.errors import ConvergenceError
from services.scheduler.queue.claims import Claim
from services.scheduler.queue.executor_client import ExecutorClient
from services.scheduler.queue.outcomes import SCHEDULE_GONE, End, Refusal, RetryPolicy, UnknownStart, failed, on_start_refused
from services.scheduler.queue.store import Started

_log = structlog.get_logger()


class AttemptStarter:
    """Makes a bounded number of StartRun calls at once."""

    def __init__(self, *, executor: ExecutorClient, clock: Clock, policy: RetryPolicy, max_concurrent: int) -> None:
        self._executor, self._clock, self._policy = executor, clock, policy
        self._room = asyncio.Semaphore(max_concurrent)

    async def start(self, claim: Claim, start_by: Callable[[], datetime]) -> Started | End | Refusal | UnknownStart:
        """Starts the claim's attempt, unless it has begun before. Errors of the executor are returned, not raised. `start_by` is called
        when the attempt's turn comes. It returns the time after which the executor begins nothing.
        """
        if claim.pipeline is None and claim.is_new:
            return failed(claim, SCHEDULE_GONE, self._policy, now=self._clock.now(), chance=0.0, is_final=True, began=False)
        if claim.pipeline is None:
            # Another holder of the claim may have started it before the schedule was deleted.
            return UnknownStart(message=SCHEDULE_GONE, is_final=True)
        try:
            async with self._room:
                await self._executor.start(claim, claim.pipeline, start_by=start_by())
        except ConvergenceError as error:
            _log.info("start_refused", reason=error.reason)
            return on_start_refused(claim, error, self._policy, self._clock.now())
        except Exception as error:  # noqa: BLE001 - a bug here must end as a failed attempt, not as a run that is retried for ever
            _log.exception("start_broke")
            return UnknownStart(message=f"The run could not be started ({type(error).__name__}).")
        return Started(claim=claim, started_at=self._clock.now())
