"""RunService: the states of runs, and that an attempt runs once however often it is started. The store is the emulator."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from convergence.executor.v1 import run_service_pb2 as messages
from google.protobuf import json_format

from services.executor.records import Run, RunOutcome, RunStatus, StepLog
from services.executor.runs.active import ActiveRuns
from services.executor.runs.cancel import Canceller
from services.executor.runs.cancel_tenant import TenantCanceller
from services.executor.runs.execute import execute
from services.executor.runs.prepared import RunPreparer
from services.executor.runs.quota import Reservation
from services.executor.runs.reconcile import OVERDUE, OVERDUE_AFTER, Reconciler
from services.executor.runs.start import RunStarter
from services.executor.runs.states import RunStates
from services.executor.servicers.run import RunServicer
from services.executor.store import Store
from services.executor.templates.step import Toolbox
from services.platform.clock import SystemClock
from services.platform.errors import ConvergenceError, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, Unavailable
from tests.integration.executor.runs.test_life import Begin
from tests.support.counting import jobs
from tests.support.executor.fakes import Credentials, RecordingLedger, Work
from tests.support.executor.tenant import Tenant

YESTERDAY = {"date": "yesterday"}


@pytest.fixture
def made(
    preparer: RunPreparer, quota: RecordingLedger, store: Store, canceller: Canceller, reconciler: Reconciler
) -> Callable[[RunStarter], RunServicer]:
    tenants = TenantCanceller(store=store, canceller=canceller, reconciler=reconciler)

    def make(starter: RunStarter) -> RunServicer:
        states = RunStates(starter=starter, quota=quota, store=store, reconciler=reconciler)  # type: ignore[arg-type]
        return RunServicer(preparer=preparer, starter=starter, states=states, tenants=tenants, reconciler=reconciler)

    return make


@pytest.fixture
def servicer(made: Callable[[RunStarter], RunServicer], starter: RunStarter) -> RunServicer:
    return made(starter)


@pytest.fixture
async def other(
    made: Callable[[RunStarter], RunServicer],
    make_starter: Callable[[ActiveRuns], RunStarter],
    work: Work,
    store: Store,
    quota: RecordingLedger,
) -> AsyncIterator[RunServicer]:
    """A second executor process: it shares the ledger and the store with the first, and nothing else."""
    async with ActiveRuns(execute=work, store=store, quota=quota, clock=SystemClock(), max_concurrent=2, grace_seconds=5.0) as active:  # type: ignore[arg-type]
        yield made(make_starter(active))
        work.end.set()


def request(tenant: Tenant, **changes: Any) -> messages.StartRunRequest:
    parameters = changes.pop("parameters", YESTERDAY)
    fields = {
        "tenant_id": tenant.tenant_id,
        "pipeline_logging_id": str(uuid.uuid5(uuid.NAMESPACE_URL, uuid.uuid4().hex)),
        "run_id": "a run",
        "attempt": 1,
        "provider": "gcp",
        "domain": "cost",
        "template": "billing",
        "as_of_date": "2025-11-18",
        "trigger_type": "scheduler",
        "trigger_by": "cloud_scheduler",
        **changes,
    }
    message = messages.StartRunRequest(**fields)
    json_format.ParseDict(parameters, message.parameters)
    return message


async def states(servicer: RunServicer, tenant: Tenant, *runs: str) -> list[tuple[str, str, bool]]:
    keys = [messages.RunKey(tenant_id=tenant.tenant_id, pipeline_logging_id=run) for run in runs]
    answer = await servicer.GetRunStates(messages.GetRunStatesRequest(runs=keys), None)
    assert [state.pipeline_logging_id for state in answer.states] == list(runs)
    return [(state.status, state.error_message, state.is_final) for state in answer.states]


async def settled(quota: RecordingLedger, run: str) -> None:
    async with asyncio.timeout(20):
        while run not in dict(quota.settled):
            await asyncio.sleep(0.01)


class Sent:
    """The context of a call, as gRPC makes it: once more if the connection broke."""

    def __init__(self, *, before: int = 0) -> None:
        self._before = before

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return [("grpc-previous-rpc-attempts", str(self._before))] if self._before else []


async def test_it_is_not_looked_up_whether_a_new_attempt_has_begun(
    tenant: Tenant, servicer: RunServicer, quota: RecordingLedger, work: Work
) -> None:
    """But it is if the same call comes once more. Then the run has ended, and nothing is reserved anew."""
    asked, before = request(tenant, is_new=True), jobs("run_states")
    assert (await servicer.StartRun(asked, Sent())).status == "RUNNING"
    assert jobs("run_states") == before
    work.end.set()
    await settled(quota, asked.pipeline_logging_id)

    assert (await servicer.StartRun(asked, Sent(before=1))).status == "COMPLETED"
    assert jobs("run_states") == before + 1
    assert quota.reserved == [asked.pipeline_logging_id]


@pytest.mark.parametrize("late", ["on arrival", "when it is reserved"])
async def test_a_start_that_comes_too_late_begins_nothing(
    tenant: Tenant, servicer: RunServicer, quota: RecordingLedger, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    """Its caller may have taken it for one that never came, and ended the run. What was reserved may be another start's: it expires."""
    is_late_at_once, reserve = late == "on arrival", quota.reserve
    start_by = datetime.now(UTC) + timedelta(seconds=-1 if is_late_at_once else 0.5)

    async def slow(run: Run) -> Reservation:
        reservation = await reserve(run)
        while datetime.now(UTC) <= start_by:
            await asyncio.sleep(0.01)
        return reservation

    monkeypatch.setattr(quota, "reserve", slow)
    asked = request(tenant, start_by=start_by)
    with pytest.raises(Unavailable, match="too late"):
        await servicer.StartRun(asked, None)

    assert quota.reserved == ([] if is_late_at_once else [asked.pipeline_logging_id])
    assert quota.settled == []
    assert await tenant.rows("SELECT pipeline_logging_id FROM x_meta_pipeline_runs") == []


