"""Runs that wait for a working place: each tenant's turn, the bounds of waiting and of work, and ends before any work."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from services.executor.records import Run, RunOutcome, RunStatus
from services.executor.runs.active import STOPPED, STOPPED_WAITING, ActiveRuns
from services.executor.runs.cancel import CANCELLED, Canceller
from services.executor.runs.leases import LeaseRenewer
from services.executor.runs.prepared import PreparedRun, RunPreparer, RunRequest
from services.executor.runs.progress import RunProgress
from services.executor.runs.quota import Reservation
from services.executor.runs.reconcile import Reconciler
from services.executor.store import Store
from services.executor.templates.catalog import Catalog
from services.executor.templates.name import PipelineName
from services.platform.clock import SystemClock
from tests.support.executor.fakes import RecordingLedger
from tests.support.executor.tenant import Tenant

type Begin = Callable[..., Awaitable[PreparedRun]]
DATE = {"date": "2025-11-17"}


class Places:
    """Runs hold the only place until the test takes them off it, by their number."""

    def __init__(self) -> None:
        self.begun = list[str]()
        self.ends = list[asyncio.Event]()

    async def __call__(self, prepared: PreparedRun, progress: RunProgress) -> RunOutcome:
        end = asyncio.Event()
        self.begun.append(prepared.run.pipeline_logging_id)
        self.ends.append(end)
        await end.wait()
        return RunOutcome(status=RunStatus.COMPLETED, rows_processed=0)


@pytest.fixture
def places() -> Places:
    return Places()


@pytest.fixture
async def narrow(places: Places, store: Store, quota: RecordingLedger) -> AsyncIterator[ActiveRuns]:
    runs = ActiveRuns(execute=places, store=store, quota=quota, clock=SystemClock(), max_concurrent=1, grace_seconds=6.0)  # type: ignore[arg-type]
    async with runs:
        yield runs
        for end in places.ends:
            end.set()


def start(runs: ActiveRuns, job: PreparedRun, quota: RecordingLedger) -> None:
    quota.reserved.append(job.run.pipeline_logging_id)
    slot = Reservation(tenant_id=job.run.tenant_id, pipeline_logging_id=job.run.pipeline_logging_id, usage_date=date(2025, 11, 18))
    runs.start(job, slot)


def waiting(job: PreparedRun, *, until: timedelta) -> PreparedRun:
    """The same run, which may wait for a place until so long from now."""
    deadline = datetime.now(UTC) + until + timedelta(seconds=job.template.timeout_seconds)
    return replace(job, run=replace(job.run, deadline_at=deadline))


async def ended(store: Store, quota: RecordingLedger, run: Run) -> tuple[RunStatus, str | None]:
    async with asyncio.timeout(20):
        while run.pipeline_logging_id not in dict(quota.settled):
            await asyncio.sleep(0.01)
    found = await store.find_run(run.tenant_id, run.pipeline_logging_id)
    assert found
    return found.status, found.error_message


async def test_a_run_that_gets_no_place_in_time_fails_with_what_to_do(
    begin: Begin, narrow: ActiveRuns, places: Places, quota: RecordingLedger, store: Store
) -> None:
    """Another attempt may succeed, so it is not final. The run that works is not disturbed."""
    working, late = await begin(**DATE), waiting(await begin(**DATE), until=timedelta(seconds=0.2))
    start(narrow, working, quota)
    start(narrow, late, quota)

    status, why = await ended(store, quota, late.run)

    ends = await store.run_ends(late.run.tenant_id, [late.run.pipeline_logging_id], datetime.now(UTC))
    assert (status, ends[late.run.pipeline_logging_id].is_final) == (RunStatus.FAILED, False)
    assert why is not None
    assert "for a working place and was ended before it began" in why
    assert "CONVERGENCE_MAX_CONCURRENT_RUNS" in why
    assert (places.begun, narrow.ids()) == ([working.run.pipeline_logging_id],) * 2


async def test_the_timeout_counts_from_the_start_of_work(
    begin: Begin, narrow: ActiveRuns, places: Places, quota: RecordingLedger, store: Store
) -> None:
    """Waiting and work together take longer than the timeout; each alone does not."""
    working, next_one = await begin(**DATE), await begin(**DATE)
    next_one = replace(next_one, template=replace(next_one.template, timeout_seconds=1))
    start(narrow, working, quota)
    start(narrow, next_one, quota)
    await asyncio.sleep(0.7)
    places.ends[0].set()
    async with asyncio.timeout(20):
        while len(places.begun) < 2:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    places.ends[1].set()
    assert await ended(store, quota, next_one.run) == (RunStatus.COMPLETED, None)


async def test_a_run_is_overdue_only_when_it_can_no_longer_be_alive(catalog: Catalog, tenant: Tenant) -> None:
    """Its row, written once, has the latest end: of waiting, then of work. It begins to count when the row is written."""
    preparer = RunPreparer(catalog, SystemClock(), wait=timedelta(minutes=10))
    name = PipelineName(provider="gcp", domain="cost", template="billing")
    wanted = RunRequest(pipeline_logging_id="x", tenant_id=tenant.tenant_id, name=name, given=DATE)
    written = datetime(2026, 3, 10, 12, tzinfo=UTC)
    job = preparer.prepare(wanted).starting_at(written)
    assert job.latest_work == written + timedelta(minutes=10)
    assert job.run.deadline_at == job.latest_work + timedelta(seconds=job.template.timeout_seconds)


async def test_a_waiting_run_is_cancelled_and_never_works(
    begin: Begin, narrow: ActiveRuns, places: Places, quota: RecordingLedger, store: Store
) -> None:
    working, waits, last = [await begin(**DATE) for _ in range(3)]
    for job in (working, waits, last):
        start(narrow, job, quota)
    canceller = Canceller(store=store, quota=quota, active=narrow, clock=SystemClock())  # type: ignore[arg-type]

    await canceller.cancel(waits.run.tenant_id, waits.run.pipeline_logging_id)

    assert await ended(store, quota, waits.run) == (RunStatus.CANCELLED, CANCELLED)
    places.ends[0].set()
    async with asyncio.timeout(20):
        while len(places.begun) < 2:
            await asyncio.sleep(0.01)
    assert places.begun == [working.run.pipeline_logging_id, last.run.pipeline_logging_id]


async def test_a_waiting_run_keeps_its_reservation(
    begin: Begin, narrow: ActiveRuns, quota: RecordingLedger, store: Store, reconciler: Reconciler
) -> None:
    jobs = [await begin(**DATE) for _ in range(2)]
    for job in jobs:
        start(narrow, job, quota)
    renewer = LeaseRenewer(active=narrow, store=store, quota=quota, reconciler=reconciler, lease_seconds=30.0)  # type: ignore[arg-type]
    await renewer.renew()
    assert quota.renewed == [sorted(job.run.pipeline_logging_id for job in jobs)]


async def test_a_stopping_executor_ends_waiting_runs_at_once_and_lets_the_others_work(
    begin: Begin, places: Places, quota: RecordingLedger, store: Store
) -> None:
    """SIGTERM: what has not begun would not come to its end; its slot is free for another executor soon."""
    working, waits = await begin(**DATE), await begin(**DATE)
    runs = ActiveRuns(execute=places, store=store, quota=quota, clock=SystemClock(), max_concurrent=1, grace_seconds=30.0)  # type: ignore[arg-type]
    await runs.__aenter__()
    start(runs, working, quota)
    start(runs, waits, quota)
    stopping = asyncio.create_task(runs.__aexit__(None, None, None))

    assert await ended(store, quota, waits.run) == (RunStatus.FAILED, STOPPED_WAITING)
    assert not stopping.done()
    places.ends[0].set()
    await stopping

    assert await ended(store, quota, working.run) == (RunStatus.COMPLETED, None)
    assert places.begun == [working.run.pipeline_logging_id]


async def test_the_grace_period_begins_when_the_process_is_asked_to_stop(
    begin: Begin, places: Places, quota: RecordingLedger, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last calls have taken all of it: the run is ended in good order, before the platform kills the process."""
    working = await begin(**DATE)
    runs = ActiveRuns(execute=places, store=store, quota=quota, clock=SystemClock(), max_concurrent=1, grace_seconds=30.0)  # type: ignore[arg-type]
    await runs.__aenter__()
    start(runs, working, quota)
    loop = asyncio.get_running_loop()
    with monkeypatch.context() as earlier:
        now = loop.time()
        earlier.setattr(loop, "time", lambda: now - 30.0)
        runs.note_stop()
    async with asyncio.timeout(20):
        await runs.__aexit__(None, None, None)
    assert await ended(store, quota, working.run) == (RunStatus.FAILED, STOPPED)
