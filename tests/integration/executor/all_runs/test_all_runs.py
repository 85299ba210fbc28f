"""The runs of all tenants in one list, as executors write it while they work; BigQuery is the emulator."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from convergence.auth.v1.tenant_check_service_pb2 import CheckTenantRequest, CheckTenantResponse
from convergence.auth.v1.tenant_check_service_pb2_grpc import TenantCheckServiceServicer, add_TenantCheckServiceServicer_to_server
from convergence.executor.v1 import all_runs_service_pb2 as messages

from services.executor.all_runs.store import AllRuns
from services.executor.all_runs.tenant_run import TenantRun
from services.executor.all_runs.tenants import AuthTenants
from services.executor.records import Run, RunCost, RunOutcome, RunStatus
from services.executor.runs.active import ActiveRuns
from services.executor.runs.admission import Admission
from services.executor.runs.cancel import Canceller
from services.executor.runs.prepared import PreparedRun, RunRequest
from services.executor.runs.progress import RunProgress
from services.executor.runs.quota import Reservation
from services.executor.runs.reconcile import LOST, OVERDUE, OVERDUE_AFTER, Reconciler
from services.executor.servicers.all_runs import AllRunsServicer
from services.executor.store import Store
from services.executor.templates.catalog import Catalog
from services.executor.templates.name import PipelineName
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.clock import SystemClock, utc_day
from services.platform.errors import InvalidArgument, NotFound, no_such_tenant
from services.platform.reporting.events import EventKind
from services.platform.rpc.peers import peer_channel
from services.platform.server import Served
from services.platform.settings import ServiceSettings
from tests.conftest import serving
from tests.integration.scheduler.conftest import NoKeys
from tests.support.counting import jobs, references
from tests.support.executor.fakes import CALL, Credentials, RecordingLedger
from tests.support.executor.tenant import Tenant
from tests.support.set_clock import SetClock

type Begin = Callable[..., Awaitable[PreparedRun]]
DATE = {"date": "2025-11-17"}
EMPTY = make_block("empty", "DELETE FROM tenant_runs WHERE TRUE", {})
NEVER = 1e6
"""Seconds between two rounds: the test sends itself."""
FAILED = RunOutcome(status=RunStatus.FAILED, error_message="Step extract: the export is gone.")


@pytest.fixture
async def all_runs(bq: BigQuery) -> AsyncIterator[AllRuns]:
    """Of an empty table: the tests' tenants give their runs the same ids in the same order."""
    await bq.query(EMPTY, {}, dataset=bq.control())
    async with AllRuns(bq, SystemClock(), every_seconds=NEVER) as runs:
        yield runs


@pytest.fixture
def store(bq: BigQuery, service_settings: ServiceSettings, all_runs: AllRuns) -> Store:
    return Store(bq, ddl=service_settings.configs_dir / "bigquery" / "tenant", record=all_runs.record)


class StubAuth(TenantCheckServiceServicer):
    """Knows no tenant."""

    async def CheckTenant(self, request: CheckTenantRequest, context: Any) -> CheckTenantResponse:
        raise no_such_tenant(request.tenant_id)


class AnyTenant:
    """Every tenant exists."""

    async def require(self, tenant_id: str) -> None: ...


@pytest.fixture
def servicer(all_runs: AllRuns) -> AllRunsServicer:
    return AllRunsServicer(all_runs, AnyTenant(), SystemClock())


async def listed(servicer: AllRunsServicer, all_runs: AllRuns, **asked: Any) -> list[messages.TenantRun]:
    await all_runs.send()
    return [*(await servicer.ListAllRuns(messages.ListAllRunsRequest(**asked), CALL)).runs]


def slot(run: Run) -> Reservation:
    return Reservation(tenant_id=run.tenant_id, pipeline_logging_id=run.pipeline_logging_id, usage_date=utc_day(run.started_at))


async def test_a_run_is_listed_while_it_works_and_when_it_has_ended(
    begin: Begin, servicer: AllRunsServicer, all_runs: AllRuns, store: Store, quota: RecordingLedger
) -> None:
    """It costs the run no statement: the rows are streamed."""
    going, end = asyncio.Event(), asyncio.Event()

    async def work(prepared: PreparedRun, progress: RunProgress) -> RunOutcome:
        progress.meter.step("extract", 1).add_read(2**40, usd_per_tib=0.25)
        going.set()
        await end.wait()
        return RunOutcome(status=RunStatus.COMPLETED, rows_processed=3)

    job = await begin(**DATE)
    spent, tables = jobs(), references()
    runs = ActiveRuns(execute=work, store=store, quota=quota, clock=SystemClock(), max_concurrent=2, grace_seconds=20.0)  # type: ignore[arg-type]
    async with runs:
        runs.start(job, slot(job.run))
        await going.wait()
        await all_runs.send()
        assert jobs() == spent
        [running] = await listed(servicer, all_runs, tenant_id=job.run.tenant_id)
        end.set()
    await all_runs.send()
    assert (references() - tables)["tenant_runs"] == 1, "the list"
    [done] = await listed(servicer, all_runs, tenant_id=job.run.tenant_id)

    assert (running.status, running.HasField("completed_at"), running.HasField("cost_usd")) == ("RUNNING", False, False)
    assert (done.status, done.cost_usd, done.HasField("error_message")) == ("COMPLETED", 0.25, False)
    run = await store.require_run(job.run.tenant_id, job.run.pipeline_logging_id)
    assert (done.started_at.ToDatetime(UTC), done.completed_at.ToDatetime(UTC)) == (run.started_at, run.completed_at)
    assert (done.pipeline_id, done.trigger_type, done.pipeline_logging_id) == ("gcp-cost-billing", "api", run.pipeline_logging_id)