async def test_a_scheduled_run_is_recorded_without_a_user_and_with_its_real_date(
    tenant: Tenant, servicer: RunServicer, quota: RecordingLedger, work: Work
) -> None:
    """`yesterday` is the day before as_of_date. Again with the same id, while it runs and after it ended: it is answered, not started."""
    asked = request(tenant)

    answers = [(await servicer.StartRun(asked, None)).status for _ in range(2)]
    work.end.set()
    await settled(quota, asked.pipeline_logging_id)
    answers.append((await servicer.StartRun(asked, None)).status)

    assert answers == ["RUNNING", "RUNNING", "COMPLETED"]
    [row] = await tenant.rows("SELECT * EXCEPT (started_at, completed_at, duration_ms) FROM x_meta_pipeline_runs")
    assert row.pop("deadline_at") > datetime.now(UTC)
    assert row.pop("is_final") is None, "it is for those that FAILED"
    assert uuid.UUID(row.pop("claimed_by")).version == 4
    assert row == {
        "pipeline_logging_id": asked.pipeline_logging_id,
        "tenant_id": tenant.tenant_id,
        "pipeline_id": f"{tenant.tenant_id}-gcp-cost-billing",
        "user_id": None,
        "status": "COMPLETED",
        "trigger_type": "scheduler",
        "trigger_by": "cloud_scheduler",
        "run_id": "a run",
        "attempt": 1,
        "parameters": {"date": "2025-11-17", "invoice_issuer": "Google Cloud"},
        "rows_processed": 3,
        "error_message": None,
        "bytes_billed": 0,
        "slot_ms": 0,
        "bytes_read": 0,
        "cost_usd": 0.0,
        "trace_id": None,
    }
    assert quota.settled == [(asked.pipeline_logging_id, "COMPLETED")]
    assert (quota.reserved, quota.retries) == ([asked.pipeline_logging_id], [])


