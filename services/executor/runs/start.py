"""Flow 2 up to its answer: from a request to a run that is on its way.

Budget, caches warm: one BigQuery job here (the run's row), none to look things up; the ledger's two are auth's and shared by a batch.
A scheduled run's attempt takes one more: whether it is there already is looked up first.

Why an attempt runs once, though the same StartRun may arrive twice, at the same moment, at two executors
    1. In one process the id is looked up among the live runs and those that are beginning, without a pause in between: the second call
       joins the first.
    2. A row with this id, however old: nothing is started, and the row's status is the answer.
    3. Two processes that both found no row hold the same slot: a reservation is idempotent by its id.
    4. Each writes the row, guarded, but in BigQuery two INSERTs conflict with nothing: there may be two rows. What decides is the UPDATE
       after it, which claims the rows if they are not claimed yet. It changes a row that both see, so one of two waits and then finds
       that the other one was first. Each has drawn its own `claimed_by`, and reads back whether the rows carry it: the answer is right
       after a lost reply too, for the same statement sent again finds what it did the first time. See `claim_run` in queries.sql.
    5. Who does not lead leaves a RUNNING run's slot alone, for it is the leader's. If the run has ended meanwhile, the slot is settled with
       what the row says, which changes nothing where the leader has done it.
    6. Who never hears (BigQuery is away for too long) does not start. A row that was written all the same is led by nobody: its slot is not
       renewed, and the reconciler fails it; the scheduler makes another attempt.
"""

import asyncio
from collections.abc import Awaitable

from services.executor.records import RunStatus
from services.executor.runs.active import ActiveRuns
from services.executor.runs.admission import Admission, Admitted
from services.executor.runs.prepared import PreparedRun, RunPreparer, RunRequest
from services.executor.sources.credentials import SealedCredentials
from services.executor.templates.template import Overlap
from services.platform.errors import FailedPrecondition, InvalidArgument, NotFound


class RunStarter:
    """Starts runs in this process."""

    def __init__(self, *, preparer: RunPreparer, credentials: SealedCredentials, admission: Admission, active: ActiveRuns) -> None:
        self._preparer, self._credentials, self._admission, self._active = preparer, credentials, admission, active
        self._beginning = dict[str, asyncio.Task[RunStatus]]()

    def is_here(self, pipeline_logging_id: str) -> bool:
        """Whether this process leads the run, or is about to."""
        return self._active.is_active(pipeline_logging_id) or pipeline_logging_id in self._beginning

    async def start(self, prepared: PreparedRun) -> RunStatus:
        """Starts a run under an id that nobody else has. Raises FailedPrecondition, AlreadyExists (the template says `overlap: refuse`),
        ResourceExhausted or Unavailable; then nothing was started, and nothing is counted for long.
        """
        self._active.refuse_if_stopping()
        await self._credentials.require(prepared.run.tenant_id, prepared.credentials_provider)
        return await self._in_background(prepared, self._begin(prepared))

    async def start_once(self, prepared: PreparedRun) -> RunStatus:
        """Starts a run under an id that the caller has made, unless it is there already; answers how it stands. Raises as `start` does."""
        if self.is_here(prepared.run.pipeline_logging_id):
            return await self._join(prepared.run.pipeline_logging_id)
        self._active.refuse_if_stopping()
        return await self._in_background(prepared, self._begin_once(prepared))

    async def start_attempt(self, request: RunRequest) -> RunStatus:
        """Starts an attempt of a scheduled run as `start_once` does. Raises as that does, and NotFound or InvalidArgument, as
        `RunPreparer.prepare` does; what another attempt cannot heal is also written down as the attempt's FAILED row.
        """
        if self.is_here(request.pipeline_logging_id):
            return await self._join(request.pipeline_logging_id)
        self._active.refuse_if_stopping()
        try:
            prepared = self._preparer.prepare(request)
            return await self._in_background(prepared, self._begin_once(prepared))
        except (NotFound, InvalidArgument, FailedPrecondition) as refusal:
            await self._admission.insert_refused(request, refusal.message)
            raise

    async def _join(self, pipeline_logging_id: str) -> RunStatus:
        if self._active.is_active(pipeline_logging_id):
            return RunStatus.RUNNING
        return await asyncio.shield(self._beginning[pipeline_logging_id])

    async def _in_background(self, prepared: PreparedRun, begin: Awaitable[RunStatus]) -> RunStatus:
        """A caller that hangs up must not leave a run behind that nobody leads."""
        identity, task = prepared.run.pipeline_logging_id, asyncio.ensure_future(begin)
        self._beginning[identity] = task
        task.add_done_callback(lambda _: self._beginning.pop(identity, None))
        return await asyncio.shield(task)

    async def _begin(self, prepared: PreparedRun) -> RunStatus:
        is_alone = prepared.template.overlap is Overlap.REFUSE
        return self._lead(await (self._admission.claim(prepared) if is_alone else self._admission.insert(prepared)))

    async def _begin_once(self, prepared: PreparedRun) -> RunStatus:
        if status := await self._admission.status_of(prepared.run):
            return status
        await self._credentials.require(prepared.run.tenant_id, prepared.credentials_provider)
        return self._lead(await self._admission.claim(prepared))

    def _lead(self, admitted: Admitted | RunStatus) -> RunStatus:
        if not isinstance(admitted, Admitted):
            return admitted
        self._active.start(admitted.prepared, admitted.reservation)
        return RunStatus.RUNNING
