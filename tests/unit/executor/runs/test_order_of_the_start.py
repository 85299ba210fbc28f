"""What goes beside what before RunPipeline answers, and what the caller gets where several things are wrong. Without BigQuery."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from services.executor.records import ClaimResult, Run, RunState, RunStatus
from services.executor.runs.admission import Admission, Admitted
from services.executor.runs.prepared import PreparedRun, RunPreparer, RunRequest
from services.executor.runs.quota import Reservation
from services.executor.templates.catalog import Catalog
from services.executor.templates.name import PipelineName
from services.platform.bigquery.errors import BadRequest, Forbidden
from services.platform.clock import SystemClock
from services.platform.errors import ConvergenceError, FailedPrecondition, ResourceExhausted, Unavailable
from tests.support.executor.fakes import Credentials, RecordingLedger

FULL = ResourceExhausted("DAILY_LIMIT_REACHED", "Tomorrow.")
REFUSED = BadRequest("no such column")  # type: ignore[no-untyped-call]  # untyped upstream
FORBIDDEN = Forbidden("no")  # type: ignore[no-untyped-call]  # untyped upstream
DOWN = Unavailable("SERVICE_UNAVAILABLE", "Auth does not answer.")


class Recorder:
    """Each call, when it began and when it was answered."""

    def __init__(self) -> None:
        self.events = list[str]()

    async def call(self, name: str) -> None:
        self.events.append(f"{name} asked")
        await asyncio.sleep(0)
        self.events.append(f"{name} answered")


class Rows:
    """The store: what is written is kept."""

    statement_deadline_seconds = 10.0

    def __init__(self, recorder: Recorder) -> None:
        self._recorder, self.rows = recorder, dict[str, RunStatus]()
        self.error: Exception | None = None
        self.state: RunState | None = None

    async def insert_run(self, run: Run, *, seconds: float) -> None:
        await self._recorder.call("row")
        if self.error:
            raise self.error
        self.rows[run.pipeline_logging_id] = RunStatus.RUNNING

    async def run_state(self, tenant_id: str, run: str) -> RunState | None:
        await self._recorder.call("state")
        return self.state

    async def claim_run(self, run: Run, alone: object, *, seconds: float) -> ClaimResult:
        await self._recorder.call("row")
        self.rows[run.pipeline_logging_id] = RunStatus.RUNNING
        return ClaimResult(is_ours=True, status=RunStatus.RUNNING, other=None)


class Reconciler:
    def __init__(self) -> None:
        self.unconfirmed = list[str]()

    def note_unconfirmed_insert(self, run: Run) -> None:
        self.unconfirmed.append(run.pipeline_logging_id)


class Parts:
    """An admission and what it asks."""

    def __init__(self) -> None:
        recorder = self.recorder = Recorder()
        self.quota, self.credentials, self.rows = RecordingLedger(), Credentials(), Rows(recorder)
        self.reconciler = Reconciler()
        reserve, require = self.quota.reserve, self.credentials.require

        class Quota(RecordingLedger):
            async def reserve(self, run: Run) -> Reservation:
                await recorder.call("reserve")
                return await reserve(run)

        class Sealed(Credentials):
            async def require(self, tenant_id: str, provider: str) -> None:
                await recorder.call("require")
                await require(tenant_id, provider)

        quota = Quota(settled=self.quota.settled)
        fakes: Any = {"store": self.rows, "quota": quota, "credentials": Sealed(), "reconciler": self.reconciler}
        self.admission = Admission(clock=SystemClock(), lease_seconds=30.0, **fakes)


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.fixture
def prepare(catalog: Catalog) -> Callable[[], PreparedRun]:
    preparer = RunPreparer(catalog, SystemClock())
    name = PipelineName.parse("gcp/cost/billing")
    return lambda: preparer.prepare(
        RunRequest(pipeline_logging_id=str(uuid.uuid4()), tenant_id="acme", name=name, given={"date": "2025-11-17"})
    )


async def test_credentials_are_asked_for_beside_the_reservation_and_the_row_follows(
    parts: Parts, prepare: Callable[[], PreparedRun]
) -> None:
    admitted = await parts.admission.insert(prepare())
    assert isinstance(admitted, Admitted)
    assert parts.recorder.events == [
        *("require asked", "reserve asked", "require answered", "reserve answered"),
        *("row asked", "row answered"),
    ]
    assert parts.quota.settled == []


@pytest.mark.parametrize("refusal", [None, FULL, DOWN], ids=["a slot was free", "none was free", "auth is away"])
async def test_without_credentials_the_caller_hears_that_and_nothing_stays_counted(
    parts: Parts, prepare: Callable[[], PreparedRun], refusal: ConvergenceError | None
) -> None:
    """Whatever the ledger says."""
    parts.credentials.missing, parts.quota.refusal = True, refusal
    prepared = prepare()
    with pytest.raises(FailedPrecondition, match="Set the GCP credentials") as refused:
        await parts.admission.insert(prepared)
    assert refused.value.reason == "CREDENTIALS_MISSING"
    given_back = [] if refusal else [(prepared.run.pipeline_logging_id, "NOT_STARTED")]
    assert (parts.quota.settled, parts.rows.rows) == (given_back, {})


async def test_a_tenant_that_lacked_credentials_is_asked_about_them_first(parts: Parts, prepare: Callable[[], PreparedRun]) -> None:
    """It reserves for nothing once, not as often as it calls; once it has set them, all goes beside each other again."""
    parts.credentials.missing = True
    for _ in range(3):
        with pytest.raises(FailedPrecondition):
            await parts.admission.insert(prepare())
    assert (len(parts.quota.reserved), len(parts.quota.settled)) == (1, 1)

    parts.credentials.missing = False
    await parts.admission.insert(prepare())
    parts.recorder.events.clear()
    await parts.admission.insert(prepare())
    assert parts.recorder.events[:2] == ["require asked", "reserve asked"]


async def test_a_refusal_of_the_ledger_leaves_no_row(parts: Parts, prepare: Callable[[], PreparedRun]) -> None:
    parts.quota.refusal = FULL
    with pytest.raises(ResourceExhausted):
        await parts.admission.insert(prepare())
    assert (parts.rows.rows, parts.quota.settled) == ({}, [])


async def test_an_id_that_several_calls_may_mean_reserves_after_the_look_ups(parts: Parts, prepare: Callable[[], PreparedRun]) -> None:
    assert isinstance(await parts.admission.claim(prepare()), Admitted)
    assert parts.recorder.events == [
        *("state asked", "require asked", "state answered", "require answered"),
        *("reserve asked", "reserve answered", "row asked", "row answered"),
    ]


@pytest.mark.parametrize("missing", [False, True])
async def test_a_run_that_exists_reserves_nothing_and_needs_no_credentials(
    parts: Parts, prepare: Callable[[], PreparedRun], *, missing: bool
) -> None:
    prepared, parts.credentials.missing = prepare(), missing
    parts.rows.state = RunState(status=RunStatus.FAILED, started_at=prepared.run.started_at)
    assert await parts.admission.claim(prepared) is RunStatus.FAILED
    assert (parts.quota.reserved, parts.quota.settled, parts.rows.rows) == ([], [], {})


@pytest.mark.parametrize(
    ("error", "is_open"),
    [(REFUSED, False), (FORBIDDEN, False), (FULL, False), (DOWN, True), (ValueError("cut JSON"), True)],
    ids=lambda value: type(value).__name__,
)
async def test_only_a_refused_row_gives_the_reservation_back(
    parts: Parts, prepare: Callable[[], PreparedRun], error: Exception, *, is_open: bool
) -> None:
    """Of any other error it is open whether the row is there: the reservation is left to the reconciler, who reads the row."""
    parts.rows.error, prepared = error, prepare()
    with pytest.raises(type(error)):
        await parts.admission.insert(prepared)
    run = prepared.run.pipeline_logging_id
    assert (parts.quota.settled, parts.reconciler.unconfirmed) == (([], [run]) if is_open else ([(run, "NOT_STARTED")], []))
