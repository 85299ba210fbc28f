"""The row of a run says which process has claimed it and whether it may be retried, also if row or table are older than these columns."""

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.executor.errors import FenceLost, StepError
from services.executor.records import Period, RunOutcome, RunStatus
from services.executor.runs.active import ActiveRuns
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.runs.progress import context_of
from services.executor.runs.quota import Reservation
from services.executor.store import Store
from services.executor.templates.catalog import Catalog
from services.executor.templates.step import StepContext, StepResult, Toolbox
from services.platform.clock import SystemClock
from tests.integration.executor.runs.test_life import DATE, Begin
from tests.integration.executor.runs.test_old_tenants import columns_of, make_old
from tests.integration.executor.steps.test_publish_conflicts import read_as_a_whole, staged
from tests.integration.executor.steps.test_steps import Steps
from tests.support.executor.fakes import RecordingLedger
from tests.support.executor.tenant import Tenant

FAILED = RunOutcome(status=RunStatus.FAILED, error_message="broken")


async def is_final(store: Store, tenant: Tenant, *runs: str) -> list[bool]:
    ends = await store.run_ends(tenant.tenant_id, runs, datetime(2025, 1, 1, tzinfo=UTC))
    return [ends[run].is_final for run in runs]


async def broken(_: StepContext) -> StepResult:
    raise StepError("broken")


async def ended(tools: Toolbox, prepared: PreparedRun, quota: RecordingLedger) -> None:
    """Led by a process of its own until its row says how it ended."""
    active = ActiveRuns(
        execute=lambda run, progress: execute(run, tools, progress),
        store=tools.store,
        quota=quota,  # type: ignore[arg-type]
        clock=SystemClock(),
        max_concurrent=1,
        grace_seconds=20.0,
    )
    async with active:
        run = prepared.run
        day = run.started_at.date()
        active.start(prepared, Reservation(tenant_id=run.tenant_id, pipeline_logging_id=run.pipeline_logging_id, usage_date=day))


