"""Ends the runs of executors that died or lost their connections. Safe to run in any process, any number of times."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from services.executor.records import Run, RunOutcome, RunState, RunStatus
from services.executor.runs.quota import NOT_STARTED, QuotaClient, Reservation
from services.executor.store import Store
from services.platform.bigquery import errors as bigquery
from services.platform.clock import Clock, utc_day
from services.platform.errors import ConvergenceError
from services.platform.reporting.events import EventKind, RecordEvent, unrecorded

LOST = "The executor of this run was lost; run it again."
MAX_CONCURRENT_TENANTS = 8
ENDED_AT_ONCE = 8
"""How many statements end runs of a tenant concurrently: they change one table, and BigQuery lets only a few statements wait for a table.
"""
OVERDUE = "The run was still RUNNING after its deadline, and no executor was working on it; run it again."
API = "api"
"""The trigger_type of runs that no other process starts again under the same id, unless a client repeats its call."""
TAKEN_UP_WITHIN = timedelta(minutes=15)
"""The scheduler starts an attempt that never began again, under the same id, in its next process-queue call or the one after (every 5
minutes); then the reservation is renewed with its unit.
"""
OVERDUE_AFTER = timedelta(minutes=2)
"""A living executor ends its run at the deadline itself; this is the time left to it to record the end."""

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconcileAction:
    """What to do about an expired reservation."""

    fail_run: bool
    """End its run as FAILED first; by compare-and-set, because its executor may be ending it at this moment."""
    outcome: str
    """The outcome to settle with, unless the run turns out to have ended otherwise."""
    only_if_expired: bool = False
    """Settle only if the reservation's lease is still expired: the run may have been started again, under the same id."""


def decide(state: RunStatus | None, reservation: Reservation, now: datetime) -> ReconcileAction | None:
    """Decides by the status in the run's row; None: there is no row, so the run never began. Returns None if there is nothing to do yet.

    A run that never began gives back what it took. For a run of an API call this is done at once, because a repeated call reserves again.
    For an attempt of a scheduled run, or an unknown trigger_type, it is done only after the scheduler had time to start the attempt again.
    """
    if state is None:
        is_due = reservation.trigger_type == API or reservation.expired_at is None or now - reservation.expired_at > TAKEN_UP_WITHIN
        return ReconcileAction(fail_run=False, outcome=NOT_STARTED, only_if_expired=True) if is_due else None
    if state is RunStatus.RUNNING:
        return ReconcileAction(fail_run=True, outcome=RunStatus.FAILED)
    return ReconcileAction(fail_run=False, outcome=state)


def reserved_on(reservation: Reservation, state: RunState | None) -> Reservation:
    """The ledger's reset moves reservations to today's row; take the earlier of the reservation's day and the run's start."""
    return replace(reservation, usage_date=min(reservation.usage_date, utc_day(state.started_at))) if state else reservation


