"""Renews the reservations of active runs, and reconciles those of dead ones."""

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import structlog

from services.executor.records import RunState, RunStatus
from services.executor.runs.active import ActiveRuns
from services.executor.runs.quota import QuotaClient
from services.executor.runs.reconcile import Reconciler
from services.executor.store import Store
from services.platform.errors import ConvergenceError
from services.platform.periodic import Periodic

ENDED_ELSEWHERE = "The run was ended from outside while it worked."
CHECK_SECONDS = 5.0
"""Seconds between checks for runs that were cancelled through another executor. Also the most seconds between tries to renew leases that
are due.
"""
SLOT_LOST = "The run lost its slot, because its executor was out of touch for too long; run it again."

_log = structlog.get_logger()


def is_due(renewed_at: Sequence[float | None], now: float, lease_seconds: float) -> bool:
    """True if half of some lease has passed, or if it is not known when it began. Times are monotonic seconds."""
    return any(at is None or now - at >= lease_seconds / 2 for at in renewed_at)


class LeaseRenewer:
    """Renews the leases of all active runs in one call, once half of the oldest lease has passed; if that fails, again a few seconds later.
    In between, it checks which runs still hold their reservation, and stops those that do not. Renewing, checking and reconciling run as
    separate tasks, so a slow reconciliation cannot delay a renewal.

    Runs while its context is open.
    """

    def __init__(
        self,
        *,
        active: ActiveRuns,
        store: Store,
        quota: QuotaClient,
        reconciler: Reconciler,
        lease_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._active, self._store, self._quota, self._reconciler = active, store, quota, reconciler
        self._lease_seconds, self._monotonic = lease_seconds, monotonic
        tries = (self.renew_due, min(CHECK_SECONDS, lease_seconds / 12))
        self._periodic = Periodic("leases", tries, (self.reconcile, lease_seconds / 3), (self.check_held, CHECK_SECONDS))

    async def renew_due(self) -> None:
        """Renews once, if it is time. Raises Unavailable if auth does not answer."""
        if is_due(self._active.renewed_at(), self._monotonic(), self._lease_seconds):
            await self.renew()

    async def renew(self) -> None:
        """Renews once. Raises Unavailable if auth does not answer."""
        if asked := self._active.ids():
            asked_at = self._monotonic()
            held = await self._quota.renew(asked)
            self._active.note_renewal(held, at=asked_at)
            await self._stop(set(asked) - held)

    async def check_held(self) -> None:
        """Checks in one statement, for all tenants, that all runs here still hold their reservations. If another process ends a run, e.g.
        by a cancel, it settles the run's reservation. Raises Unavailable if auth does not answer.
        """
        if asked := self._active.ids():
            await self._stop(set(asked) - await self._quota.held(asked))

    async def _stop(self, lost: set[str]) -> None:
        """Stops runs without a reservation. If a run's row shows that it has ended, it stops with the outcome in its row."""
        for tenant_id, runs in self._active.by_tenant().items():
            if gone := lost.intersection(runs):
                states = await self._states(tenant_id, sorted(gone))
                for run in gone:
                    # It may have ended and been settled meanwhile: then this stops nothing.
                    if (state := states.get(run)) is None or state.status is RunStatus.RUNNING:
                        self._active.stop(run, SLOT_LOST)
                    else:
                        self._active.stop(run, ENDED_ELSEWHERE, status=state.status)

    async def _states(self, tenant_id: str, runs: Sequence[str]) -> Mapping[str, RunState]:
        """The runs' states. If they cannot be read, runs without a reservation are stopped all the same."""
        try:
            return await self._store.run_states(tenant_id, runs)
        except ConvergenceError as error:
            _log.warning("rows_unreadable", tenant_id=tenant_id, reason=error.reason)
            return {}

    async def reconcile(self) -> None:
        """Reconciles expired reservations once. Raises Unavailable if auth does not answer."""
        await self._reconciler.reconcile_expired()

    async def __aenter__(self) -> Self:
        await self._periodic.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._periodic.__aexit__(kind, error, trace)