async def test_a_lost_line_does_not_turn_a_final_failure_into_another_attempt(
    tenant: Tenant, tools: Toolbox, begin: Begin, store: Store, quota: RecordingLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No line of the run is written. A failure that may heal is not final."""
    final, healing = Steps(), Steps()
    final.add("a", broken)

    async def busy(_: StepContext) -> StepResult:
        raise StepError("busy", is_retryable=True)

    healing.add("a", busy)
    jobs = [steps.job(await begin(**DATE)) for steps in (final, healing)]

    def lost(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(store, "log_steps", lost)
    for job in jobs:
        await ended(tools, job, quota)
    assert await is_final(store, tenant, *(job.run.pipeline_logging_id for job in jobs)) == [True, False]


async def test_a_run_that_had_failed_for_good_is_final_also_when_it_is_stopped_then(
    tenant: Tenant, tools: Toolbox, begin: Begin, store: Store, quota: RecordingLedger
) -> None:
    """`a` has failed when the run's time is up, `b` is still at work."""
    steps = Steps()

    async def endless(_: StepContext) -> StepResult:
        await asyncio.Event().wait()
        return StepResult()

    steps.add("a", broken)
    steps.add("b", endless)
    job = steps.job(await begin(**DATE))
    soon = datetime.now(UTC) + timedelta(seconds=2)
    await ended(tools, replace(job, run=replace(job.run, deadline_at=soon)), quota)
    [row] = await tenant.rows("SELECT status, error_message, is_final FROM x_meta_pipeline_runs")
    assert (row["status"], "took longer" in row["error_message"], row["is_final"]) == ("FAILED", True, True)


async def test_what_an_executor_from_before_these_columns_leads_is_left_to_it(tenant: Tenant, begin: Begin, store: Store) -> None:
    """It sets the deadline alone. No other claim takes the run over, with `overlap: refuse` and without."""
    job = await begin(**DATE)
    await tenant.rows("UPDATE x_meta_pipeline_runs SET claimed_by = NULL WHERE TRUE")
    for alone in (None, Period(first=date(2025, 11, 17), last=date(2025, 11, 17))):
        claim = await store.claim_run(job.run, alone, seconds=20)
        assert (claim.is_ours, claim.status) == (False, RunStatus.RUNNING)
    [row] = await tenant.rows("SELECT claimed_by FROM x_meta_pipeline_runs")
    assert row == {"claimed_by": None}


async def test_rows_from_before_is_final_are_read_as_they_were(tenant: Tenant, tools: Toolbox, begin: Begin, store: Store) -> None:
    """By the line of the failed step, and by a deadline that is the start; a run without either may be tried again."""
    steps = Steps()
    steps.add("a", broken)
    logged, refused, lost, cancelled = steps.job(await begin(**DATE)), await begin(**DATE), await begin(**DATE), await begin(**DATE)
    await execute(logged, tools)
    for job, status in ((logged, "FAILED"), (refused, "FAILED"), (lost, "FAILED"), (cancelled, "CANCELLED")):
        deadline = "started_at" if job is refused else "deadline_at"
        await tenant.rows(
            f"UPDATE x_meta_pipeline_runs SET status = '{status}', completed_at = started_at, deadline_at = {deadline} "
            f"WHERE pipeline_logging_id = '{job.run.pipeline_logging_id}'"
        )
    runs = [job.run.pipeline_logging_id for job in (logged, refused, lost, cancelled)]
    assert await is_final(store, tenant, *runs) == [True, True, False, False]


@pytest.mark.parametrize("first", ["insert", "claim", "claim alone", "refuse", "end", "ask"])
async def test_a_table_from_before_these_columns_gets_them_with_the_first_statement_that_names_one(
    tenant: Tenant, catalog: Catalog, store: Store, first: str
) -> None:
    await make_old(tenant)
    prepared = tenant.job(catalog, date="2025-11-17")
    run, now = prepared.run, datetime.now(UTC)
    old = f"('{run.pipeline_logging_id}', '{run.tenant_id}', 'RUNNING', 1, CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP())"
    columns = "pipeline_logging_id, tenant_id, status, attempt, started_at, deadline_at"
    match first:
        case "insert":
            await store.insert_run(run, seconds=20)
        case "claim" | "claim alone":
            claim = await store.claim_run(run, prepared.period if first == "claim alone" else None, seconds=20)
            assert (claim.is_ours, claim.status) == (True, RunStatus.RUNNING)
        case "refuse":
            await store.insert_refused_run(replace(run, error_message="no"), seconds=20)
        case _:
            await tenant.rows(f"INSERT INTO x_meta_pipeline_runs ({columns}) VALUES {old}")
    if first not in {"refuse", "ask"}:
        assert await store.finish_run(run.tenant_id, run.pipeline_logging_id, replace(FAILED, is_final=True), at=now) is RunStatus.FAILED
    expected = [first != "ask"]
    assert await is_final(store, tenant, run.pipeline_logging_id) == expected
    newer = ["claimed_by", "is_final", "bytes_billed", "slot_ms", "bytes_read", "cost_usd", "trace_id"]
    assert (await columns_of(tenant, "x_meta_pipeline_runs"))[-len(newer) :] == newer
    assert len(await tenant.rows("SELECT 1 FROM x_meta_pipeline_runs")) == 1


async def test_only_who_has_claimed_the_run_publishes(tenant: Tenant, tools: Toolbox, begin: Begin) -> None:
    """A second leader of the same id, first or late, has the same id and attempt, and another claim."""
    job = await begin(**DATE)
    publish, table = await staged(job, tools)
    context = context_of(job, job.template.steps[-1], {}, tools)
    context = replace(context, staging=(table,), outputs=read_as_a_whole(job))  # type: ignore[arg-type]
    other = replace(context, run=replace(context.run, claimed_by=str(uuid.uuid4())))
    with pytest.raises(FenceLost):
        await publish.run(other)
    assert (await publish.run(context)).rows_processed == 3
    with pytest.raises(FenceLost):
        await publish.run(other)
    [row] = await tenant.rows("SELECT claimed_by FROM x_meta_publish_fences AS f WHERE f.state IS NOT NULL")
    assert row == {"claimed_by": job.run.claimed_by}
