"""Keeps the slots of live runs, and looks after the slots of dead ones."""

import asyncio
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
    """Three times in a lease: renews all live runs in one call, stops those whose slot is gone, then sweeps up after dead executors.

    Runs while its context is open.
    """

    def __init__(self, *, live: LiveRuns, ledger: Ledger, reconciler: Reconciler, lease_seconds: float) -> None:
        self._live, self._ledger, self._reconciler = live, ledger, reconciler
        self._every = lease_seconds / 3

    async def beat(self) -> None:
        """One turn. Raises nothing: whatever does not answer now is asked again next time."""
        try:
            if asked := self._live.ids():
                held = await self._ledger.renew(asked)
                for lost in set(asked) - held:
                    # It may have ended, and given its slot back, while we asked: then this stops nothing.
                    self._live.stop(lost, SLOT_LOST)
            await self._reconciler.sweep()
        except ConvergenceError as error:
            _log.warning("leases_delayed", reason=error.reason)
        except Exception:  # noqa: BLE001 - a bug here must not end the leases of all runs
            _log.exception("leases_broke")

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._loop())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _loop(self) -> None:
        while True:
            await self.beat()
            await asyncio.sleep(self._every)
