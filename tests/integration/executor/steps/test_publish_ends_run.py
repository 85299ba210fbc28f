"""A publish that ends its run, against others who end it, and when it is sent again; through a proxy that runs a script as BigQuery does,
statement by statement.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.executor.errors import FenceLost
from services.executor.records import RunOutcome, RunStatus
from services.executor.runs.prepared import PreparedRun
from services.executor.runs.progress import context_of
from services.executor.staging.tables import StagingTables
from services.executor.store import Store
from services.executor.templates.step import LastStep, StepContext, StepResult, Toolbox
from services.platform.bigquery.client import BigQuery
from services.platform.clock import SystemClock
from services.platform.settings import ServiceSettings
from tests.integration.executor.steps.test_billing import Begin
from tests.integration.executor.steps.test_publish_conflicts import DDL, ROWS, read_as_a_whole, staged
from tests.support.counting import jobs
from tests.support.executor.tenant import Tenant
from tests.support.strict_bigquery import StrictBigQuery, strict_bigquery
from tests.support.strict_bigquery.script import Statement

FIRST = date(2025, 11, 1)
CANCELLED = RunOutcome(status=RunStatus.CANCELLED, error_message="The run was cancelled.")
PATIENCE = 30.0


@dataclass(kw_only=True)
class Stop:
    """A place in a script."""

    after: int
    """So many of its statements."""
    _reached: threading.Event = field(default_factory=threading.Event)
    _go_on: threading.Event = field(default_factory=threading.Event)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, PATIENCE)

    def go_on(self) -> None:
        self._go_on.set()

    def here(self) -> None:
        self._reached.set()
        assert self._go_on.wait(PATIENCE)


@dataclass(kw_only=True)
class Stopping(StrictBigQuery):
    """Stops the next publishing script at a place."""

    place: Stop | None = None
    statements: int = 0
    """Of the last publishing script."""
    _publisher: threading.local = field(default_factory=threading.local)

    def stop(self, after: int) -> Stop:
        self.place = Stop(after=after)
        return self.place

    async def met(self, task: asyncio.Task[Any]) -> None:
        """The task has ended, or its statement waits for a table."""
        while not task.done() and not self._waits():
            await asyncio.sleep(0.01)

    def _waits(self) -> bool:
        with self._tables:
            return any(self._waiting.values())

    def statement(self, sql: str, dataset: str) -> Any:
        self._publisher.done = 0 if "BEGIN TRANSACTION" in sql else None
        return super().statement(sql, dataset)

    def _take_time(self, one: Statement) -> None:
        super()._take_time(one)
        if self._publisher.done is None:
            return
        self._publisher.done += 1
        self.statements = self._publisher.done
        if (place := self.place) is not None and self._publisher.done == place.after:
            self.place = None
            place.here()


@pytest.fixture
async def stopping(tenant: Tenant, tools: Toolbox, service_settings: ServiceSettings) -> AsyncIterator[tuple[Toolbox, Stopping]]:
    rules = Stopping(upstream=tenant.host.removeprefix("http://"), rate=1_000)
    with strict_bigquery(rules):
        patient = {"bigquery_deadline_seconds": 60.0, "dml_statements_per_10_seconds": 1_000}
        settings = service_settings.model_copy(update={"bigquery_emulator_host": rules.url, **patient})
        async with BigQuery(settings, service="executor") as bq:
            yield replace(tools, bq=bq, store=Store(bq, ddl=DDL), staging=StagingTables(bq, SystemClock())), rules


async def ready(job: PreparedRun, tools: Toolbox) -> StepContext:
    """The run's publish step, which is its last, with what it will publish."""
    _, table = await staged(job, tools)
    context = context_of(job, job.template.steps[-1], {}, tools)
    return replace(context, staging=(table,), outputs=read_as_a_whole(job), last=LastStep(rows_processed=None))  # type: ignore[arg-type]


async def publish(job: PreparedRun, context: StepContext) -> StepResult | None:
    """None: another has ended the run."""
    try:
        return await job.template.steps[-1].action.run(context)
    except FenceLost:
        return None


async def cancel(job: PreparedRun, tools: Toolbox) -> RunStatus | None:
    return await tools.store.finish_run(job.run.tenant_id, job.run.pipeline_logging_id, CANCELLED, at=datetime.now(UTC))


async def seen(tenant: Tenant, job: PreparedRun) -> tuple[str, int]:
    """What a reader sees of the run: its status, and the rows that it has published."""
    identity = job.run.pipeline_logging_id
    [found] = await tenant.rows(
        f"SELECT (SELECT MIN(status) FROM x_meta_pipeline_runs WHERE pipeline_logging_id = '{identity}') AS status,"
        f" (SELECT COUNT(*) FROM billing_cost_daily WHERE pipeline_logging_id = '{identity}') AS n"
    )
    return found["status"], found["n"]


