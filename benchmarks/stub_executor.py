"""An executor without pipelines: the work of a run is a parameter."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import override

from services.scheduler.queue.claims import Claim, Pipeline
from services.scheduler.queue.executor_client import ExecutorClient
from services.scheduler.queue.outcomes import AttemptState


class StubExecutor(ExecutorClient):
    """Runs `admit`, which may refuse as the real one does, then `work` in the background; the run is COMPLETED when `work` has ended."""

    def __init__(self, *, admit: Callable[[Claim], Awaitable[None]], work: Callable[[Claim], Awaitable[None]]) -> None:
        self._admit, self._work = admit, work
        self._runs: dict[str, asyncio.Task[None]] = {}
        self.looked = asyncio.Event()
        """Set when the scheduler has reconciled."""

    @property
    def ended(self) -> int:
        """Number of runs that have ended."""
        return sum(task.done() for task in self._runs.values())

    @override
    async def start(self, claim: Claim, pipeline: Pipeline, *, start_by: datetime) -> None:
        await self._admit(claim)
        if claim.pipeline_logging_id not in self._runs:
            self._runs[claim.pipeline_logging_id] = asyncio.create_task(_run(self._work(claim)))

    @override
    async def states(self, claims: Sequence[Claim]) -> list[AttemptState]:
        return [AttemptState(status=self._status(claim), error_message="", is_final=False) for claim in claims]

    async def reconcile(self) -> None:
        """Does nothing: no run is ever lost."""
        self.looked.set()

    def _status(self, claim: Claim) -> str:
        task = self._runs.get(claim.pipeline_logging_id)
        if task is None:
            return ""
        return "COMPLETED" if task.done() else "RUNNING"


async def _run(work: Awaitable[None]) -> None:
    await work
