"""The life of a run around its steps: it starts, waits, is stopped, ends once and is settled. The store is the emulator."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from convergence.executor.v1 import pipeline_service_pb2 as messages
from google.protobuf import json_format

from services.executor.records import ClaimResult, Run, RunFilter, RunOutcome, RunStatus
from services.executor.runs.active import STOPPED, ActiveRuns
from services.executor.runs.cancel import Canceller
from services.executor.runs.dry_run import DryRunner
from services.executor.runs.idempotency import IdempotentStarts
from services.executor.runs.leases import SLOT_LOST, LeaseRenewer
from services.executor.runs.prepared import PreparedRun, RunPreparer
from services.executor.runs.quota import Reservation
from services.executor.runs.reconcile import LOST, Reconciler
from services.executor.runs.start import RunStarter
from services.executor.servicers.pipeline import PipelineServicer
from services.executor.store import Store
from services.executor.templates.catalog import Catalog
from services.executor.templates.step import Toolbox
from services.platform import metrics
from services.platform.access.caller import Caller, set_caller
from services.platform.clock import SystemClock
from services.platform.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, Unavailable
from tests.support.executor.fakes import CALL, Credentials, RecordingLedger, Work
from tests.support.executor.tenant import Tenant
from tests.unit.platform.test_waiting import Time

type Begin = Callable[..., Awaitable[PreparedRun]]
DATE = {"date": "2025-11-17"}


@pytest.fixture
def renewer(active: ActiveRuns, store: Store, reconciler: Reconciler, quota: RecordingLedger) -> LeaseRenewer:
    return LeaseRenewer(active=active, store=store, quota=quota, reconciler=reconciler, lease_seconds=30.0)  # type: ignore[arg-type]


@pytest.fixture
def servicer(
    preparer: RunPreparer, starter: RunStarter, canceller: Canceller, credentials: Credentials, store: Store, tools: Toolbox
) -> PipelineServicer:
    return PipelineServicer(
        preparer=preparer,
        starts=IdempotentStarts(starter, store, SystemClock()),
        dry_runner=DryRunner(tools, credentials, query_usd_per_tib=6.25),  # type: ignore[arg-type]
        canceller=canceller,
        store=store,
    )


def slot(run: Run) -> Reservation:
    return Reservation(tenant_id=run.tenant_id, pipeline_logging_id=run.pipeline_logging_id, usage_date=date(2025, 11, 18))


def request(tenant: Tenant, parameters: dict[str, object] | None = None, template: str = "billing") -> messages.RunPipelineRequest:
    message = messages.RunPipelineRequest(tenant_id=tenant.tenant_id, provider="GCP", domain="cost", template=template)
    json_format.ParseDict(parameters if parameters is not None else DATE, message.parameters)
    return message


async def ended(store: Store, quota: RecordingLedger, run: Run) -> Run:
    """The run as it stands once its slot is settled."""
    async with asyncio.timeout(20):
        while run.pipeline_logging_id not in dict(quota.settled):
            await asyncio.sleep(0.01)
    found = await store.find_run(run.tenant_id, run.pipeline_logging_id)
    assert found
    return found


@pytest.mark.parametrize("statement", ["insert_run", "claim_run"])
async def test_sixty_runs_of_one_tenant_that_begin_at_once_share_few_statements(
    tenant: Tenant, store: Store, catalog: Catalog, statement: str
) -> None:
    """BigQuery takes 25 in ten seconds on the tenant's table: written one by one, most of them would not begin in time."""
    runs = [tenant.job(catalog, date="2025-11-17").run for _ in range(60)]
    write: Callable[..., Awaitable[object]] = getattr(store, statement)
    counted = metrics.BIGQUERY_JOBS.labels(statement)._value
    before = counted.get()
    answers = await asyncio.gather(*(write(run, seconds=20) for run in runs))
    assert counted.get() - before <= 3
    states = await store.run_states(tenant.tenant_id, [run.pipeline_logging_id for run in runs])
    assert [state.status for state in states.values()] == [RunStatus.RUNNING] * 60
    if statement == "claim_run":
        assert answers == [ClaimResult(is_ours=True, status=RunStatus.RUNNING)] * 60
        others = [replace(run, claimed_by="another") for run in runs]
        late = await asyncio.gather(*(store.claim_run(run, seconds=20) for run in others))
        assert late == [ClaimResult(is_ours=False, status=RunStatus.RUNNING)] * 60