async def test_two_executors_that_are_called_at_once_run_it_once(
    tenant: Tenant, servicer: RunServicer, other: RunServicer, quota: RecordingLedger, work: Work
) -> None:
    """Four calls at two processes at the same moment: all say RUNNING, one leads."""
    asked = request(tenant)

    answers = await asyncio.gather(*(one.StartRun(asked, None) for one in (servicer, other, servicer, other)))

    assert {answer.status for answer in answers} == {"RUNNING"}
    assert work.most == 1
    work.end.set()
    await settled(quota, asked.pipeline_logging_id)
    assert await states(other, tenant, asked.pipeline_logging_id) == [("COMPLETED", "", False)]
    assert quota.settled == [(asked.pipeline_logging_id, "COMPLETED")]


async def test_rows_that_two_inserted_at_the_very_same_moment_have_one_leader(tenant: Tenant, begin: Begin, store: Store) -> None:
    """What BigQuery allows and the emulator does not: two rows of one id. And a lost reply: the same statement again answers the same."""
    job = await begin(date="2025-11-17")
    copy = "INSERT INTO x_meta_pipeline_runs (pipeline_logging_id, tenant_id, status) SELECT pipeline_logging_id, tenant_id, status"
    await tenant.rows(f"{copy} FROM x_meta_pipeline_runs")
    await tenant.rows("UPDATE x_meta_pipeline_runs SET deadline_at = NULL, claimed_by = NULL WHERE TRUE")
    runs = [replace(job.run, claimed_by=drawn) for drawn in "abc"]

    leads = await asyncio.gather(*(store.claim_run(run, seconds=10) for run in runs))
    again = [await store.claim_run(run, seconds=10) for run in runs]

    assert sorted(lead.is_ours for lead in leads) == [False, False, True]
    assert {lead.status for lead in leads} == {RunStatus.RUNNING}
    assert again == list(leads)


async def test_one_whose_time_is_up_takes_no_other_ones_away(tenant: Tenant, begin: Begin, store: Store) -> None:
    """Rows that gather share a statement, but not the time of who has least of it left."""
    run = (await begin(date="2025-11-17")).run
    late, early = (replace(run, pipeline_logging_id=str(uuid.uuid4())) for _ in range(2))
    answers = await asyncio.gather(store.insert_run(late, seconds=0.01), store.insert_run(early, seconds=20), return_exceptions=True)
    assert [type(answer).__name__ for answer in answers] == ["Unavailable", "NoneType"]
    leads = await asyncio.gather(store.claim_run(late, seconds=0.01), store.claim_run(early, seconds=20), return_exceptions=True)
    assert [type(lead).__name__ for lead in leads] == ["Unavailable", "ClaimResult"]
    assert set(await store.run_states(tenant.tenant_id, [late.pipeline_logging_id, early.pipeline_logging_id])) == {
        early.pipeline_logging_id
    }


