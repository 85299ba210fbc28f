"""Flow 2 up to its answer: from a request to a run that is on its way.

Budget, caches warm: one BigQuery job here (the run's row), none to look things up; the ledger's two are auth's and shared by a batch.
A scheduled run's attempt takes one more: whether it is there already is looked up first.

Why an attempt runs once, though the same StartRun may arrive twice, at the same moment, at two executors
    1. In one process the id is looked up among the live runs and those that are beginning, without a pause in between: the second call
       joins the first.
    2. A row with this id, however old: nothing is started, and the row's status is the answer.
    3. Two processes that both found no row hold the same slot: a reservation is idempotent by its id.
    4. Each writes the row, guarded, but in BigQuery two INSERTs conflict with nothing: there may be two rows. What decides is the UPDATE
       after it, which gives the rows their deadline if none has one yet. It changes a row that both see, so one of two waits and then finds
       that the other one was first. Each draws its deadline's microseconds, and reads back whether the deadline is its own: the answer is
       right after a lost reply too, for the same statement sent again finds what it did the first time. See `claim_run` in queries.sql.
    5. Who does not lead leaves a RUNNING run's slot alone, for it is the leader's. If the run has ended meanwhile, the slot is settled with
       what the row says, which changes nothing where the leader has done it.
    6. Who never hears (BigQuery is away for too long) does not start. A row that was written all the same is led by nobody: its slot is not
       renewed, and the reconciler fails it; the scheduler makes another attempt.
"""

import asyncio
import random
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import structlog

from services.executor.records import Run, RunStatus
from services.executor.runs.active import ActiveRuns
from services.executor.runs.execute import Job
from services.executor.runs.quota import NOT_STARTED, QuotaClient, Reservation
from services.executor.runs.reconcile import Reconciler
from services.executor.sources.credentials import SealedCredentials
from services.executor.store import Store
from services.executor.templates.catalog import Templates
from services.executor.templates.name import PipelineName
from services.executor.templates.parameters import Value, to_json
from services.executor.templates.template import Overlap, Template
from services.platform.bigquery import errors as bigquery
from services.platform.clock import Clock
from services.platform.errors import AlreadyExists, ConvergenceError, FailedPrecondition, InvalidArgument, NotFound, Unavailable

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """A run that somebody wants."""

    pipeline_logging_id: str
    tenant_id: str
    name: PipelineName | None
    """None: what was asked for cannot be a name."""
    given: Mapping[str, object]
    """The parameters, as JSON values."""
    user_id: str | None = None
    trigger_type: str = "api"
    trigger_by: str = "api"
    run_id: str | None = None
    attempt: int = 1
    fire_day: date | None = None
    """The UTC day of a scheduled run's slot, which `yesterday` and the like are seen from; None: the day of the call."""
    called_at: datetime | None = None
    """None: now."""


