"""Flow 2 up to its response: from a prepared run to an active one.

Statements one after the other before the response, and why there are no fewer
    A run with a new id:         key | reserve, beside it the credentials | the run's row
    With an Idempotency-Key:     key | the key's runs | credentials | reserve | claim (a script)
    A new attempt of the scheduler:                          credentials | reserve | claim (a script)
    One that was asked for before:     the row, beside it the credentials | reserve | claim (a script)
    The key costs a statement only if auth does not know it (`services.auth.key_memory`), the credentials only if they were not seen for
    some seconds. So a new run takes two statements with warm caches, and never more than three. An overlap is looked up concurrently with
    the credentials.

    1. `reserve` is one statement, shared by a batch, see `services.auth.usage.reserver`. It is sent before the row is written, not
       concurrently, so that a refused run leaves no row. Otherwise watchers and the reconciler would see a RUNNING row without a
       reservation, and removing it would take one more statement.
    2. Whether there are credentials does not depend on the reservation, so both are asked at once. If there are none, the reservation is
       given back before the caller gets its error: as NOT_STARTED, which counts nothing. The error is CREDENTIALS_MISSING even if a limit
       was reached, too, because this is the error that the caller can correct. If a tenant had no credentials the last time, they are
       looked up first, so that no reservation is made in vain.
    3. If several calls may use one id, the run reserves only after everything else is known. A reservation that is concurrent with the
       look-ups would be wrong in two cases. If the run has ended, it would take a slot and a unit again, and giving them back could take
       them from a run that another process has begun with this id. If the run is RUNNING, it would extend the lease of a run that its
       executor may have lost. So the look-ups are concurrent, and the reservation follows. A new attempt needs no look-up. The scheduler
       marks it as new only in the first call for the run's first claim, which is the first of all calls with this id. A process that takes
       the claim over, or has put the run back, does not mark it. The mark is ignored in a call that gRPC repeats.
    4. The run of an Idempotency-Key is looked up once. After that, the statement that claims the run's row inserts no second row, and says
       whose row it is. If the run is executed here, its parameters are compared in memory.

Why an attempt runs once, even if the same StartRun arrives twice, at the same moment, at two executors
    1. Within a process the id is looked up among the active runs and those that are being started, without an await in between: the
       second call joins the first.
    2. If a row with this id exists, however old, nothing is started, and the row's status is returned.
    3. Two processes that both found no row hold the same reservation: it is idempotent by its id.
    4. Each inserts the row unless there is one. Two INSERTs do not conflict in BigQuery, so there may be two rows. The UPDATE after them
       decides: it writes the process's random `claimed_by` if none of the rows is claimed. Two such UPDATEs change the same rows, so the
       second waits for the first and then claims nothing. Each process then reads whether the rows carry its `claimed_by`. After a lost
       reply the script is sent again and returns the same result. See `claim_run` in queries.sql. A process that refuses the attempt
       records this in the same way, so that an attempt is not both refused and executed (`insert_refused_run`).
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
from services.executor.templates.template import Overlap
from services.platform.background import note_end
from services.platform.errors import FailedPrecondition, InvalidArgument, NotFound


class RunStarter:
    """Starts runs in this process."""

    def __init__(self, *, preparer: RunPreparer, admission: Admission, active: ActiveRuns) -> None:
        self._preparer, self._admission, self._active = preparer, admission, active
        self._beginning = dict[str, asyncio.Task[RunStatus]]()

    def is_here(self, pipeline_logging_id: str) -> bool:
        """True if this process executes the run, or is starting it."""
        return self._active.is_active(pipeline_logging_id) or pipeline_logging_id in self._beginning

    async def start(self, prepared: PreparedRun) -> RunStatus:
        """Starts a run with a new id. Raises FailedPrecondition, AlreadyExists (the template has `overlap: refuse`), ResourceExhausted or
        Unavailable; nothing was started then, and nothing stays counted for long.
        """
        self._active.refuse_if_stopping()
        return await self._in_background(prepared, self._begin(prepared))

    async def start_once(self, prepared: PreparedRun) -> RunStatus:
        """Starts a run with an id for which the caller has just found no row, unless there is a row by now; returns the run's status.
        Raises as `start` does.
        """
        if self.is_here(prepared.run.pipeline_logging_id):
            return await self._join(prepared.run.pipeline_logging_id)
        self._active.refuse_if_stopping()
        return await self._in_background(prepared, self._begin_once(prepared, may_exist=False))

    async def start_attempt(self, request: RunRequest, *, is_new: bool = False) -> RunStatus:
        """Starts an attempt of a scheduled run as `start_once` does. Raises as that does, and NotFound or InvalidArgument, as
        `RunPreparer.prepare` does; errors that another attempt would get, too, are also recorded as the attempt's FAILED row. `is_new`: no
        executor was ever asked to start it, so there is no row.
        """
        if self.is_here(request.pipeline_logging_id):
            return await self._join(request.pipeline_logging_id)
        self._active.refuse_if_stopping()
        try:
            prepared = self._preparer.prepare(request)
            return await self._in_background(prepared, self._begin_once(prepared, may_exist=not is_new))
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
        if prepared.template.overlap is Overlap.REFUSE:
            return await self._begin_once(prepared, may_exist=False)
        return self._lead(await self._admission.insert(prepared))

    async def _begin_once(self, prepared: PreparedRun, *, may_exist: bool) -> RunStatus:
        return self._lead(await self._admission.claim(prepared, may_exist=may_exist))

    def _lead(self, admitted: Admitted | RunStatus) -> RunStatus:
        if not isinstance(admitted, Admitted):
            return admitted
        self._active.start(admitted.prepared, admitted.reservation)
        return RunStatus.RUNNING
