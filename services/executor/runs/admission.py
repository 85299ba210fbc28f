"""Admits a prepared run: looks up what it needs, reserves quota for it, then writes its row. `start` says which of these are concurrent,
and why not all.

If the row cannot be written, the reservation is given back at once. If it is unknown whether the row was written, the reservation
expires, and the reconciler decides by the row.
"""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from services.executor.records import Period, Run, RunStatus
from services.executor.runs.prepared import PreparedRun, RunRequest
from services.executor.runs.quota import NOT_STARTED, QuotaClient, Reservation
from services.executor.runs.reconcile import Reconciler
from services.executor.sources.credentials import SealedCredentials
from services.executor.store import Store
from services.executor.templates.template import Overlap
from services.platform.bigquery import errors as bigquery
from services.platform.cache import RecentSet
from services.platform.clock import Clock
from services.platform.errors import AlreadyExists, ConvergenceError, FailedPrecondition, Unavailable

LACKING = 10_000
"""The most tenants without credentials that are remembered."""

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Admitted:
    """An admitted run that the caller must execute: its row is RUNNING and claimed, its reservation is held."""

    prepared: PreparedRun
    reservation: Reservation


class Admission:
    """Reserves quota under the run's id, then writes the run's row."""

    def __init__(
        self,
        *,
        store: Store,
        quota: QuotaClient,
        credentials: SealedCredentials,
        reconciler: Reconciler,
        clock: Clock,
        lease_seconds: float,
    ) -> None:
        self._store, self._quota, self._credentials = store, quota, credentials
        self._reconciler, self._clock = reconciler, clock
        self._lacking = RecentSet[tuple[str, str]](LACKING)
        # The INSERT must finish within half a lease; later, the reconciler has already settled the reservation as NOT_STARTED.
        self._insert_seconds = min(store.statement_deadline_seconds, lease_seconds / 2)

    async def insert(self, prepared: PreparedRun) -> Admitted:
        """Admits a run with a new id. Raises ResourceExhausted, FailedPrecondition or Unavailable."""
        self._store.locate(prepared.run.tenant_id)
        reservation = await self._reserve_with_credentials(prepared)
        prepared = prepared.admitted(reservation.allowance).starting_at(self._clock.now())
        self._prefetch_credentials(prepared)
        await self._written(prepared.run, reservation, self._store.insert_run(prepared.run, seconds=self._seconds_left(reservation)))
        return Admitted(prepared=prepared, reservation=reservation)

    async def claim(self, prepared: PreparedRun, *, may_exist: bool = True) -> Admitted | RunStatus:
        """Admits a run that several processes may be starting, unless a row with its id exists, however old; returns its status if there is
        one, or if another process has claimed the run. Raises as `insert` does, and AlreadyExists for an overlap.

        `may_exist`: False if the caller has just found no such row.

        An overlap is checked twice. The first check comes before the reservation, so that the caller gets this error even if a limit is
        reached as well. The second is part of the statement that writes the row, and decides.
        """
        prepared = prepared.starting_at(self._clock.now())
        run = prepared.run
        alone = prepared.period if prepared.template.overlap is Overlap.REFUSE else None
        if status := await self._looked_up(prepared, alone, may_exist=may_exist):
            return status
        self._refuse_late(prepared)
        reservation = await self._reserve(run)
        # From here on the reservation shows all processes that the run is being started. If the reservation came too late, it is left to
        # expire, not given back: the attempt may have been started elsewhere, and then holds the same reservation.
        self._refuse_late(prepared)
        self._prefetch_credentials(prepared)
        claim = await self._written(run, reservation, self._store.claim_run(run, alone, seconds=self._seconds_left(reservation)))
        if claim.status is None:
            await self._give_back(reservation, NOT_STARTED)
            raise _overlaps(claim.other)
        if claim.status is not RunStatus.RUNNING:
            await self._give_back(reservation, claim.status)
        elif claim.is_ours:
            return Admitted(prepared=prepared.admitted(reservation.allowance), reservation=reservation)
        return claim.status

    async def insert_refused(self, request: RunRequest, why: str) -> None:
        """Records why a scheduled attempt could not begin, since no caller waits for its response. Writes nothing for a tenant without a
        dataset; the scheduler's own row also has the error.
        """
        now, name = self._clock.now(), request.name
        run = Run(
            pipeline_logging_id=request.pipeline_logging_id,
            tenant_id=request.tenant_id,
            pipeline_id=name.pipeline_id(request.tenant_id) if name else "",
            trigger_type=request.trigger_type,
            trigger_by=request.trigger_by,
            run_id=request.run_id,
            attempt=request.attempt,
            parameters=request.given,
            started_at=now,
            deadline_at=now,
            error_message=why,
        )
        try:
            await self._store.insert_refused_run(run, seconds=self._insert_seconds)
        except (ConvergenceError, bigquery.NotFound) as error:
            _log.info("refusal_not_recorded", pipeline_logging_id=request.pipeline_logging_id, error=type(error).__name__)

    async def _looked_up(self, prepared: PreparedRun, alone: Period | None, *, may_exist: bool) -> RunStatus | None:
        """The status of the run's row, if there is one. Otherwise raises as `_require` does, then AlreadyExists for an overlap. All
        look-ups are concurrent.
        """
        state, required, other = await asyncio.gather(
            self._state(prepared.run) if may_exist else _nothing(),
            self._require(prepared),
            self._store.overlapping_run(prepared.run, alone) if alone else _nothing(),
            return_exceptions=True,
        )
        if (found := _answer(state)) is not None:
            return found
        _answer(required)
        if (overlapping := _answer(other)) is not None:
            raise _overlaps(overlapping)
        return None

    async def _state(self, run: Run) -> RunStatus | None:
        state = await self._store.run_state(run.tenant_id, run.pipeline_logging_id)
        return state.status if state else None

    def _refuse_late(self, prepared: PreparedRun) -> None:
        """Raises Unavailable if the caller may have decided that this attempt never began."""
        if prepared.start_by is not None and self._clock.now() > prepared.start_by:
            message = "The start arrived too late: the run's claim may have ended. It is started again by the claim's holder."
            raise Unavailable("SERVICE_UNAVAILABLE", message)

    async def _require(self, prepared: PreparedRun) -> None:
        """Raises FailedPrecondition if the tenant has no credentials for the run."""
        wanted = prepared.run.tenant_id, prepared.credentials_provider
        try:
            await self._credentials.require(*wanted)
        except FailedPrecondition:
            self._lacking.add(wanted)
            raise
        self._lacking.discard(wanted)

    def _prefetch_credentials(self, prepared: PreparedRun) -> None:
        """Beside the statement that writes the run's row: for a run whose `_require` was answered from the cache."""
        self._credentials.prefetch(prepared.run.tenant_id, prepared.credentials_provider, since=prepared.requested_at)

    async def _reserve_with_credentials(self, prepared: PreparedRun) -> Reservation:
        """A reservation for a run with a new id, whose tenant has credentials. If it raises, nothing stays reserved. Raises as `_require`
        does, even if there is no quota either; then as `_reserve` does.
        """
        if (prepared.run.tenant_id, prepared.credentials_provider) in self._lacking:
            await self._require(prepared)
            return await self._reserve(prepared.run)
        required, reserved = await asyncio.gather(self._require(prepared), self._reserve(prepared.run), return_exceptions=True)
        if isinstance(required, BaseException) and isinstance(reserved, Reservation):
            await self._give_back(reserved, NOT_STARTED)
        _answer(required)
        return _answer(reserved)

    async def _reserve(self, run: Run) -> Reservation:
        asked_at = time.monotonic()
        reservation = await self._quota.reserve(run)
        return replace(reservation, renewed_at=asked_at)

    def _seconds_left(self, reservation: Reservation) -> float:
        """Seconds left for the INSERT, counted from the request for the reservation: this process may have stalled since."""
        since = 0.0 if reservation.renewed_at is None else time.monotonic() - reservation.renewed_at
        return self._insert_seconds - since

    async def _written[Answer](self, run: Run, reservation: Reservation, write: Awaitable[Answer]) -> Answer:
        """The result of writing the run's row; if that fails, the reservation is settled.

        If it is unknown whether the row was written (see `surely_not_written`), the reservation is kept without
        renewal. Once its lease has expired, the reconciler reads the row and settles accordingly. It also looks for a row that appears
        later than that.
        """
        try:
            return await write
        except bigquery.NotFound as error:
            await self._give_back(reservation, NOT_STARTED)
            message = "This tenant's dataset is gone. Set its credentials again: that makes it anew."
            raise FailedPrecondition("CREDENTIALS_MISSING", message) from error
        except Exception as error:
            if surely_not_written(error):
                await self._give_back(reservation, NOT_STARTED)
            else:
                self._reconciler.note_unconfirmed_insert(run)
            raise

    async def _give_back(self, reservation: Reservation, outcome: str) -> None:
        try:
            await self._quota.settle(reservation, outcome)
        except ConvergenceError as error:
            _log.warning("slot_left_to_expire", reason=error.reason)


def surely_not_written(error: Exception) -> bool:
    """True if BigQuery refused the statement that writes a run's row, or it was not sent. After any other error it is unknown whether the
    row was written.
    """
    if isinstance(error, ConvergenceError):
        return not isinstance(error, Unavailable)
    return isinstance(error, bigquery.BadRequest | bigquery.Forbidden)


async def _nothing() -> None:
    """Takes the place of a look-up that is not needed."""


def _answer[Answer](answer: Answer | BaseException) -> Answer:
    """Of `asyncio.gather`. Raises it if it is an error."""
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _overlaps(other: str | None) -> ConvergenceError:
    if other is None:  # it has ended since
        message = "Another run of this pipeline worked on one of these days and has just ended. Try again."
        return Unavailable("SERVICE_UNAVAILABLE", message, retry_after=timedelta(seconds=1))
    message = f"Run {other} of this pipeline is working on one of these days. Wait until it has ended, or cancel it."
    return AlreadyExists("RUN_OVERLAPS", message, metadata={"pipeline_logging_id": other})