async def test_a_run_whose_start_no_caller_learned_of_is_not_led(
    tenant: Tenant, servicer: RunServicer, store: Store, quota: RecordingLedger, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BigQuery took the row, its answer was lost: nothing runs, the slot is left to expire, and the same call hears RUNNING."""
    asked, lead = request(tenant), store.claim_run

    async def lost(run: Any, alone: Any, *, seconds: float) -> Any:
        await lead(run, alone, seconds=seconds)
        raise Unavailable("BIGQUERY_UNAVAILABLE", "Gone.")

    monkeypatch.setattr(store, "claim_run", lost)
    with pytest.raises(Unavailable):
        await servicer.StartRun(asked, None)

    assert (await servicer.StartRun(asked, None)).status == "RUNNING"
    assert (work.working, quota.settled) == (0, [])


async def test_a_retry_takes_no_unit_and_gives_none_back(
    tenant: Tenant, servicer: RunServicer, quota: RecordingLedger, credentials: Credentials
) -> None:
    """Its dataset is gone. The ledger knows what each took."""
    await tenant.bq.call(
        "drop", lambda timeout: tenant.bq.client.delete_dataset(tenant.bq.tenant(tenant.tenant_id), delete_contents=True, timeout=timeout)
    )
    first, retry = request(tenant), request(tenant, attempt=2)
    for one in (first, retry):
        with pytest.raises(FailedPrecondition):
            await servicer.StartRun(one, None)
    assert quota.settled == [(first.pipeline_logging_id, "NOT_STARTED"), (retry.pipeline_logging_id, "NOT_STARTED")]
    assert quota.retries == [retry.pipeline_logging_id]


async def test_refusals_that_may_heal_and_malformed_requests_write_nothing(
    tenant: Tenant, servicer: RunServicer, quota: RecordingLedger
) -> None:
    for changes, field in (
        ({"as_of_date": "today"}, "as_of_date"),
        ({"attempt": 0}, "attempt"),
        ({"trigger_type": "api"}, "trigger_type"),
        ({"pipeline_logging_id": "x"}, "pipeline_logging_id"),
    ):
        with pytest.raises(InvalidArgument) as refused:
            await servicer.StartRun(request(tenant, **changes), None)
        assert refused.value.field == field
    quota.refusal = ResourceExhausted("CONCURRENT_LIMIT_REACHED", "Later.", retry_after=timedelta(seconds=10))
    with pytest.raises(ResourceExhausted):
        await servicer.StartRun(request(tenant), None)
    assert await tenant.rows("SELECT 1 FROM x_meta_pipeline_runs") == []
    assert quota.settled == []


async def test_an_attempt_that_can_never_begin_leaves_a_record_that_says_why(
    tenant: Tenant, servicer: RunServicer, quota: RecordingLedger, credentials: Credentials
) -> None:
    """The id that process-queue has answered must name a run. Asked again, the same record stands; no slot was ever taken."""
    bad, unknown, missing = request(tenant, parameters={"date": "soon"}), request(tenant, template="nothing"), request(tenant)
    for one, error in ((bad, InvalidArgument), (unknown, NotFound), (missing, FailedPrecondition)):
        credentials.missing = one is missing
        with pytest.raises(error) as refused:
            await servicer.StartRun(one, None)
        with contextlib.suppress(ConvergenceError):
            await servicer.StartRun(one, None)
        columns, identity = "status, error_message, run_id, user_id", one.pipeline_logging_id
        [row] = await tenant.rows(f"SELECT {columns} FROM x_meta_pipeline_runs WHERE pipeline_logging_id = '{identity}'")
        assert row == {"status": "FAILED", "error_message": refused.value.message, "run_id": one.run_id, "user_id": None}
        assert await states(servicer, tenant, one.pipeline_logging_id) == [("FAILED", refused.value.message, True)]
    assert quota.settled == []


async def test_a_schedule_without_a_date_means_the_days_that_have_changed(tenant: Tenant, servicer: RunServicer) -> None:
    begun = request(tenant, parameters={})
    await servicer.StartRun(begun, None)
    [row] = await tenant.rows(f"SELECT parameters FROM x_meta_pipeline_runs WHERE pipeline_logging_id = '{begun.pipeline_logging_id}'")
    assert row == {"parameters": {"days": "changed", "invoice_issuer": "Google Cloud"}}


async def test_runs_that_another_executor_leads_are_known_without_reading_their_tenants_rows(
    tenant: Tenant,
    servicer: RunServicer,
    other: RunServicer,
    store: Store,
    quota: RecordingLedger,
    work: Work,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They hold their slots; once they have none, the row tells."""
    asked, read = request(tenant), store.run_ends
    await servicer.StartRun(asked, None)

    async def never(*_: Any) -> Any:
        raise AssertionError("a tenant's rows were read")

    monkeypatch.setattr(store, "run_ends", never)
    assert await states(other, tenant, asked.pipeline_logging_id) == [("RUNNING", "", False)]
    monkeypatch.setattr(store, "run_ends", read)
    work.end.set()
    await settled(quota, asked.pipeline_logging_id)
    assert await states(other, tenant, asked.pipeline_logging_id) == [("COMPLETED", "", False)]


async def test_one_tenant_s_trouble_does_not_hide_how_the_others_runs_stand(
    tenant: Tenant, begin: Begin, servicer: RunServicer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, read = await begin(date="2025-11-17"), store.run_ends

    async def broken(tenant_id: str, *args: Any) -> Any:
        if tenant_id == "elsewhere":
            raise Unavailable("BIGQUERY_UNAVAILABLE", "Not now.")
        return await read(tenant_id, *args)

    monkeypatch.setattr(store, "run_ends", broken)
    keys = [
        messages.RunKey(tenant_id=tenant_id, pipeline_logging_id=job.run.pipeline_logging_id)
        for tenant_id in (tenant.tenant_id, "elsewhere")
    ]
    answer = await servicer.GetRunStates(messages.GetRunStatesRequest(runs=keys), None)
    assert [state.status for state in answer.states] == ["RUNNING", "UNKNOWN"]


async def test_a_pipeline_is_checked_before_it_is_scheduled(servicer: RunServicer) -> None:
    def asked(template: str = "billing", **parameters: Any) -> messages.CheckPipelineRequest:
        message = messages.CheckPipelineRequest(tenant_id="acme", provider="GCP", domain="cost", template=template)
        json_format.ParseDict(parameters, message.parameters)
        return message

    answer = await servicer.CheckPipeline(asked(**YESTERDAY), None)
    assert (answer.pipeline_id, list(answer.date_parameters)) == ("gcp-cost-billing", ["date", "start_date", "end_date"])
    assert (await servicer.CheckPipeline(asked(), None)).pipeline_id == "gcp-cost-billing", "a schedule need not name the day"
    for bad in ("soon", "today", "2099-01-01"):
        with pytest.raises(InvalidArgument, match=r"parameters\.date"):
            await servicer.CheckPipeline(asked(date=bad), None)
    with pytest.raises(NotFound):
        await servicer.CheckPipeline(asked("nothing", **YESTERDAY), None)


async def test_a_failure_says_whether_another_attempt_may_heal_it(
    tenant: Tenant, begin: Begin, servicer: RunServicer, store: Store, tools: Toolbox
) -> None:
    """No export in the tenant's project: final. An executor that was lost, a step that ran out of time: not."""
    final, lost, slow = await begin(date="2025-11-17"), await begin(date="2025-11-17"), await begin(date="2025-11-17")
    outcome = await execute(final, tools)
    late = StepLog(
        log_id=str(uuid.uuid4()),
        tenant_id=tenant.tenant_id,
        user_id=None,
        pipeline_logging_id=slow.run.pipeline_logging_id,
        step_id="extract",
        step_type="gcp.bigquery_extract",
        step_index=0,
        attempt=1,
        action="STEP_FAILED",
        provider="GCP",
        status="FAILED",
        metadata={"can_heal": True, "half of a surrogate pair": "\ud800"},
        timestamp=datetime.now(UTC),
    )
    store.log_steps(tenant.tenant_id, [late])
    await store.flushed(tenant.tenant_id, slow.run.pipeline_logging_id)
    [read] = await store.list_step_logs(tenant.tenant_id, slow.run.pipeline_logging_id)
    assert read.metadata == {"can_heal": True, "half of a surrogate pair": "?"}
    lost_one, slow_one = (RunOutcome(status=RunStatus.FAILED, error_message=why) for why in ("lost", "slow"))
    for job, ended in ((final, outcome), (lost, lost_one), (slow, slow_one)):
        await store.finish_run(tenant.tenant_id, job.run.pipeline_logging_id, ended, at=datetime.now(UTC))

    answer = await states(servicer, tenant, *(job.run.pipeline_logging_id for job in (final, lost, slow)), "nothing")

    assert answer[0] == ("FAILED", outcome.error_message, True)
    assert "No billing export was found" in answer[0][1]
    assert answer[1:] == [("FAILED", "lost", False), ("FAILED", "slow", False), ("", "", False)]


async def test_a_row_that_outlived_its_deadline_is_failed_when_it_is_asked_about_or_swept(
    tenant: Tenant, begin: Begin, servicer: RunServicer, reconciler: Reconciler, quota: RecordingLedger
) -> None:
    """No lease shows it, as it holds no slot; the ledger is asked to count it, as its reservation may have been given back. One whose
    deadline has only just passed is left to its executor.
    """
    asked, swept, fresh = await begin(date="2025-11-17"), await begin(date="2025-11-17"), await begin(date="2025-11-17")
    long_ago, just_now = datetime.now(UTC) - OVERDUE_AFTER - timedelta(seconds=1), datetime.now(UTC)
    for job, deadline in ((asked, long_ago), (swept, long_ago), (fresh, just_now)):
        moved = f"UPDATE x_meta_pipeline_runs SET deadline_at = '{deadline:%Y-%m-%d %H:%M:%S+00}'"
        await tenant.rows(f"{moved} WHERE pipeline_logging_id = '{job.run.pipeline_logging_id}'")

    first = await states(servicer, tenant, asked.run.pipeline_logging_id, fresh.run.pipeline_logging_id)
    reconciler.note_unconfirmed_insert(replace(swept.run, deadline_at=long_ago))
    await servicer.ReconcileRuns(messages.ReconcileRunsRequest(), None)

    assert first == [("FAILED", OVERDUE, False), ("RUNNING", "", False)]
    assert await states(servicer, tenant, swept.run.pipeline_logging_id) == [("FAILED", OVERDUE, False)]
    assert quota.settled == [(job.run.pipeline_logging_id, "FAILED") for job in (asked, swept)]


async def test_all_runs_of_an_offboarded_tenant_are_cancelled(
    tenant: Tenant, servicer: RunServicer, other: RunServicer, quota: RecordingLedger
) -> None:
    """Whichever executor executes them. What a dead one reserved for a run that never began is given back at once: it is not started again.
    Another tenant's reservation stays. Repeated, it finds nothing.
    """
    runs = [request(tenant), request(tenant)]
    for at, asked in zip((servicer, other), runs, strict=True):
        assert (await at.StartRun(asked, None)).status == "RUNNING"
    lost = Reservation(
        tenant_id=tenant.tenant_id,
        pipeline_logging_id="never-began",
        usage_date=date(2025, 11, 18),
        expired_at=datetime.now(UTC),
        trigger_type="scheduler",
    )
    foreign = replace(lost, tenant_id="t_another", pipeline_logging_id="another's")
    quota.orphans += [lost, foreign]
    everything = messages.CancelTenantRunsRequest(tenant_id=tenant.tenant_id)

    counts = [(await servicer.CancelTenantRuns(everything, None)).cancelled_count for _ in range(2)]

    assert counts == [2, 0]
    assert {row["status"] for row in await tenant.rows("SELECT status FROM x_meta_pipeline_runs")} == {"CANCELLED"}
    assert {(asked.pipeline_logging_id, "CANCELLED") for asked in runs} | {("never-began", "NOT_STARTED")} <= set(quota.settled)
    assert quota.orphans == [foreign]
    nothing = messages.CancelTenantRunsRequest(tenant_id="t_has_no_dataset")
    assert (await servicer.CancelTenantRuns(nothing, None)).cancelled_count == 0