async def test_run_pipeline_answers_and_goes_on(
    tenant: Tenant, servicer: PipelineServicer, store: Store, quota: RecordingLedger, work: Work
) -> None:
    """The documented answer, one BigQuery job before it, then the run's record and its settlement."""
    set_caller(Caller(tenant_id=tenant.tenant_id, user_id="alice"))
    jobs = metrics.BIGQUERY_JOBS.labels("insert_run")._value
    before = jobs.get()

    answer = await servicer.RunPipeline(request(tenant), CALL)

    assert jobs.get() - before == 1
    assert json_format.MessageToDict(answer, preserving_proto_field_name=True) == {
        "pipeline_logging_id": quota.reserved[0],
        "tenant_id": tenant.tenant_id,
        "status": "RUNNING",
        "message": "Pipeline triggered successfully",
    }
    got = messages.GetRunRequest(tenant_id=tenant.tenant_id, pipeline_logging_id=answer.pipeline_logging_id)
    running = await servicer.GetRun(got, None)
    assert (running.status, running.user_id, running.pipeline_id) == ("RUNNING", "alice", f"{tenant.tenant_id}-gcp-cost-billing")
    assert (dict(running.parameters), running.attempt, running.HasField("run_id")) == (DATE | {"invoice_issuer": "Google Cloud"}, 1, False)
    assert not running.HasField("completed_at")
    work.end.set()
    run = await store.find_run(tenant.tenant_id, answer.pipeline_logging_id)
    assert run
    done = await ended(store, quota, run)
    assert (done.status, done.rows_processed, done.error_message) == (RunStatus.COMPLETED, 3, None)
    assert done.duration_ms is not None
    assert quota.settled == [(answer.pipeline_logging_id, "COMPLETED")]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({}, "parameters.date"),
        ({"date": "2025-02-30"}, "parameters.date"),
        ({"date": 7}, "parameters.date"),
        ({**DATE, "x'--": 1}, "parameters.x'--"),
    ],
)
async def test_bad_parameters_reserve_nothing(
    tenant: Tenant, servicer: PipelineServicer, quota: RecordingLedger, parameters: dict[str, object], field: str
) -> None:
    set_caller(Caller(tenant_id=tenant.tenant_id))
    with pytest.raises(InvalidArgument) as refused:
        await servicer.RunPipeline(request(tenant, parameters), CALL)
    assert refused.value.field == field
    assert quota.reserved == []


async def test_refusals_write_nothing(
    tenant: Tenant, servicer: PipelineServicer, store: Store, quota: RecordingLedger, credentials: Credentials
) -> None:
    """No such template, no credentials, no room: each as DESIGN's table says, and no run is recorded."""
    set_caller(Caller(tenant_id=tenant.tenant_id))
    for template in ("nothing", "../billing", "billing'"):
        with pytest.raises(NotFound):
            await servicer.RunPipeline(request(tenant, template=template), CALL)
    credentials.missing = True
    with pytest.raises(FailedPrecondition):
        await servicer.RunPipeline(request(tenant), CALL)
    credentials.missing = False
    quota.refusal = ResourceExhausted("DAILY_LIMIT_REACHED", "No more today.", retry_after=timedelta(hours=1))
    with pytest.raises(ResourceExhausted):
        await servicer.RunPipeline(request(tenant), CALL)
    assert await store.list_runs(tenant.tenant_id, RunFilter(), limit=10) == []


async def test_without_a_dataset_the_slot_is_given_back(tenant: Tenant, servicer: PipelineServicer, quota: RecordingLedger) -> None:
    """A tenant whose dataset was deleted gets an error that says what to do."""
    await tenant.bq.call(
        "drop", lambda timeout: tenant.bq.client.delete_dataset(tenant.bq.tenant(tenant.tenant_id), delete_contents=True, timeout=timeout)
    )
    set_caller(Caller(tenant_id=tenant.tenant_id))
    with pytest.raises(FailedPrecondition, match="Set its credentials again"):
        await servicer.RunPipeline(request(tenant), CALL)
    assert quota.settled == [(quota.reserved[0], "NOT_STARTED")]
    listed = await servicer.ListRuns(messages.ListRunsRequest(tenant_id=tenant.tenant_id), None)
    assert list(listed.runs) == []


async def test_only_so_many_work_at_once(begin: Begin, active: ActiveRuns, quota: RecordingLedger, work: Work, store: Store) -> None:
    """The third of three waits, RUNNING, and its slot is renewed like the others'."""
    jobs = [await begin(**DATE) for _ in range(3)]
    for job in jobs:
        active.start(job, slot(job.run))
    assert sorted(active.ids()) == sorted(job.run.pipeline_logging_id for job in jobs)
    work.end.set()
    for job in jobs:
        assert (await ended(store, quota, job.run)).status is RunStatus.COMPLETED
    assert work.most == 2
    assert active.ids() == []


