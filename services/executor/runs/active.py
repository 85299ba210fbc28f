"""The runs of this process, from the moment when their row is written until their reservation is settled."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import TracebackType
from typing import Self

import structlog

from services.executor.records import Run, RunCost, RunOutcome, RunStatus
from services.executor.run_spans import note_end, trace_of
from services.executor.runs.prepared import PreparedRun
from services.executor.runs.progress import RunProgress
from services.executor.runs.quota import QuotaClient, Reservation
from services.executor.store import Store
from services.platform import log
from services.platform.backoff import backoff
from services.platform.clock import Clock
from services.platform.errors import Unavailable
from services.platform.metrics.runs import RUN_SECONDS, RUN_WAIT_SECONDS, RUNS_LIVE
from services.platform.turns import ALL, on_behalf_of
from services.platform.turns.places import FairPlaces

STOPPED = "The executor was stopped while the run worked; run it again."
STOPPED_WAITING = "The executor was stopped before the run began to work; run it again."
CLOSING_SECONDS = 5.0
"""Part of the grace period that is reserved for recording the ends of stopped runs."""

KEPT = 8
"""One in this many working places is kept for tenants below their share: runs may work for hours, and are not interrupted for others."""

_log = structlog.get_logger()


@dataclass(kw_only=True, slots=True)
class _ActiveRun:
    prepared: PreparedRun
    reservation: Reservation
    progress: RunProgress = field(default_factory=RunProgress)
    task: asyncio.Task[None] = field(init=False)
    stop_reason: str | None = None
    is_waiting: bool = True
    """For a working place."""
    closing: bool = False
    """Its outcome is being written: too late to stop it."""


class ActiveRuns:
    """Starts, bounds and stops runs. Leaving the context lets them end within the grace period and fails the rest."""

    def __init__(
        self,
        *,
        execute: Callable[[PreparedRun, RunProgress], Awaitable[RunOutcome]],
        store: Store,
        quota: QuotaClient,
        clock: Clock,
        max_concurrent: int,
        grace_seconds: float,
    ) -> None:
        self._execute, self._store, self._quota, self._clock = execute, store, quota, clock
        self._places = FairPlaces(max_concurrent, kept=max_concurrent // KEPT)
        self._grace_seconds = grace_seconds
        self._active: dict[str, _ActiveRun] = {}
        self._stopping = False
        self._stop_asked_at: float | None = None
        RUNS_LIVE.labels("waiting").set_function(lambda: self._count(waiting=True))
        RUNS_LIVE.labels("working").set_function(lambda: self._count(waiting=False))
        self._costs = set[asyncio.Task[None]]()

    def ids(self) -> list[str]:
        """The runs whose reservations this process must renew."""
        return list(self._active)

    def renewed_at(self) -> list[float | None]:
        """When the lease of each of these runs was last asked for, see `Reservation.renewed_at`."""
        return [active.reservation.renewed_at for active in self._active.values()]

    def note_renewal(self, pipeline_logging_ids: Iterable[str], *, at: float) -> None:
        """The leases of these runs were renewed by a call made at `at` (monotonic seconds)."""
        for active in filter(None, map(self._active.get, pipeline_logging_ids)):
            active.reservation = replace(active.reservation, renewed_at=at)

    def by_tenant(self) -> dict[str, list[str]]:
        """The runs of this process, by tenant."""
        found = defaultdict[str, list[str]](list)
        for identity, active in self._active.items():
            found[active.prepared.run.tenant_id].append(identity)
        return found

    def _count(self, *, waiting: bool) -> int:
        return sum(active.is_waiting is waiting for active in list(self._active.values()))

    def is_active(self, pipeline_logging_id: str) -> bool:
        """True if this process executes the run."""
        return pipeline_logging_id in self._active

    def refuse_if_stopping(self) -> None:
        """Raises Unavailable once the process is stopping."""
        if self._stopping:
            raise Unavailable("SERVICE_UNAVAILABLE", "The executor is being restarted. Try again in a moment.")

    def note_stop(self) -> None:
        """The process is asked to stop. The grace period begins now, even while calls in flight are still ending."""
        self._stop_asked_at = asyncio.get_running_loop().time()

    def start(self, prepared: PreparedRun, reservation: Reservation) -> None:
        """Takes over a run whose row is written; returns at once."""
        active = _ActiveRun(prepared=prepared, reservation=reservation)
        self._active[reservation.pipeline_logging_id] = active
        self._store.lead(prepared.run)
        # eager_start: a task cancelled before its first step would skip _close.
        active.task = asyncio.Task(self._trace(active), loop=asyncio.get_running_loop(), eager_start=True)

    def stop(self, pipeline_logging_id: str, reason: str, *, status: RunStatus = RunStatus.FAILED) -> None:
        """Fails a run with `reason`, worded for the tenant; if its row already has another status, that is `status`. The run's final steps
        see this outcome. Does nothing if the run is not active here, or is already ending.
        """
        active = self._active.get(pipeline_logging_id)
        if active is not None and not active.closing and active.stop_reason is None:
            active.stop_reason = reason
            active.task.cancel(RunOutcome(status=status, error_message=reason))

    async def _trace(self, active: _ActiveRun) -> None:
        with trace_of(active.prepared.run):
            await self._supervise(active)

    async def _supervise(self, active: _ActiveRun) -> None:
        run = active.prepared.run
        on_behalf_of.set(ALL)  # the call that started it is answered
        log.bind(tenant_id=run.tenant_id, pipeline_logging_id=run.pipeline_logging_id)
        try:
            outcome = await self._bounded(active)
            outcome = replace(outcome, cost=active.progress.meter.cost)
            active.closing = True
            await self._close(active, outcome)
        finally:
            del self._active[run.pipeline_logging_id]
            self._store.led_runs.end(run.pipeline_logging_id)

    async def _bounded(self, active: _ActiveRun) -> RunOutcome:
        try:
            async with AsyncExitStack() as place:
                return await self._waits(active, place) or await self._works(active)
        except asyncio.CancelledError:
            if active.stop_reason is None:
                raise
            active.task.uncancel()
            return RunOutcome(status=RunStatus.FAILED, error_message=active.stop_reason, is_final=active.progress.is_final)

    async def _waits(self, active: _ActiveRun, place: AsyncExitStack) -> RunOutcome | None:
        """Takes a working place, which `place` holds. Returns the run's outcome if it gets no place in time."""
        try:
            async with asyncio.timeout(self._seconds_to(active.prepared.latest_work)):
                await place.enter_async_context(self._places.of(active.prepared.run.tenant_id))
        except TimeoutError:
            return active.prepared.waited_too_long()
        active.is_waiting = False
        RUN_WAIT_SECONDS.labels("executor").observe(max(0.0, -self._seconds_to(active.prepared.run.started_at)))
        return None

    async def _works(self, active: _ActiveRun) -> RunOutcome:
        prepared = active.prepared
        try:
            async with asyncio.timeout(min(prepared.template.timeout_seconds, self._seconds_to(prepared.run.deadline_at))):
                return await self._execute(prepared, active.progress)
        except TimeoutError:
            return replace(prepared.overdue(), is_final=active.progress.is_final)

    def _seconds_to(self, moment: datetime) -> float:
        return (moment - self._clock.now()).total_seconds()

    async def _close(self, active: _ActiveRun, outcome: RunOutcome) -> None:
        """Records the run's end, unless its last step has, then settles its reservation. Retries until the process exits; the lease is
        renewed meanwhile.
        """
        run, cost = active.prepared.run, outcome.cost
        try:
            if outcome.ended_at is not None:
                status: RunStatus | None = RunStatus.COMPLETED
                self._store.ends.note_completed(run.tenant_id, run.pipeline_logging_id, outcome, at=outcome.ended_at)
                self._write_cost(run, cost)
            else:
                status = await _until_done(
                    lambda: self._store.finish_run(run.tenant_id, run.pipeline_logging_id, outcome, at=self._clock.now())
                )
            self._store.led_runs.close(run.pipeline_logging_id)
            pipeline, took = active.prepared.template.name.hyphenated, max(0.0, -self._seconds_to(run.started_at))
            RUN_SECONDS.labels(pipeline, run.trigger_type, status or outcome.status).observe(took)
            await _until_done(lambda: self._quota.settle(active.reservation, status or outcome.status, cost))
        except Exception:  # noqa: BLE001 - a retry would not help; the reservation expires, and the reconciler reads the row
            _log.exception("close_broke")
        else:
            note_end(status or outcome.status)
            _log.info("run_ended", status=status, rows=outcome.rows_processed)

    def _write_cost(self, run: Run, cost: RunCost | None) -> None:
        """In the background: the run has ended, and its slot must not wait for it."""
        if cost is not None:
            task = asyncio.create_task(self._add_cost(run, cost))
            self._costs.add(task)
            task.add_done_callback(self._costs.discard)

    async def _add_cost(self, run: Run, cost: RunCost) -> None:
        try:
            await _until_done(lambda: self._store.ends.add_cost(run.tenant_id, run.pipeline_logging_id, cost))
        except Exception:  # noqa: BLE001 - a retry would not help; the row stays without a cost
            _log.exception("cost_not_written")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping, loop = True, asyncio.get_running_loop()
        for pipeline_logging_id, active in list(self._active.items()):
            if active.is_waiting:  # a place that becomes free now would leave the run too little time
                self.stop(pipeline_logging_id, STOPPED_WAITING)
        tasks = [active.task for active in self._active.values()]
        if tasks:
            gone = loop.time() - self._stop_asked_at if self._stop_asked_at is not None else 0.0
            await asyncio.wait(tasks, timeout=max(0.0, self._grace_seconds - gone - CLOSING_SECONDS))
        closing = loop.time() + CLOSING_SECONDS
        for pipeline_logging_id in self.ids():
            self.stop(pipeline_logging_id, STOPPED)
        if left := [active.task for active in self._active.values()]:
            await self._close_stopped(left)
        if self._costs:
            _, unwritten = await asyncio.wait(self._costs, timeout=max(0.0, closing - loop.time()))
            for task in unwritten:
                task.cancel()

    async def _close_stopped(self, left: Collection[asyncio.Task[None]]) -> None:
        await asyncio.wait(left, timeout=CLOSING_SECONDS / 2)
        for active in self._active.values():
            if not active.closing:
                active.task.cancel()  # cuts its final steps short
        _, unfinished = await asyncio.wait(left, timeout=CLOSING_SECONDS / 2)
        for task in unfinished:
            # Its lease expires, and the next reconciliation ends it.
            task.cancel()


async def _until_done[Answer](send: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer of `send`, which is repeated until BigQuery and auth answer."""
    for wait in backoff(first=0.2, most=10.0):
        try:
            return await send()
        except Unavailable as error:
            _log.warning("close_delayed", reason=error.reason)
            await asyncio.sleep(wait)
    raise AssertionError("backoff never ends")