async def test_each_way_to_end_a_run_writes_its_end(
    tenant: Tenant, begin: Begin, servicer: AllRunsServicer, all_runs: AllRuns, store: Store, quota: RecordingLedger, active: ActiveRuns
) -> None:
    """A run of a dead executor, one past its deadline, one that is cancelled through another executor, and one that could not begin."""
    dead, late, cancelled = await begin(**DATE), await begin(**DATE), await begin(**DATE)
    clock, noted = SetClock(), list[tuple[EventKind, str]]()

    def note(kind: EventKind, name: str, value: float = 1.0) -> None:
        noted.append((kind, name))

    reconciler = Reconciler(store, quota, clock, note)  # type: ignore[arg-type]
    quota.orphans = [slot(dead.run)]
    canceller = Canceller(store=store, quota=quota, active=active, clock=clock)  # type: ignore[arg-type]
    parts: Any = {"quota": quota, "credentials": Credentials()}
    admission = Admission(store=store, reconciler=reconciler, clock=clock, lease_seconds=30.0, **parts)
    request = RunRequest(
        pipeline_logging_id=str(uuid.uuid4()), tenant_id=tenant.tenant_id, name=PipelineName.parse("gcp/cost/billing"), given={}
    )

    await canceller.cancel(tenant.tenant_id, cancelled.run.pipeline_logging_id)
    await admission.insert_refused(request, "There is no such pipeline.")
    await reconciler.reconcile_expired()
    clock.time = late.run.deadline_at + OVERDUE_AFTER + timedelta(seconds=1)
    await reconciler.fail_overdue(tenant.tenant_id, await store.overdue_runs(tenant.tenant_id, reconciler.overdue_since))

    found = {run.pipeline_logging_id: run for run in await listed(servicer, all_runs, tenant_id=tenant.tenant_id)}
    identities = [
        dead.run.pipeline_logging_id,
        late.run.pipeline_logging_id,
        cancelled.run.pipeline_logging_id,
        request.pipeline_logging_id,
    ]
    assert {identity: (found[identity].status, found[identity].error_message) for identity in identities} == {
        dead.run.pipeline_logging_id: ("FAILED", LOST),
        late.run.pipeline_logging_id: ("FAILED", OVERDUE),
        cancelled.run.pipeline_logging_id: ("CANCELLED", ""),
        request.pipeline_logging_id: ("FAILED", "There is no such pipeline."),
    }
    assert noted == [(EventKind.SLOT_LOST, dead.run.pipeline_logging_id), (EventKind.RUN_OVERDUE, late.run.pipeline_logging_id)]


async def test_two_that_end_a_run_say_the_same(begin: Begin, servicer: AllRunsServicer, all_runs: AllRuns, store: Store) -> None:
    """The row decides; the one that executes the run comes second, and adds the cost. What is sent twice counts once."""
    job = await begin(**DATE)
    tenant_id, identity = job.run.tenant_id, job.run.pipeline_logging_id
    store.lead(job.run)
    await store.finish_run(tenant_id, identity, FAILED, at=datetime.now(UTC))
    await all_runs.send()
    mine = RunOutcome(status=RunStatus.COMPLETED, cost=RunCost(cost_usd=0.5))
    for _ in range(2):
        assert await store.finish_run(tenant_id, identity, mine, at=datetime.now(UTC)) is RunStatus.FAILED
        await all_runs.send()
    [run] = await listed(servicer, all_runs, tenant_id=tenant_id)
    row = await store.require_run(tenant_id, identity)
    assert (run.status, run.error_message, run.cost_usd) == ("FAILED", FAILED.error_message, 0.5)
    assert run.completed_at.ToDatetime(UTC) == row.completed_at


