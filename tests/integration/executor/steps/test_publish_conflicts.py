"""Concurrent publishes of one tenant, in two executors, through a proxy that cancels transactions as BigQuery does."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from os import environ

import pytest
import structlog

from services.executor.errors import FenceLost
from services.executor.keyed_locks import KeyedLocks
from services.executor.records import RunCost, RunOutcome, RunStatus
from services.executor.runs.prepared import PreparedRun
from services.executor.runs.progress import context_of
from services.executor.staging.tables import StagingTables
from services.executor.steps.bigquery_publish import Publish
from services.executor.store import Store
from services.executor.templates.step import LastStep, Toolbox
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import load_tables
from services.platform.bigquery.sql import make_block
from services.platform.clock import SystemClock
from services.platform.settings import REPOSITORY, ServiceSettings
from tests.integration.executor.steps.test_billing import Begin
from tests.support.counting import jobs as statements
from tests.support.executor.tenant import Tenant
from tests.support.strict_bigquery import StrictBigQuery, strict_bigquery

RUNS = int(environ.get("CONVERGENCE_PUBLISHES", "6"))
"""Each of a day of its own; every third one is cancelled while it publishes. 25 take some minutes on a small machine."""
BILLING_TABLE, DDL = "billing_cost_daily", REPOSITORY / "configs" / "bigquery" / "tenant"
ROWS, DOLLARS = 3, 6.0
COST = RunCost(bytes_billed=10 * 2**20, cost_usd=0.5)
FIRST = date(2025, 11, 1)
SECONDS = (0.05, 0.1)
"""A statement's time: a twentieth of BigQuery's."""


_log = structlog.get_logger()

type Executors = tuple[list[Toolbox], StrictBigQuery]


@pytest.fixture
async def executors(tenant: Tenant, tools: Toolbox, service_settings: ServiceSettings) -> AsyncIterator[Executors]:
    """What two executors work with, behind one proxy: their turns do not know of each other."""
    rules = StrictBigQuery(upstream=tenant.host.removeprefix("http://"), seconds=SECONDS, rate=1_000)
    patient = {"bigquery_deadline_seconds": 60.0, "dml_statements_per_10_seconds": 1_000}
    with strict_bigquery(rules):
        settings = service_settings.model_copy(update={"bigquery_emulator_host": rules.url, **patient})
        async with AsyncExitStack() as stack:
            found = []
            for _ in range(2):
                bq = await stack.enter_async_context(BigQuery(settings, service="executor"))
                store = Store(bq, ddl=DDL)
                staging = StagingTables(bq, SystemClock())
                found.append(replace(tools, bq=bq, store=store, staging=staging, publish_locks=KeyedLocks()))
            yield found, rules
            for one in found:
                await one.staging.dropped()


async def staged(job: PreparedRun, tools: Toolbox) -> tuple[Publish, object]:
    """The run's publish step, and the table that holds what it will publish."""
    *_, last = job.template.steps
    assert isinstance(last.action, Publish)
    assert job.period is not None
    shape = job.template.steps[0].action.shape  # type: ignore[attr-defined]  # the extract step's
    table = shape.table(job.run.pipeline_logging_id, job.run.attempt)
    await tools.staging.make(job.run.tenant_id, table)
    fill = make_block(
        "fill",
        f"INSERT INTO {table.name} (usage_start_time, cost, credits_total, currency)\n"
        f"SELECT TIMESTAMP(@day), {DOLLARS / ROWS}, 0.0, 'USD' FROM UNNEST(GENERATE_ARRAY(1, {ROWS})) AS number",
        {"day": "DATE"},
    )
    await tools.bq.query(fill, {"day": job.period.first}, dataset=tools.bq.tenant(job.run.tenant_id))
    return last.action, table


def read_as_a_whole(job: PreparedRun) -> dict[str, object]:
    """What the extract step says of the run's days."""
    assert job.period is not None
    unknown = dict.fromkeys(("since", "source_table", "source_created_at", "exported_to"))
    return {"day_reads": [{"day": day, "is_followed": False, **unknown} for day in job.period.days], "watermarks": []}


