"""Keeps the slots of live runs, and looks after the slots of dead ones."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import structlog

from services.executor.ledger import Ledger
from services.executor.live import LiveRuns
from services.executor.reconcile import Reconciler
from services.platform.errors import ConvergenceError

SLOT_LOST = "The run lost its slot, because its executor was out of touch for too long; run it again."

_log = structlog.get_logger()


class LeaseKeeper:
    """Renews all live runs in one call, three times in a lease, and stops those whose slot is gone. Beside that, and never in its way, it
    sweeps up after dead executors: with many orphans that takes longer than a lease.

    Runs while its context is open.
    """

    def __init__(self, *, live: LiveRuns, ledger: Ledger, reconciler: Reconciler, lease_seconds: float) -> None:
        self._live, self._ledger, self._reconciler = live, ledger, reconciler
        self._every = lease_seconds / 3

    async def renew(self) -> None:
        """One renewal. Raises Unavailable if auth does not answer."""
        if asked := self._live.ids():
            held = await self._ledger.renew(asked)
            for lost in set(asked) - held:
                # It may have ended, and given its slot back, while we asked: then this stops nothing.
                self._live.stop(lost, SLOT_LOST)

    async def sweep(self) -> None:
        """One look for slots that nobody renews. Raises Unavailable if auth does not answer."""
        await self._reconciler.sweep()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._again_and_again(what)) for what in (self.renew, self.sweep)]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def _again_and_again(self, what: Callable[[], Awaitable[None]]) -> None:
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await what()
            except ConvergenceError as error:
                _log.warning("leases_delayed", reason=error.reason)
            except Exception:  # noqa: BLE001 - a bug here must not end the leases of all runs
                _log.exception("leases_broke")
            # From beginning to beginning: a slow renewal must not put off the next one.
            await asyncio.sleep(max(0.0, self._every - (asyncio.get_running_loop().time() - began)))
