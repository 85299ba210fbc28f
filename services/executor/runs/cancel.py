"""Cancels a run, whichever executor executes it.

1. The row decides: RUNNING -> CANCELLED by compare-and-set. The publish fence is closed first, so that nothing is published afterwards
   (`end_run` in queries.sql). If the run's publish was first and ends the run, the run is COMPLETED and the cancel is refused. If other
   steps follow the publish, the run is CANCELLED with its days complete, never with a part of them.
2. The reservation is settled at once. The executing process settles it again at its end, which changes nothing. If auth does not answer,
   the caller gets an error and may repeat the call. Otherwise the executing process settles the reservation when the run stops
   there, or the reconciler does after the lease.
3. The work stops. If this process executes the run, it cancels the run's task at once; the task cancels its BigQuery job and drops its
   staging tables. If another process executes it, that process learns it at once (`NoteRunEnd`) and does the same; if it cannot be
   reached, it finds within five seconds that the reservation is gone (`leases.CHECK_SECONDS`).
"""

import asyncio
from collections.abc import Awaitable, Callable

from services.executor.records import RunOutcome, RunStatus
from services.executor.runs.active import ActiveRuns
from services.executor.runs.quota import QuotaClient, Reservation
from services.executor.store import Store, no_such_run
from services.platform.bigquery import errors as bigquery
from services.platform.clock import Clock, utc_day
from services.platform.errors import FailedPrecondition

CANCELLED = "The run was cancelled."

type AnnounceEnd = Callable[[str, str, RunStatus], Awaitable[None]]
"""Lets the other executors know that this one has ended a tenant's run. Never raises."""


async def unannounced(tenant_id: str, pipeline_logging_id: str, status: RunStatus) -> None:
    """There are no other executors."""


class Canceller:
    """Cancels runs."""

    def __init__(
        self, *, store: Store, quota: QuotaClient, active: ActiveRuns, clock: Clock, announce_end: AnnounceEnd = unannounced
    ) -> None:
        self._store, self._quota, self._active, self._clock = store, quota, active, clock
        self._announce_end = announce_end

    async def cancel(self, tenant_id: str, pipeline_logging_id: str) -> None:
        """Ends the run as CANCELLED; a cancelled run stays as it is. Raises NotFound; FailedPrecondition if it has ended otherwise;
        Unavailable: the run may be CANCELLED then, its slot may not be free yet, and the call may be repeated.
        """
        now = self._clock.now()
        try:
            cancelled = RunOutcome(status=RunStatus.CANCELLED, error_message=CANCELLED)
            status = await self._store.finish_run(tenant_id, pipeline_logging_id, cancelled, at=now)
        except bigquery.NotFound:
            status = None  # no credentials were ever set, so there is no dataset and no run
        if status is None:
            raise no_such_run()
        if status is not RunStatus.CANCELLED:
            message = f"The run has ended {status}, so there is nothing to cancel."
            raise FailedPrecondition("RUN_HAS_ENDED", message, metadata={"status": status})
        is_here = self._active.is_active(pipeline_logging_id)
        self._active.stop(pipeline_logging_id, CANCELLED, status=RunStatus.CANCELLED)
        # CANCELLED counts on no day, so the day does not matter. The executing process adds the cost when it has stopped.
        reservation = Reservation(tenant_id=tenant_id, pipeline_logging_id=pipeline_logging_id, usage_date=utc_day(now))
        announce = unannounced if is_here else self._announce_end
        settle = self._quota.settle(reservation, RunStatus.CANCELLED)
        await asyncio.gather(settle, announce(tenant_id, pipeline_logging_id, status))
