"""Flow 2 up to its response: from a prepared run to an active one.

Budget with warm caches: one BigQuery job here (the run's row), none for look-ups; the ledger's two are auth's, and shared by a batch. An
attempt of a scheduled run takes one more: whether it exists already is looked up first.

Why an attempt runs once, even if the same StartRun arrives twice, at the same moment, at two executors
    1. Within a process the id is looked up among the active runs and those that are being started, without an await in between: the
       second call joins the first.
    2. If a row with this id exists, however old, nothing is started, and the row's status is returned.
    3. Two processes that both found no row hold the same reservation: it is idempotent by its id.
    4. Each inserts the row unless there is one. Two INSERTs do not conflict in BigQuery, so there may be two rows. The UPDATE after them
       decides: it writes the process's random `claimed_by` if none of the rows is claimed. Two such UPDATEs change the same rows, so the
       second waits for the first and then changes nothing. Each process then reads whether the rows carry its `claimed_by`. After a lost
       reply the script is sent again and returns the same result. See `claim_run` in queries.sql.
    5. A process without the claim does not settle the reservation of a RUNNING run. If the run has ended meanwhile, the reservation is
       settled with the row's status, which changes nothing if the claim's holder has done it.
    6. If BigQuery does not answer for too long, the run is not started. If its row was written all the same, no process executes it: its
       reservation expires, the reconciler fails the run, and the scheduler makes another attempt.
"""

import asyncio
from collections.abc import Awaitable

from services.executor.records import RunStatus
from services.executor.runs.active import ActiveRuns
from services.executor.runs.admission import Admission, Admitted
from services.executor.runs.prepared import PreparedRun, RunPreparer, RunRequest
from services.executor.sources.credentials import SealedCredentials
from services.executor.templates.template import Overlap
from services.platform.background import note_end
from services.platform.errors import FailedPrecondition, InvalidArgument, NotFound


class RunStarter:
    """Starts runs in this process."""

    def __init__(self, *, preparer: RunPreparer, credentials: SealedCredentials, admission: Admission, active: ActiveRuns) -> None:
        self._preparer, self._credentials, self._admission, self._active = preparer, credentials, admission, active
        self._beginning = dict[str, asyncio.Task[RunStatus]]()

    def is_here(self, pipeline_logging_id: str) -> bool:
        """True if this process executes the run, or is starting it."""
        return self._active.is_active(pipeline_logging_id) or pipeline_logging_id in self._beginning

    async def start(self, prepared: PreparedRun) -> RunStatus:
        """Starts a run with a new id. Raises FailedPrecondition, AlreadyExists (the template has `overlap: refuse`), ResourceExhausted or
        Unavailable; nothing was started then, and nothing stays counted for long.
        """
        self._active.refuse_if_stopping()
        await self._credentials.require(prepared.run.tenant_id, prepared.credentials_provider)
        return await self._in_background(prepared, self._begin(prepared))

    async def start_once(self, prepared: PreparedRun) -> RunStatus:
        """Starts a run with an id chosen by the caller, unless it exists already; returns its status. Raises as `start` does."""
        if self.is_here(prepared.run.pipeline_logging_id):
            return await self._join(prepared.run.pipeline_logging_id)
        self._active.refuse_if_stopping()
        return await self._in_background(prepared, self._begin_once(prepared))

    async def start_attempt(self, request: RunRequest) -> RunStatus:
        """Starts an attempt of a scheduled run as `start_once` does. Raises as that does, and NotFound or InvalidArgument, as
        `RunPreparer.prepare` does; errors that another attempt would get, too, are also recorded as the attempt's FAILED row.
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
        """Runs in its own task: if the client disconnects, the start still completes."""
        identity, task = prepared.run.pipeline_logging_id, asyncio.ensure_future(begin)
        self._beginning[identity] = task
        task.add_done_callback(note_end)
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
