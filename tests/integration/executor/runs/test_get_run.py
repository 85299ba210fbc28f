"""GetRun and ListRuns: what a poll costs, and that memory and tables say the same."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from convergence.executor.v1 import pipeline_service_pb2 as messages
from convergence.executor.v1 import run_pb2

from services.executor.records import RunOutcome, RunStatus
from services.executor.runs.active import ActiveRuns
from services.executor.servicers.pipeline import LAST_LINES_SECONDS, PipelineServicer
from services.executor.store import Store
from services.platform.bigquery.client import BigQuery
from services.platform.errors import NotFound
from services.platform.settings import ServiceSettings
from tests.integration.executor.runs.test_life import Begin, renewer, servicer
from tests.integration.executor.runs.test_watching import lead, step, write
from tests.support.counting import jobs
from tests.support.executor.fakes import Work
from tests.support.executor.tenant import Tenant

__all__ = ["renewer", "servicer"]

type Get = Callable[[str], Awaitable[run_pb2.Run]]


@pytest.fixture
def get(servicer: PipelineServicer, tenant: Tenant) -> Get:
    return lambda run: servicer.GetRun(messages.GetRunRequest(tenant_id=tenant.tenant_id, pipeline_logging_id=run), None)


async def from_tables(bq: BigQuery, settings: ServiceSettings, servicer: PipelineServicer, tenant: Tenant, run: str) -> run_pb2.Run:
    """As an executor answers that does not execute it."""
    other = Store(bq, ddl=settings.configs_dir / "bigquery" / "tenant")
    elsewhere = PipelineServicer(
        preparer=servicer._preparer, starts=servicer._starts, dry_runner=servicer._dry_runner, canceller=servicer._canceller, store=other
    )
    return await elsewhere.GetRun(messages.GetRunRequest(tenant_id=tenant.tenant_id, pipeline_logging_id=run), None)


async def test_a_run_that_is_executed_here_is_shown_from_memory_as_the_tables_have_it(
    tenant: Tenant,
    begin: Begin,
    store: Store,
    active: ActiveRuns,
    work: Work,
    get: Get,
    bq: BigQuery,
    service_settings: ServiceSettings,
    servicer: PipelineServicer,
) -> None:
    """For nothing, also once it has ended, for as long as it is in memory."""
    job = await begin(date="2025-11-17")
    lead(active, job)
    await write(store, job.run)
    before = jobs()
    polled = [await get(job.run.pipeline_logging_id) for _ in range(5)]
    assert jobs() == before
    shown = await from_tables(bq, service_settings, servicer, tenant, job.run.pipeline_logging_id)
    assert polled == [shown] * 5
    assert (shown.status, len(shown.steps), len(shown.dq_results)) == ("RUNNING", 2, 1)

    outcome = RunOutcome(status=RunStatus.COMPLETED, rows_processed=3)
    await store.finish_run(tenant.tenant_id, job.run.pipeline_logging_id, outcome, at=datetime.now(UTC))
    before = jobs()
    done = await get(job.run.pipeline_logging_id)
    assert jobs() == before
    assert (done.status, done.rows_processed) == ("COMPLETED", 3)
    assert done == await from_tables(bq, service_settings, servicer, tenant, job.run.pipeline_logging_id)
    work.end.set()


async def test_a_run_that_was_ended_elsewhere_is_read_from_its_row(
    tenant: Tenant, begin: Begin, store: Store, active: ActiveRuns, work: Work, get: Get, bq: BigQuery, service_settings: ServiceSettings
) -> None:
    """Its executor learns that it has ended before it learns how."""
    job = await begin(date="2025-11-17")
    lead(active, job)
    other = Store(bq, ddl=service_settings.configs_dir / "bigquery" / "tenant")
    lost = RunOutcome(status=RunStatus.FAILED, error_message="Lost.")
    await other.finish_run(tenant.tenant_id, job.run.pipeline_logging_id, lost, at=datetime.now(UTC))
    store.led_runs.note_end(tenant.tenant_id, job.run.pipeline_logging_id, None)
    shown = await get(job.run.pipeline_logging_id)
    assert (shown.status, shown.error_message) == ("FAILED", "Lost.")
    work.end.set()


async def test_the_last_line_of_a_completed_run_may_come_a_moment_after_its_end(
    tenant: Tenant, begin: Begin, store: Store, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The publish that ends a run cannot say before that it has. Who reads the tables in between waits for the line."""
    job = await begin(date="2025-11-17")
    store.log_steps(tenant.tenant_id, [step(job.run, "STEP_STARTED")])
    done = RunOutcome(status=RunStatus.COMPLETED)
    await store.finish_run(tenant.tenant_id, job.run.pipeline_logging_id, done, at=datetime.now(UTC))
    last, sleep = step(job.run, "STEP_COMPLETED"), asyncio.sleep

    async def written_meanwhile(seconds: float) -> None:
        if seconds == LAST_LINES_SECONDS:
            store.log_steps(tenant.tenant_id, [last])
            await store.flushed(tenant.tenant_id, job.run.pipeline_logging_id)
        else:
            await sleep(seconds)

    monkeypatch.setattr("services.executor.servicers.pipeline.asyncio.sleep", written_meanwhile)
    shown = await get(job.run.pipeline_logging_id)
    assert [line.action for line in shown.steps] == ["STEP_STARTED", "STEP_COMPLETED"]


async def test_another_tenant_does_not_see_a_run_in_memory(
    begin: Begin, active: ActiveRuns, work: Work, servicer: PipelineServicer
) -> None:
    job = await begin(date="2025-11-17")
    lead(active, job)
    with pytest.raises(NotFound):
        await servicer.GetRun(messages.GetRunRequest(tenant_id="another_tenant", pipeline_logging_id=job.run.pipeline_logging_id), None)
    work.end.set()


async def test_equal_questions_at_once_share_a_read(tenant: Tenant, begin: Begin, get: Get, servicer: PipelineServicer) -> None:
    """The first goes alone; who asks while it is in flight gets the answer of the next one, which is not older than the question."""
    one, other = await begin(date="2025-11-17"), await begin(date="2025-11-16")
    before = jobs()
    answers = await asyncio.gather(*(get(one.run.pipeline_logging_id) for _ in range(20)), get(other.run.pipeline_logging_id))
    assert jobs() - before <= 3 * 3
    assert [answer.pipeline_logging_id for answer in answers] == [one.run.pipeline_logging_id] * 20 + [other.run.pipeline_logging_id]

    def listed(page_size: int) -> Awaitable[messages.ListRunsResponse]:
        return servicer.ListRuns(messages.ListRunsRequest(tenant_id=tenant.tenant_id, page_size=page_size), None)

    before = jobs()
    lists = await asyncio.gather(*(listed(2) for _ in range(20)), listed(1))
    assert jobs() - before <= 3
    assert [len(page.runs) for page in lists] == [2] * 20 + [1]