async def test_of_a_cancel_and_a_publish_exactly_one_ends_the_run(tenant: Tenant, begin: Begin, stopping: tuple[Toolbox, Stopping]) -> None:
    """At whichever statement of the script the cancel comes. The run is CANCELLED and has published nothing, or COMPLETED with its day."""
    tools, rules = stopping
    ends, statements = list[RunStatus | None](), 1
    while len(ends) < statements:
        sent, place = jobs("publish_billing_cost_daily"), rules.stop(len(ends) + 1)
        job = await begin(date=(FIRST + timedelta(days=len(ends))).isoformat())
        publishing = asyncio.create_task(publish(job, await ready(job, tools)))
        await place.reached()
        cancelling = asyncio.create_task(cancel(job, tools))
        await rules.met(cancelling)
        place.go_on()
        result, status = await publishing, await cancelling

        assert await seen(tenant, job) == (("CANCELLED", 0) if result is None else ("COMPLETED", ROWS)), place
        assert status is (RunStatus.CANCELLED if result is None else RunStatus.COMPLETED)
        ends.append(status)
        # A script that is sent again ends the run behind the commit, with more statements than the first one has.
        statements = rules.statements if jobs("publish_billing_cost_daily") == sent + 1 else max(statements, len(ends) + 1)
    assert set(ends) == {RunStatus.CANCELLED, RunStatus.COMPLETED}


async def test_a_publish_that_was_cancelled_for_another_run_ends_its_own_behind_the_commit(
    tenant: Tenant, begin: Begin, stopping: tuple[Toolbox, Stopping]
) -> None:
    """The end of another run changes the same table, so the script is sent once more; with that, too, exactly one ends the run."""
    tools, rules = stopping
    ends = list[RunStatus | None]()
    for after in (0, 2, 8, 10, 11, 12):
        job, other = [await begin(date=(FIRST + timedelta(days=10 + after)).isoformat()) for _ in range(2)]
        context, first = await ready(job, tools), rules.stop(3)
        publishing = asyncio.create_task(publish(job, context))
        await first.reached()
        await cancel(other, tools)
        sent, aborted = jobs("publish_billing_cost_daily"), rules.aborted.total()
        second = rules.stop(after)
        first.go_on()
        if after:
            await second.reached()
            cancelling = asyncio.create_task(cancel(job, tools))
            await rules.met(cancelling)
            second.go_on()
            ends.append(await cancelling)
        result = await publishing

        assert await seen(tenant, job) == (("CANCELLED", 0) if result is None else ("COMPLETED", ROWS)), second
        assert after or result is not None
        assert not after or ends[-1] is (RunStatus.CANCELLED if result is None else RunStatus.COMPLETED)
        assert jobs("publish_billing_cost_daily") > sent
        assert rules.aborted.total() > aborted
        rules.place = None
    assert set(ends) == {RunStatus.CANCELLED, RunStatus.COMPLETED}


async def test_a_script_that_is_sent_again_has_published(tenant: Tenant, begin: Begin, tools: Toolbox) -> None:
    """Its answer was lost: the run is completed by this very claim. Nothing changes, and the day stays what a later run has made of it."""
    job, later = await begin(date=FIRST.isoformat()), await begin(date=FIRST.isoformat())
    context = await ready(job, tools)
    first = await publish(job, context)
    assert first is not None
    ended = await tools.store.require_run(tenant.tenant_id, job.run.pipeline_logging_id)
    assert (ended.status, ended.completed_at, ended.rows_processed, ended.cost_usd) == (RunStatus.COMPLETED, first.ended_at, ROWS, None)
    assert ended.completed_at is not None
    assert ended.duration_ms == (ended.completed_at - ended.started_at) // timedelta(milliseconds=1)
    assert await publish(later, await ready(later, tools)) is not None

    again = await publish(job, context)

    assert again is not None
    assert (again.rows_processed, again.ended_at) == (ROWS, first.ended_at)
    assert await seen(tenant, job) == ("COMPLETED", 0)
    assert await seen(tenant, later) == ("COMPLETED", ROWS)
    [days] = await tenant.rows("SELECT version, pipeline_logging_id AS i FROM x_meta_cost_days")
    assert (days["version"], days["i"]) == (2, later.run.pipeline_logging_id)


async def test_the_time_of_the_end_is_by_the_executors_clock(tenant: Tenant, begin: Begin, tools: Toolbox) -> None:
    """BigQuery's own clock may be another; only how long the script took is taken from it."""
    job = await begin(date=FIRST.isoformat())
    context = await ready(job, tools)

    class Behind(SystemClock):
        def now(self) -> datetime:
            return datetime(2026, 1, 1, 12, tzinfo=UTC)

    result = await publish(job, replace(context, tools=replace(tools, clock=Behind())))
    assert result is not None
    assert result.ended_at is not None
    assert timedelta(0) <= result.ended_at - Behind().now() < timedelta(seconds=PATIENCE)
