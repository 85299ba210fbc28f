"""Keeps the slots of live runs, and looks after the slots of dead ones."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import structlog

from services.executor.ledger import Ledger
from services.executor.live import LiveRuns
from services.executor.reconcile import Reconciler
from services.executor.runs import RunStatus
from services.executor.store import Store
from services.platform.errors import ConvergenceError

ENDED_ELSEWHERE = "The run was ended from outside while it worked."
LOOK_SECONDS = 5.0
"""How long a run goes on working at most after another executor has cancelled it, but for the statement that tells."""
SLOT_LOST = "The run lost its slot, because its executor was out of touch for too long; run it again."

_log = structlog.get_logger()


class LeaseKeeper:
    """Renews all live runs in one call, three times in a lease, and stops those whose slot is gone, or which somebody has ended.
    Beside that, and never in its way, it sweeps up after dead executors: with many orphans that takes longer than a lease.

    Runs while its context is open.
    """

    def __init__(self, *, live: LiveRuns, store: Store, ledger: Ledger, reconciler: Reconciler, lease_seconds: float) -> None:
        self._live, self._store, self._ledger, self._reconciler = live, store, ledger, reconciler
        self._every = lease_seconds / 3

    async def renew(self) -> None:
        """One renewal. Raises Unavailable if auth does not answer."""
        if asked := self._live.ids():
            held = await self._ledger.renew(asked)
            for lost in set(asked) - held:
                # It may have ended, and given its slot back, while we asked: then this stops nothing.
                self._live.stop(lost, SLOT_LOST)

    async def look(self) -> None:
        """Stops the runs whose rows say that they have ended: cancelled through another executor. One statement a tenant that has runs
        here. Raises Unavailable if BigQuery does not answer.
        """
        for tenant_id, runs in self._live.by_tenant().items():
            for run, state in (await self._store.run_states(tenant_id, runs)).items():
                if state.status is not RunStatus.RUNNING:
                    self._live.stop(run, ENDED_ELSEWHERE, status=state.status)

    async def sweep(self) -> None:
        """One look for slots that nobody renews. Raises Unavailable if auth does not answer."""
        await self._reconciler.sweep()

    async def __aenter__(self) -> Self:
        rhythms = ((self.renew, self._every), (self.sweep, self._every), (self.look, LOOK_SECONDS))
        self._tasks = [asyncio.create_task(self._again_and_again(what, every)) for what, every in rhythms]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def _again_and_again(self, what: Callable[[], Awaitable[None]], every: float) -> None:
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await what()
            except ConvergenceError as error:
                _log.warning("leases_delayed", reason=error.reason)
            except Exception:  # noqa: BLE001 - a bug here must not end the leases of all runs
                _log.exception("leases_broke")
            # From beginning to beginning: a slow renewal must not put off the next one.
            await asyncio.sleep(max(0.0, every - (asyncio.get_running_loop().time() - began)))