class Reconciler:
    """Compares the ledger's expired reservations with the runs' rows, and ends rows that outlived their reservation.

    Every run with a reservation is found when its reservation expires. A RUNNING row without a reservation has one of two causes: an INSERT
    whose reply was lost took effect after the reservation was settled as NOT_STARTED, or a row of the ledger was deleted. Such a row is
    found by its deadline: in the datasets that are read anyway, in those named by `note_unconfirmed_insert`, and when the scheduler asks
    about the run.
    """

    def __init__(self, store: Store, quota: QuotaClient, clock: Clock, record: RecordEvent = unrecorded) -> None:
        """`record` learns of leases that were lost, and of overdue runs."""
        self._store, self._quota, self._clock, self._record = store, quota, clock, record
        self._unconfirmed = dict[str, datetime]()

    @property
    def overdue_since(self) -> datetime:
        """A RUNNING run whose deadline was before this has no living executor."""
        return self._clock.now() - OVERDUE_AFTER

    def note_unconfirmed_insert(self, run: Run) -> None:
        """The INSERT's result is unknown: check this tenant after the run's deadline. In memory only."""
        self._unconfirmed[run.tenant_id] = max(run.deadline_at, self._unconfirmed.get(run.tenant_id, run.deadline_at))

    async def reconcile_expired(self) -> list[Reservation]:
        """Ends and settles the runs of expired reservations; returns these reservations. An error for one tenant does not affect the
        others' runs.

        Raises Unavailable if auth does not answer.
        """
        by_tenant = defaultdict[str, list[Reservation]](list)
        for reservation in await self._quota.list_expired():
            by_tenant[reservation.tenant_id].append(reservation)
        since, room = self.overdue_since, asyncio.Semaphore(MAX_CONCURRENT_TENANTS)
        ripe = [tenant_id for tenant_id, deadline in self._unconfirmed.items() if deadline < since]

        async def tenant(tenant_id: str) -> list[Reservation]:
            async with room:
                return await self._reconcile_tenant(tenant_id, by_tenant.get(tenant_id, []), since)

        settled = await asyncio.gather(*map(tenant, {*by_tenant, *ripe}))
        return list(itertools.chain.from_iterable(settled))

    async def _reconcile_tenant(self, tenant_id: str, reservations: Sequence[Reservation], since: datetime) -> list[Reservation]:
        settled = list[Reservation]()
        try:
            states = await self._store.run_states(tenant_id, [reservation.pipeline_logging_id for reservation in reservations])
            await self._end_all(reservations, states, settled)
            await self.fail_overdue(tenant_id, await self._store.overdue_runs(tenant_id, since))
            if self._unconfirmed.get(tenant_id, since) < since:
                del self._unconfirmed[tenant_id]
        except ConvergenceError as error:
            _log.warning("reconcile_delayed", tenant_id=tenant_id, reason=error.reason)
        return settled

    async def give_back(self, tenant_id: str) -> None:
        """Ends and settles all of the tenant's expired reservations now, also of runs that the scheduler might still have started: the
        tenant is offboarded. Raises Unavailable.
        """
        expired = [one for one in await self._quota.list_expired() if one.tenant_id == tenant_id]
        if not expired:
            return
        try:
            states = await self._store.run_states(tenant_id, [one.pipeline_logging_id for one in expired])
        except bigquery.NotFound:
            states = {}
        await self._end_all(expired, states, [], at_once=True)

    async def fail_overdue(self, tenant_id: str, runs: Iterable[str]) -> dict[str, RunStatus | None]:
        """Ends runs that are past their deadline, by compare-and-set; returns their status then. They hold no reservation. If their units
        were given back because they had no row, the ledger counts them again.
        """
        ended = dict[str, RunStatus | None]()
        for run in runs:
            overdue, now = RunOutcome(status=RunStatus.FAILED, error_message=OVERDUE), self._clock.now()
            ended[run] = status = await self._store.finish_run(tenant_id, run, overdue, at=now)
            if status is not None:
                given_back = Reservation(tenant_id=tenant_id, pipeline_logging_id=run, usage_date=utc_day(now))
                await self._quota.settle(given_back, status)
            self._record(EventKind.RUN_OVERDUE, run)
            _log.info("overdue_run_failed", tenant_id=tenant_id, pipeline_logging_id=run, outcome=ended[run])
        return ended

    async def _end_all(
        self, reservations: Sequence[Reservation], states: Mapping[str, RunState], settled: list[Reservation], *, at_once: bool = False
    ) -> None:
        """Ends a tenant's runs, and appends the reservations that are settled. Raises the first error once each run has been tried.
        `at_once`: also runs that never began and that the scheduler might still start.

        Concurrently: auth collects settlements for some seconds, and a dead executor may leave as many runs as it had places.
        """
        room = asyncio.Semaphore(ENDED_AT_ONCE)

        async def end(reservation: Reservation) -> None:
            state = states.get(reservation.pipeline_logging_id)
            judged = replace(reservation, trigger_type=API) if at_once else reservation
            action = decide(state.status if state else None, judged, self._clock.now())
            if action is not None:
                await self._end(reserved_on(reservation, state), action, room)
                settled.append(reservation)

        for answer in await asyncio.gather(*map(end, reservations), return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer

    async def _end(self, reservation: Reservation, action: ReconcileAction, room: asyncio.Semaphore) -> None:
        outcome = action.outcome
        if action.fail_run:
            lost = RunOutcome(status=RunStatus.FAILED, error_message=LOST)
            async with room:
                status = await self._store.finish_run(reservation.tenant_id, reservation.pipeline_logging_id, lost, at=self._clock.now())
            outcome = status or outcome
        await self._quota.settle(reservation, outcome, only_if_expired=action.only_if_expired)
        self._record(EventKind.SLOT_LOST, reservation.pipeline_logging_id)
        _log.info("run_reconciled", tenant_id=reservation.tenant_id, pipeline_logging_id=reservation.pipeline_logging_id, outcome=outcome)