class RunStarter:
    """Starts runs."""

    def __init__(
        self,
        *,
        catalog: Templates,
        credentials: SealedCredentials,
        quota: QuotaClient,
        store: Store,
        active: ActiveRuns,
        reconciler: Reconciler,
        clock: Clock,
        lease_seconds: float,
    ) -> None:
        self._catalog, self._credentials, self._quota = catalog, credentials, quota
        self._store, self._active, self._reconciler, self._clock = store, active, reconciler, clock
        self._beginning = dict[str, asyncio.Task[RunStatus]]()
        # A row that lands after the slot has expired belongs to a run that was reconciled as never begun.
        self._insert_seconds = min(store.statement_deadline_seconds, lease_seconds / 2)

    def check(self, request: RunRequest) -> tuple[Template, dict[str, Value]]:
        """What would run. Raises NotFound or InvalidArgument, naming `parameters.x`."""
        template = self._catalog.templates.get(request.name) if request.name else None
        if template is None:
            raise NotFound("TEMPLATE_NOT_FOUND", "There is no such pipeline. GET /api/v1/pipelines/templates lists what can be run.")
        now, scheduled = request.called_at or self._clock.now(), request.trigger_type != "api"
        parameters = template.values_of(request.given, now=now, fire_day=request.fire_day, scheduled=scheduled)
        template.period_of(parameters)
        # Held against the clock, not `called_at`: whether a day is over does not depend on when a key was first used.
        template.check_days(request.given, parameters, now=self._clock.now())
        return template, parameters

    async def prepare(self, request: RunRequest) -> Job:
        """The run as it would begin, for a dry run. Raises what `start` raises before it takes a slot."""
        template, parameters = self.check(request)
        await self._credentials.require(request.tenant_id, template.name.provider.upper())
        return Job(run=self._run(request, template, parameters), template=template, parameters=parameters)

    def is_here(self, pipeline_logging_id: str) -> bool:
        """Whether this process leads the run, or is about to."""
        return self._active.is_active(pipeline_logging_id) or pipeline_logging_id in self._beginning

    async def start(self, request: RunRequest) -> RunStatus:
        """Starts a run under an id that nobody else has. Raises NotFound, InvalidArgument, FailedPrecondition, AlreadyExists (the template
        says `overlap: refuse`), ResourceExhausted or Unavailable; then nothing was started, and nothing is counted for long.
        """
        self._active.refuse_if_stopping()
        template, parameters = self.check(request)
        await self._credentials.require(request.tenant_id, template.name.provider.upper())
        return await self._in_background(request, self._begin(request, template, parameters))

    async def start_once(self, request: RunRequest) -> RunStatus:
        """Starts a run under an id that the caller has made, unless it is there already; answers how it stands. Raises as `start` does."""
        if self._active.is_active(request.pipeline_logging_id):
            return RunStatus.RUNNING
        if begun := self._beginning.get(request.pipeline_logging_id):
            return await asyncio.shield(begun)
        self._active.refuse_if_stopping()
        try:
            template, parameters = self.check(request)
            return await self._in_background(request, self._begin_once(request, template, parameters))
        except (NotFound, InvalidArgument, FailedPrecondition) as refusal:
            if request.run_id is not None:
                await self._insert_refused(request, refusal.message)
            raise

    async def _in_background(self, request: RunRequest, begin: Awaitable[RunStatus]) -> RunStatus:
        """A caller that hangs up must not leave a run behind that nobody leads."""
        task = asyncio.ensure_future(begin)
        self._beginning[request.pipeline_logging_id] = task
        task.add_done_callback(lambda _: self._beginning.pop(request.pipeline_logging_id, None))
        return await asyncio.shield(task)

    async def _begin(self, request: RunRequest, template: Template, parameters: Mapping[str, Value]) -> RunStatus:
        if template.overlap is Overlap.REFUSE:
            return await self._claim_and_start(request, template, parameters)
        reservation = await self._quota.reserve(request.tenant_id, request.pipeline_logging_id)
        run = self._run(request, template, parameters)
        await self._written(run, reservation, self._store.insert_run(run, seconds=self._insert_seconds))
        self._active.start(Job(run=run, template=template, parameters=parameters), reservation)
        return run.status

    async def _begin_once(self, request: RunRequest, template: Template, parameters: Mapping[str, Value]) -> RunStatus:
        identity = request.pipeline_logging_id
        if state := await self._store.run_state(request.tenant_id, identity):
            return state.status
        await self._credentials.require(request.tenant_id, template.name.provider.upper())
        return await self._claim_and_start(request, template, parameters)

    async def _claim_and_start(self, request: RunRequest, template: Template, parameters: Mapping[str, Value]) -> RunStatus:
        """Reserves, and starts the run if it is this call that leads it. An overlap is looked for twice: first without a slot, so that it
        is what a caller hears even where a limit is reached as well, and then for good, as the row is written.
        """
        run = self._run(request, template, parameters)
        alone = template.period_of(parameters) if template.overlap is Overlap.REFUSE else None
        if alone and (other := await self._store.overlapping_run(run, alone)):
            raise _overlaps(other)
        reservation = await self._quota.reserve(request.tenant_id, run.pipeline_logging_id, is_retry=request.attempt > 1)
        claim = await self._written(run, reservation, self._store.claim_run(run, alone, seconds=self._insert_seconds))
        if claim.status is None:
            await self._give_back(reservation, _never_began(run))
            raise _overlaps(claim.other)
        if claim.status is not RunStatus.RUNNING:
            await self._give_back(reservation, claim.status)
        elif claim.is_ours:
            self._active.start(Job(run=run, template=template, parameters=parameters), reservation)
        return claim.status

    async def _insert_refused(self, request: RunRequest, why: str) -> None:
        """Nobody waits for a scheduled attempt's answer, so its record says why it could not begin. Nothing is written for a tenant without
        a dataset; the scheduler's own row says it all the same.
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

    def _run(self, request: RunRequest, template: Template, parameters: Mapping[str, Value]) -> Run:
        now = self._clock.now()
        drawn = timedelta(microseconds=random.randrange(1_000_000))  # noqa: S311 - tells two leaders apart, protects nothing
        return Run(
            pipeline_logging_id=request.pipeline_logging_id,
            tenant_id=request.tenant_id,
            pipeline_id=template.name.pipeline_id(request.tenant_id),
            user_id=request.user_id,
            trigger_type=request.trigger_type,
            trigger_by=request.trigger_by,
            run_id=request.run_id,
            attempt=request.attempt,
            parameters=to_json(parameters),
            started_at=now,
            deadline_at=now + timedelta(seconds=template.timeout_seconds) + drawn,
        )

    async def _written[Answer](self, run: Run, reservation: Reservation, write: Awaitable[Answer]) -> Answer:
        """What writing the run's row answers; if that fails, the slot is given back.

        When nobody knows whether the row was written, the slot is left alone: nobody renews it, and once its lease has run out the
        reconciler, who then can read, settles it as what it is. It also looks for a row that lands later than that.
        """
        try:
            return await write
        except Unavailable:
            self._reconciler.note_unconfirmed_insert(run)
            raise
        except bigquery.NotFound as error:
            await self._give_back(reservation, _never_began(run))
            told = "This tenant's dataset is gone. Set its credentials again: that makes it anew."
            raise FailedPrecondition("CREDENTIALS_MISSING", told) from error
        except Exception:
            await self._give_back(reservation, _never_began(run))
            raise

    async def _give_back(self, reservation: Reservation, outcome: str) -> None:
        try:
            await self._quota.settle(reservation, outcome)
        except ConvergenceError as error:
            _log.warning("slot_left_to_expire", reason=error.reason)


def _never_began(run: Run) -> str:
    return NOT_STARTED if run.attempt == 1 else RunStatus.CANCELLED


def _overlaps(other: str | None) -> ConvergenceError:
    if other is None:  # it has ended since
        told = "Another run of this pipeline worked on one of these days and has just ended. Try again."
        return Unavailable("SERVICE_UNAVAILABLE", told, retry_after=timedelta(seconds=1))
    told = f"Run {other} of this pipeline is working on one of these days. Wait until it has ended, or cancel it."
    return AlreadyExists("RUN_OVERLAPS", told, metadata={"pipeline_logging_id": other})
