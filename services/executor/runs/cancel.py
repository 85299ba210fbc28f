"""Ends a run at its tenant's wish, whichever executor leads it.

1. The row decides: RUNNING -> CANCELLED by compare-and-set, with the run's publishing fence closed before it, so that nothing is published
   afterwards (`end_run` in queries.sql). A run that has published just before is CANCELLED with its whole day in place: never with a part
   of it.
2. The slot is settled at once, by whoever cancels. The leader settles it again, which changes nothing. If auth does not answer here, the
   caller hears so and may call again; else the leader settles it when its work has ended, or the reconciler once the lease has run out.
3. If this process leads the run, its task is stopped at once: it cancels its BigQuery job and drops what was staged. Any other leader
   looks every five seconds whether its runs still hold their slots (`leases.LOOK_SECONDS`).
"""

from services.executor.records import RunOutcome, RunStatus
from services.executor.runs.active import ActiveRuns
from services.executor.runs.quota import QuotaClient, Reservation
from services.executor.store import Store, no_such_run
from services.platform.bigquery import errors as bigquery
from services.platform.clock import Clock, utc_day
from services.platform.errors import FailedPrecondition

CANCELLED = "The run was cancelled."


class Canceller:
    """Cancels runs."""

    def __init__(self, *, store: Store, quota: QuotaClient, active: ActiveRuns, clock: Clock) -> None:
        self._store, self._quota, self._active, self._clock = store, quota, active, clock

    async def cancel(self, tenant_id: str, pipeline_logging_id: str) -> None:
        """Ends the run CANCELLED; one that is CANCELLED already stays as it is. Raises NotFound, FailedPrecondition if it has ended in
        another way, Unavailable: then it may be CANCELLED, its slot may not be free yet, and the call may be made again.
        """
        now = self._clock.now()
        try:
            cancelled = RunOutcome(status=RunStatus.CANCELLED, error_message=CANCELLED)
            stands = await self._store.finish_run(tenant_id, pipeline_logging_id, cancelled, at=now)
        except bigquery.NotFound:
            stands = None  # no credentials were ever set, so there is no dataset and no run
        if stands is None:
            raise no_such_run()
        if stands is not RunStatus.CANCELLED:
            told = f"The run has ended {stands}, so there is nothing to cancel."
            raise FailedPrecondition("RUN_HAS_ENDED", told, metadata={"status": stands})
        self._active.stop(pipeline_logging_id, CANCELLED, status=RunStatus.CANCELLED)
        # CANCELLED counts on no day, so any day will do.
        reservation = Reservation(tenant_id=tenant_id, pipeline_logging_id=pipeline_logging_id, usage_date=utc_day(now))
        await self._quota.settle(reservation, RunStatus.CANCELLED)