async def test_a_run_past_its_deadline_is_failed(begin: Begin, active: ActiveRuns, quota: RecordingLedger, store: Store) -> None:
    job = await begin(**DATE)
    late = replace(job, run=replace(job.run, deadline_at=datetime.now(UTC)))
    active.start(late, slot(late.run))
    run = await ended(store, quota, late.run)
    assert (run.status, run.error_message) == (RunStatus.FAILED, "The run took longer than 1800 s and was stopped.")


async def test_a_lost_slot_stops_its_run(
    begin: Begin, active: ActiveRuns, renewer: LeaseRenewer, quota: RecordingLedger, store: Store, work: Work
) -> None:
    """The other run goes on."""
    lost, kept = await begin(**DATE), await begin(**DATE)
    for job in (lost, kept):
        quota.reserved.append(job.run.pipeline_logging_id)
        active.start(job, slot(job.run))
    quota.lost = {lost.run.pipeline_logging_id}
    await renewer.renew()
    run = await ended(store, quota, lost.run)
    assert (run.status, run.error_message) == (RunStatus.FAILED, SLOT_LOST)
    assert active.ids() == [kept.run.pipeline_logging_id]


async def test_a_lease_is_renewed_once_half_of_it_has_passed(
    begin: Begin, active: ActiveRuns, store: Store, reconciler: Reconciler, quota: RecordingLedger
) -> None:
    """Counted from when it was asked for, also by a renewal; tried again where auth did not answer. One call renews all runs."""
    time = Time()
    parts: Any = {"active": active, "store": store, "quota": quota, "reconciler": reconciler}
    renewer = LeaseRenewer(**parts, lease_seconds=30.0, monotonic=time)
    old, new = await begin(**DATE), await begin(**DATE)
    for job, age in ((old, 10.0), (new, 0.0)):
        quota.reserved.append(job.run.pipeline_logging_id)
        active.start(job, replace(slot(job.run), renewed_at=time.now - age))
    both = sorted([old.run.pipeline_logging_id, new.run.pipeline_logging_id])

    time.now += 4.9
    await renewer.renew_due()
    assert quota.renewed == []
    time.now += 0.1
    quota.is_away = True
    with pytest.raises(Unavailable):
        await renewer.renew_due()
    quota.is_away = False
    time.now += 2.5
    await renewer.renew_due()
    assert quota.renewed == [both]
    time.now += 14.9
    await renewer.renew_due()
    assert quota.renewed == [both]
    time.now += 0.1
    await renewer.renew_due()
    assert quota.renewed == [both, both]
    assert sorted(active.ids()) == both


async def test_a_lease_of_unknown_age_is_renewed_at_once(
    begin: Begin, active: ActiveRuns, renewer: LeaseRenewer, quota: RecordingLedger
) -> None:
    job = await begin(**DATE)
    quota.reserved.append(job.run.pipeline_logging_id)
    active.start(job, slot(job.run))
    await renewer.renew_due()
    await renewer.renew_due()
    assert quota.renewed == [[job.run.pipeline_logging_id]]


async def test_stopping_lets_runs_end_and_fails_the_rest(begin: Begin, quota: RecordingLedger, store: Store, work: Work) -> None:
    """SIGTERM: new runs are refused; what does not end in time is failed with what to do, and settled."""
    job = await begin(**DATE)
    clock = SystemClock()
    async with ActiveRuns(execute=work, store=store, quota=quota, clock=clock, max_concurrent=2, grace_seconds=5.0) as active:  # type: ignore[arg-type]
        active.start(job, slot(job.run))
    run = await ended(store, quota, job.run)
    assert (run.status, run.error_message) == (RunStatus.FAILED, STOPPED)
    assert quota.settled == [(job.run.pipeline_logging_id, "FAILED")]
    with pytest.raises(Unavailable):
        active.refuse_if_stopping()


async def test_expired_slots_are_reconciled(
    tenant: Tenant, begin: Begin, renewer: LeaseRenewer, quota: RecordingLedger, store: Store
) -> None:
    """Executor killed in mid-run, killed after the run ended, killed before it began; and a tenant that has no dataset."""
    dead, done = await begin(**DATE), await begin(**DATE)
    await store.finish_run(
        tenant.tenant_id, done.run.pipeline_logging_id, RunOutcome(status=RunStatus.COMPLETED, rows_processed=1), at=datetime.now(UTC)
    )
    never = Reservation(tenant_id=tenant.tenant_id, pipeline_logging_id="never", usage_date=date(2025, 11, 18))
    stranger = Reservation(tenant_id=f"{tenant.tenant_id}_x", pipeline_logging_id="stranger", usage_date=date(2025, 11, 18))
    quota.orphans = [slot(dead.run), slot(done.run), never, stranger]

    await renewer.reconcile()
    await renewer.reconcile()

    assert dict(quota.settled) == {
        dead.run.pipeline_logging_id: "FAILED",
        done.run.pipeline_logging_id: "COMPLETED",
        "never": "NOT_STARTED",
        "stranger": "NOT_STARTED",
    }
    assert len(quota.settled) == 4
    run = await store.find_run(tenant.tenant_id, dead.run.pipeline_logging_id)
    assert run
    assert (run.status, run.error_message) == (RunStatus.FAILED, LOST)


