"""Streams the events of a run, read from the tenant's own tables, so that any executor can serve it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime

from services.executor.records import DqResult, Run, RunStatus, StepLog
from services.executor.store import Store


class Heartbeat:
    """Keep-alive event for proxies; sent after `heartbeat_seconds` without an event."""


type Event = Run | StepLog | DqResult | Heartbeat


@dataclass(kw_only=True, slots=True)
class Watch:
    """One watcher of one run."""

    store: Store
    tenant_id: str
    pipeline_logging_id: str
    poll_seconds: float
    heartbeat_seconds: float
    """Longest time without an event."""
    monotonic: Callable[[], float] = field(default_factory=lambda: asyncio.get_running_loop().time)
    _sent: set[str] = field(default_factory=set)

    async def events(self) -> AsyncIterator[Event]:
        """The run's status, each step log once, in order, and the run again when it has ended. Raises NotFound; Unavailable if BigQuery
        does not answer within a statement's deadline.
        """
        run, last = await self.store.require_run(self.tenant_id, self.pipeline_logging_id), self.monotonic()
        yield run
        while True:
            # The run was read before its step logs: if it has ended, the logs are complete.
            for line in await self._news(with_results=run.status is not RunStatus.RUNNING):
                yield line
                last = self.monotonic()
            if run.status is not RunStatus.RUNNING:
                yield run
                return
            if self.monotonic() - last >= self.heartbeat_seconds:
                yield Heartbeat()
                last = self.monotonic()
            await asyncio.sleep(self.poll_seconds)
            run = await self.store.require_run(self.tenant_id, self.pipeline_logging_id)

    async def _news(self, *, with_results: bool) -> list[StepLog | DqResult]:
        steps = [one for one in await self.store.list_step_logs(self.tenant_id, self.pipeline_logging_id) if self._is_new(one.log_id)]
        results = list[DqResult]()
        # Verdicts are written between the logs of their step, so there are no new ones without a new log, except at the end.
        if steps or with_results:
            found = await self.store.list_dq_results(self.tenant_id, self.pipeline_logging_id)
            results = [one for one in found if self._is_new(one.dq_result_id)]
        return sorted([*steps, *results], key=_moment)

    def _is_new(self, identity: str) -> bool:
        is_new = identity not in self._sent
        self._sent.add(identity)
        return is_new


def _moment(line: StepLog | DqResult) -> datetime:
    return line.timestamp if isinstance(line, StepLog) else line.executed_at