async def publish(job: PreparedRun, tools: Toolbox) -> bool:
    """Whether the run has published."""
    action, table = await staged(job, tools)
    context = context_of(job, job.template.steps[-1], {}, tools)
    context = replace(context, staging=(table,), outputs=read_as_a_whole(job), last=LastStep(rows_processed=None))  # type: ignore[arg-type]
    try:
        result = await action.run(context)
    except FenceLost:
        return False
    assert result.rows_processed == ROWS
    assert result.ended_at is not None
    await tools.store.ends.add_cost(job.run.tenant_id, job.run.pipeline_logging_id, COST)
    return True


async def cancel(job: PreparedRun, tools: Toolbox, tenant: Tenant, after: float) -> int:
    """How many rows the run has published when it is seen to have ended."""
    await asyncio.sleep(after)
    await tools.store.finish_run(
        job.run.tenant_id, job.run.pipeline_logging_id, RunOutcome(status=RunStatus.CANCELLED), at=datetime.now(UTC)
    )
    [found] = await tenant.rows(f"SELECT COUNT(*) AS n FROM billing_cost_daily WHERE pipeline_logging_id = '{job.run.pipeline_logging_id}'")
    return int(found["n"])


async def claim(job: PreparedRun, tools: Toolbox, after: float) -> None:
    """An attempt of a scheduled run begins: a plain statement changes the table of runs."""
    await asyncio.sleep(after)
    run = replace(job.run, pipeline_logging_id=str(uuid.uuid4()), claimed_by=str(uuid.uuid4()))
    assert (await tools.store.claim_run(run, seconds=60)).is_ours


@pytest.mark.timeout(600)
async def test_every_day_is_published_once_or_not_at_all(tenant: Tenant, executors: Executors, begin: Begin) -> None:
    """Transactions, which also end their runs, are cancelled for each other and for claims and ends of other runs, and all get through. A
    run that is seen to have ended publishes nothing any more; no day holds a part of a run.
    """
    both, rules = executors
    days = [FIRST + timedelta(days=number) for number in range(RUNS)]
    jobs = [await begin(date=day.isoformat()) for day in days]
    await both[0].store.ensure_table(tenant.tenant_id, load_tables(DDL)[BILLING_TABLE])
    ends = {number: job for number, job in enumerate(jobs) if number % 3 == 0}

    publishes = [publish(job, both[number % 2]) for number, job in enumerate(jobs)]
    cancels = [cancel(job, both[(number + 1) % 2], tenant, 0.3 * number) for number, job in ends.items()]
    claims = [claim(jobs[0], both[number % 2], 0.4 * number) for number in range(RUNS)]
    scripts_before, began = statements(f"publish_{BILLING_TABLE}"), time.monotonic()
    outcomes, published, _ = await asyncio.gather(asyncio.gather(*publishes), asyncio.gather(*cancels), asyncio.gather(*claims))
    sent, seconds = statements(f"publish_{BILLING_TABLE}") - scripts_before, time.monotonic() - began
    _log.info("published", runs=RUNS, scripts=sent, seconds=round(seconds, 1), cancelled=dict(rules.aborted))

    has_published = dict(zip(days, outcomes, strict=True))
    assert [ROWS * has_published[days[number]] for number in ends] == published
    found = await tenant.rows(
        "SELECT b.usage_date, COUNT(*) AS n, SUM(b.cost) AS cost, COUNT(DISTINCT b.pipeline_logging_id) AS runs"
        " FROM billing_cost_daily AS b GROUP BY b.usage_date ORDER BY b.usage_date"
    )
    assert [(one["usage_date"], one["n"], one["cost"], one["runs"]) for one in found] == [
        (day, ROWS, DOLLARS, 1) for day in days if has_published[day]
    ]
    assert all(has_published[day] for number, day in enumerate(days) if number % 3)
    runs = await tenant.rows("SELECT pipeline_logging_id AS i, status, rows_processed AS n, cost_usd FROM x_meta_pipeline_runs")
    ended = {one["i"]: (one["status"], one["n"], one["cost_usd"]) for one in runs}
    completed, cancelled = ("COMPLETED", ROWS, COST.cost_usd), ("CANCELLED", None, None)
    assert {job.run.pipeline_logging_id: ended[job.run.pipeline_logging_id] for job in jobs} == {
        job.run.pipeline_logging_id: completed if has_published[day] else cancelled for day, job in zip(days, jobs, strict=True)
    }
    assert sum(rules.aborted.values()) > 0
