"""Cancels whatever is active of a tenant that is being offboarded."""

import asyncio

from services.executor.runs.cancel import Canceller
from services.executor.runs.reconcile import Reconciler
from services.executor.store import Store
from services.platform.bigquery import errors as bigquery
from services.platform.errors import FailedPrecondition, NotFound

MAX_AT_ONCE = 8
"""Runs that are cancelled at once; statements that change one table wait for each other."""


class TenantCanceller:
    """Cancels all runs of a tenant. The ledger admits no more runs of it by then."""

    def __init__(self, *, store: Store, canceller: Canceller, reconciler: Reconciler) -> None:
        self._store, self._canceller, self._reconciler = store, canceller, reconciler

    async def cancel_all(self, tenant_id: str) -> int:
        """Cancels every active run of the tenant, whichever executor executes it; returns how many. Reservations of dead executors are
        settled. A run whose row is being written at this moment is missed and stays in the ledger, so the caller asks again until the
        ledger has no run. Raises Unavailable.
        """
        try:
            running = await self._store.running_runs(tenant_id)
        except bigquery.NotFound:
            running = []  # there is no dataset (any more), and so no run
        places = asyncio.Semaphore(MAX_AT_ONCE)

        async def cancel(run: str) -> bool:
            async with places:
                try:
                    await self._canceller.cancel(tenant_id, run)
                except (FailedPrecondition, NotFound):
                    return False  # it has ended meanwhile
                return True

        cancelled = sum(await asyncio.gather(*map(cancel, running)))
        await self._reconciler.give_back(tenant_id)
        return cancelled