async def test_the_list_is_of_all_tenants_newest_first_in_pages(
    tenant: Tenant, catalog: Catalog, servicer: AllRunsServicer, all_runs: AllRuns
) -> None:
    """Two tenants' runs of two pipelines over nine days; two runs began in the same microsecond."""
    ours, theirs = f"a_{uuid.uuid4().hex[:12]}", f"b_{uuid.uuid4().hex[:12]}"
    pipeline = "gcp-cost-billing"
    now = datetime.now(UTC).replace(microsecond=7)
    made = list[TenantRun]()
    for back in range(9):
        for tenant_id in (ours, theirs):
            made.append(
                TenantRun(
                    tenant_id=tenant_id,
                    pipeline_logging_id=str(uuid.uuid4()),
                    pipeline_id=pipeline,
                    status=RunStatus.RUNNING,
                    trigger_type="scheduler",
                    started_at=now - timedelta(days=back),
                )
            )
    for run in made:
        all_runs.record(run)
    ended = made[4].ended(FAILED, now)
    all_runs.record(ended)
    newest = sorted(made[:14], key=lambda run: (-run.started_at.timestamp(), run.pipeline_logging_id))

    shown, token = list[str](), ""
    await all_runs.send()
    while True:
        asked = messages.ListAllRunsRequest(pipeline=pipeline, page_size=3, page_token=token)
        page = await servicer.ListAllRuns(asked, CALL)
        shown += [run.pipeline_logging_id for run in page.runs]
        token = page.next_page_token
        if not token:
            break
    assert shown == [run.pipeline_logging_id for run in newest], "the last seven days"

    def those(**asked: Any) -> Awaitable[list[messages.TenantRun]]:
        return listed(servicer, all_runs, pipeline=pipeline.replace("-", "/"), **asked)

    assert [run.pipeline_logging_id for run in await those(status="FAILED")] == [ended.pipeline_logging_id]
    assert {run.tenant_id for run in await those(tenant_id=ours)} == {ours}
    assert len(await those(status="RUNNING", tenant_id=ours)) == 6
    day = utc_day(made[16].started_at).isoformat()
    assert {run.pipeline_logging_id for run in await those(date=day)} == {run.pipeline_logging_id for run in made[16:18]}
    assert await those(date="2020-01-01") == []


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"status": "DONE"}, "status"),
        ({"pipeline": "billing"}, "pipeline"),
        ({"date": "yesterday"}, "date"),
        ({"page_size": 201}, "page_size"),
    ],
)
async def test_a_bad_filter_is_named(servicer: AllRunsServicer, asked: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await servicer.ListAllRuns(messages.ListAllRunsRequest(**asked), CALL)
    assert refused.value.field == field


async def test_the_runs_of_no_tenant_are_refused_unless_auth_is_of_the_release_before(
    all_runs: AllRuns, service_settings: ServiceSettings
) -> None:
    """As an operator's other views of one tenant. An auth that does not have the call yet has only an empty list to offer."""
    name = "convergence.auth.v1.TenantCheckService"
    here = Served(name=name, add=add_TenantCheckServiceServicer_to_server, servicer=StubAuth())

    async def reason(*served: Served) -> str | None:
        async with (
            serving(service_settings, name="auth", authenticator=NoKeys(), served=served) as address,
            peer_channel(service_settings, caller="executor", peer="auth", address=address) as auth,
        ):
            servicer = AllRunsServicer(all_runs, AuthTenants(auth), SystemClock())
            assert not await listed(servicer, all_runs), "of all tenants: nothing is asked"
            try:
                return str(await listed(servicer, all_runs, tenant_id="t_no_such"))
            except NotFound as error:
                return error.reason

    assert await reason(here) == "TENANT_NOT_FOUND"
    assert await reason() == "[]"


async def test_without_the_control_table_runs_go_on_and_are_listed_later(
    begin: Begin, bq: BigQuery, service_settings: ServiceSettings, quota: RecordingLedger
) -> None:
    """The control dataset is not there: the rows wait in memory, and nothing else notices."""
    settings = service_settings.model_copy(update={"control_dataset": f"none_{uuid.uuid4().hex[:8]}"})

    async def work(prepared: PreparedRun, progress: RunProgress) -> RunOutcome:
        return RunOutcome(status=RunStatus.COMPLETED)

    async with BigQuery(settings, service="executor") as blind, AllRuns(blind, SystemClock(), every_seconds=0.01) as away:
        store = Store(blind, ddl=settings.configs_dir / "bigquery" / "tenant", record=away.record)
        runs = ActiveRuns(execute=work, store=store, quota=quota, clock=SystemClock(), max_concurrent=2, grace_seconds=20.0)  # type: ignore[arg-type]
        job = await begin(**DATE)
        async with runs:
            runs.start(job, slot(job.run))
        assert (await store.require_run(job.run.tenant_id, job.run.pipeline_logging_id)).status is RunStatus.COMPLETED
        assert away.waiting == 2