async def test_a_tenant_s_lost_runs_are_settled_together(
    tenant: Tenant, renewer: LeaseRenewer, quota: RecordingLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Auth answers after it has gathered some seconds of settlements: one after the other, many lost runs would take minutes."""
    settle, together = quota.settle, asyncio.Barrier(20)

    async def gathered(*args: Any, **options: Any) -> None:
        async with asyncio.timeout(20):
            await together.wait()
        await settle(*args, **options)

    monkeypatch.setattr(quota, "settle", gathered)
    quota.orphans = [
        Reservation(tenant_id=tenant.tenant_id, pipeline_logging_id=f"lost_{number}", usage_date=date(2025, 11, 18)) for number in range(20)
    ]
    await renewer.reconcile()
    assert sorted(quota.settled) == sorted((f"lost_{number}", "NOT_STARTED") for number in range(20))


async def test_a_run_ends_once(tenant: Tenant, begin: Begin, store: Store) -> None:
    """Compare-and-set: the first to end it wins, the others hear what it has become."""
    job = await begin(**DATE)
    identity, now = job.run.pipeline_logging_id, datetime.now(UTC)
    ends = (RunStatus.FAILED, RunStatus.COMPLETED)
    answers = await asyncio.gather(*(store.finish_run(tenant.tenant_id, identity, RunOutcome(status=status), at=now) for status in ends))
    run = await store.find_run(tenant.tenant_id, identity)
    assert run
    assert answers == [run.status, run.status]


async def test_runs_are_listed_in_pages(tenant: Tenant, begin: Begin, servicer: PipelineServicer, store: Store) -> None:
    """Newest first, filters in either writing, a token that goes on where the page ended; a replayed insert is one run."""
    jobs = [await begin(**DATE) for _ in range(3)]
    await store.insert_run(jobs[0].run, seconds=10)
    await store.finish_run(tenant.tenant_id, jobs[1].run.pipeline_logging_id, RunOutcome(status=RunStatus.FAILED), at=datetime.now(UTC))
    ids = [job.run.pipeline_logging_id for job in reversed(jobs)]

    async def listed(**wanted: Any) -> messages.ListRunsResponse:
        return await servicer.ListRuns(messages.ListRunsRequest(tenant_id=tenant.tenant_id, **wanted), None)

    first = await listed(page_size=2, pipeline="gcp/cost/billing")
    second = await listed(page_size=2, pipeline="gcp-cost-billing", page_token=first.next_page_token)
    assert [run.pipeline_logging_id for run in (*first.runs, *second.runs)] == ids
    assert second.next_page_token == ""
    assert [run.pipeline_logging_id for run in (await listed(status="FAILED")).runs] == [ids[1]]
    today = jobs[0].run.started_at.date()
    assert len((await listed(date=today.isoformat())).runs) == 3
    assert len((await listed(date=(today - timedelta(days=1)).isoformat())).runs) == 0
    for field, value in (("status", "DONE"), ("pipeline", "x"), ("date", "2025-02-30"), ("page_token", "x"), ("page_size", 1000)):
        with pytest.raises(InvalidArgument) as refused:
            await listed(**{field: value})
        assert refused.value.field == field
    with pytest.raises(NotFound):
        await servicer.GetRun(messages.GetRunRequest(tenant_id=tenant.tenant_id, pipeline_logging_id="x'--"), None)


async def test_templates_are_listed(servicer: PipelineServicer) -> None:
    answer = await servicer.ListTemplates(messages.ListTemplatesRequest(), None)
    templates = json_format.MessageToDict(answer, preserving_proto_field_name=True)["templates"]
    listed = {(one["provider"], one["domain"], one["template"]): one for one in templates}
    assert {(provider, name) for provider, _, name in listed} == {
        *(("gcp", "billing"), ("gcp", "focus"), ("aws", "focus"), ("aws", "cur"), ("azure", "focus"), ("azure", "actual")),
    }
    template = listed["gcp", "cost", "billing"]
    assert template["parameters"][0] | {"description": ""} == {
        "name": "date",
        "type": "date",
        "default": None,
        "scheduled": None,
        "timezone": "UTC",
        "description": "",
    }
