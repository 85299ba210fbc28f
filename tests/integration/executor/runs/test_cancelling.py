"""A cancelled run is CANCELLED at once and its reservation settled, whichever executor executes it. The store is the emulator."""

import asyncio
import uuid
from datetime import UTC, datetime

import pytest
from convergence.executor.v1 import pipeline_service_pb2 as messages

from services.executor.records import RunOutcome, RunStatus
from services.executor.runs.active import ActiveRuns
from services.executor.runs.cancel import CANCELLED, Canceller
from services.executor.runs.leases import LeaseRenewer
from services.executor.servicers.pipeline import PipelineServicer
from services.executor.store import Store
from services.platform.clock import SystemClock
from services.platform.errors import FailedPrecondition, NotFound, Unavailable
from tests.integration.executor.runs.test_life import DATE, Begin, renewer, servicer, slot
from tests.support.counting import jobs
from tests.support.executor.fakes import RecordingLedger, Work
from tests.support.executor.tenant import Tenant

__all__ = ["renewer", "servicer"]


async def left(active: ActiveRuns) -> None:
    """Returns once no run is led here any more."""
    async with asyncio.timeout(20):
        while active.ids():
            await asyncio.sleep(0.01)


async def test_a_run_is_cancelled_where_it_is_led(
    tenant: Tenant, begin: Begin, active: ActiveRuns, servicer: PipelineServicer, quota: RecordingLedger, store: Store, work: Work
) -> None:
    """The answer is the run as it stands, the slot is settled before it, the work is stopped, another cancel changes nothing."""
    job = await begin(**DATE)
    active.start(job, slot(job.run))
    request = messages.CancelRunRequest(tenant_id=tenant.tenant_id, pipeline_logging_id=job.run.pipeline_logging_id)

    answer = await servicer.CancelRun(request, None)

    assert (answer.status, answer.error_message) == ("CANCELLED", CANCELLED)
    assert (job.run.pipeline_logging_id, "CANCELLED") in quota.settled
    await left(active)
    assert work.working == 0
    assert {outcome for _, outcome in quota.settled} == {"CANCELLED"}
    again = await servicer.CancelRun(request, None)
    assert (again.status, again.completed_at) == ("CANCELLED", answer.completed_at)


async def test_a_run_is_cancelled_through_another_executor(
    tenant: Tenant, begin: Begin, active: ActiveRuns, renewer: LeaseRenewer, quota: RecordingLedger, store: Store, work: Work
) -> None:
    """Its leader sees at its next look that the slot is gone, and stops that run only. A look at runs that hold theirs reads no tenant's
    rows.
    """
    mine, other = await begin(**DATE), await begin(**DATE)
    for job in (mine, other):
        quota.reserved.append(job.run.pipeline_logging_id)
        active.start(job, slot(job.run))
    before = jobs()
    await renewer.check_held()
    assert jobs() == before
    elsewhere = ActiveRuns(execute=work, store=store, quota=quota, clock=SystemClock(), max_concurrent=2, grace_seconds=5.0)  # type: ignore[arg-type]
    identity = mine.run.pipeline_logging_id

    await Canceller(store=store, quota=quota, active=elsewhere, clock=SystemClock()).cancel(tenant.tenant_id, identity)  # type: ignore[arg-type]
    assert sorted(active.ids()) == sorted([identity, other.run.pipeline_logging_id])
    await renewer.check_held()
    async with asyncio.timeout(20):
        while identity in active.ids():
            await asyncio.sleep(0.01)

    assert active.ids() == [other.run.pipeline_logging_id]
    assert set(quota.settled) == {(identity, "CANCELLED")}
    run = await store.find_run(tenant.tenant_id, identity)
    assert run
    assert (run.status, run.error_message) == (RunStatus.CANCELLED, CANCELLED)


async def test_a_caller_hears_when_the_slot_is_not_free_yet(
    tenant: Tenant, begin: Begin, canceller: Canceller, quota: RecordingLedger, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is CANCELLED all the same, and the same call again gives its slot back."""
    job, settle = await begin(**DATE), quota.settle

    async def away(*_: object) -> None:
        raise Unavailable("SERVICE_UNAVAILABLE", "Not now.")

    monkeypatch.setattr(quota, "settle", away)
    with pytest.raises(Unavailable):
        await canceller.cancel(tenant.tenant_id, job.run.pipeline_logging_id)
    assert (state := await store.run_state(tenant.tenant_id, job.run.pipeline_logging_id))
    assert state.status is RunStatus.CANCELLED
    monkeypatch.setattr(quota, "settle", settle)
    await canceller.cancel(tenant.tenant_id, job.run.pipeline_logging_id)
    assert quota.settled == [(job.run.pipeline_logging_id, "CANCELLED")]


async def test_what_cannot_be_cancelled(tenant: Tenant, begin: Begin, canceller: Canceller, quota: RecordingLedger, store: Store) -> None:
    """A run that has ended in another way stays as it is; one that does not exist is not found. No slot is touched."""
    job = await begin(**DATE)
    await store.finish_run(
        tenant.tenant_id, job.run.pipeline_logging_id, RunOutcome(status=RunStatus.COMPLETED, rows_processed=1), at=datetime.now(UTC)
    )

    with pytest.raises(FailedPrecondition, match="COMPLETED") as refused:
        await canceller.cancel(tenant.tenant_id, job.run.pipeline_logging_id)
    assert (refused.value.reason, refused.value.metadata) == ("RUN_HAS_ENDED", {"status": "COMPLETED"})
    with pytest.raises(NotFound):
        await canceller.cancel(tenant.tenant_id, str(uuid.uuid4()))
    with pytest.raises(NotFound):
        await canceller.cancel(f"{tenant.tenant_id}_x", job.run.pipeline_logging_id)

    assert quota.settled == []
    run = await store.find_run(tenant.tenant_id, job.run.pipeline_logging_id)
    assert run
    assert run.status is RunStatus.COMPLETED
