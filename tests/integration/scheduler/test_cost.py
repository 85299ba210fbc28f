"""What the scheduler's jobs cost, from our own counters, and that the bounds on fire times lose no run."""

from collections import Counter
from datetime import timedelta

import pytest

from services.platform.bigquery.ddl import load_tables
from services.platform.bigquery.sql import make_block
from services.platform.settings import REPOSITORY
from services.scheduler.queue.outcomes import Refusal
from services.scheduler.schedules.store import ScheduleStore
from tests.integration.scheduler.conftest import ALL, LEASE, Scheduler, Tables
from tests.integration.scheduler.stub_executor import StubExecutor
from tests.integration.scheduler.test_contention import backfill
from tests.support.counting import jobs, references

RUNS = "scheduled_pipeline_runs"


async def test_a_call_that_finds_nothing_costs_one_statement_over_two_tables(tables: Tables, scheduler: Scheduler) -> None:
    """Also when the queue holds a paused schedule's run and one that waits for its retry."""
    await tables.schedules(await tables.tenants() * 2)
    await scheduler.trigger.fire()
    paused, _ = await tables.runs()
    config: dict[str, tuple[str, object]] = {"c": ("STRING", paused["config_id"])}
    await tables.run("UPDATE tenant_pipeline_configs SET is_active = FALSE WHERE config_id = @c", config)
    later: dict[str, tuple[str, object]] = {**config, "t": ("TIMESTAMP", tables.clock.now() + timedelta(hours=1))}
    await tables.run("UPDATE pipeline_execution_queue SET not_before = @t WHERE config_id != @c", later)
    before, spent = jobs(), references()
    assert await scheduler.process(50) == 0
    assert (jobs() - before, references() - spent) == (1, Counter(pipeline_execution_queue=1, tenant_pipeline_configs=1))


async def test_an_idle_scheduler_looks_once_in_five_leases_and_one_that_knows_of_claims_in_each(
    tables: Tables, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("services.scheduler.queue.processor.time.monotonic", lambda: now)
    await scheduler.process()

    async def looks(leases: int) -> float:
        nonlocal now
        before = jobs("look")
        for _ in range(leases):
            now += LEASE.total_seconds()
            await scheduler.processor._look_again()
            await scheduler.started()
        return jobs("look") - before

    assert await looks(10) == 2
    await tables.schedules(await tables.tenants())
    await scheduler.trigger.fire()
    assert await scheduler.process() == 1
    assert await looks(3) == 3


@pytest.mark.parametrize("partitioned", [True, False])
async def test_runs_of_any_age_go_their_whole_way(
    tables: Tables, scheduler: Scheduler, executor: StubExecutor, *, partitioned: bool
) -> None:
    """Days of a backfill, a run that a paused schedule has kept in the queue for two years, and one that is due now, claimed together; one
    fails, is tried again, fails for good, and its tenant retries it. The same in a table from before the partitions.
    """
    await _with_table(tables, partitioned=partitioned)
    (tenant_id,) = await tables.tenants()
    old, new = await tables.schedules([tenant_id] * 2, max_retries=2)
    await scheduler.trigger.fire()
    long_ago: dict[str, tuple[str, object]] = {"c": ("STRING", old), "t": ("TIMESTAMP", tables.clock.now() - timedelta(days=730))}
    for table in (RUNS, "pipeline_execution_queue"):
        await tables.run(f"UPDATE {table} SET scheduled_time = @t WHERE config_id = @c", long_ago)
    schedules = ScheduleStore(tables.bq)
    schedule = await schedules.find(tenant_id, new)
    assert schedule is not None
    days = backfill(new, tables.clock.now() - timedelta(days=365))
    done = [await schedules.backfill(schedule, days, tables.clock.now(), max_queued_runs=1_000) for _ in range(2)]
    assert [one.known for one in done] == [len(days)] * 2

    claims = await scheduler.processor.process(50)
    await scheduler.started()
    assert len(claims) == len(days) + 2
    executor.end_all("FAILED", error_message="No rows.")
    await scheduler.poll()
    assert {(run["state"], run["retry_count"], run["attempt"]) for run in await tables.runs()} == {("FAILED", 1, 1)}

    tables.clock.time += timedelta(hours=1)
    assert await scheduler.process(50) == len(claims)
    executor.end_all("FAILED", error_message="No rows.")
    await scheduler.poll()
    assert {(run["state"], run["retry_count"], run["queue_state"]) for run in await tables.runs()} == {("FAILED", 2, None)}

    run_id = next(run["run_id"] for run in await tables.runs() if run["config_id"] == old)
    await scheduler.store.retry_run(tenant_id, run_id, tables.clock.now(), max_queued_runs=1_000)
    (claim,) = await scheduler.processor.process(50)
    assert (claim.run_id, claim.attempt, claim.max_retries) == (run_id, 3, 4)


async def test_deleting_a_schedule_ends_its_queued_runs_of_any_age(tables: Tables, scheduler: Scheduler) -> None:
    (tenant_id,) = await tables.tenants()
    (config_id,) = await tables.schedules([tenant_id])
    schedules = ScheduleStore(tables.bq)
    schedule = await schedules.find(tenant_id, config_id)
    assert schedule is not None
    days = backfill(config_id, tables.clock.now() - timedelta(days=700))
    await schedules.backfill(schedule, days, tables.clock.now(), max_queued_runs=1_000)
    await scheduler.trigger.fire()
    assert await schedules.delete(tenant_id, config_id, tables.clock.now())
    assert {(run["state"], run["queue_state"]) for run in await tables.runs()} == {("FAILED", None)}
    assert len(await tables.runs()) == len(days) + 1


async def test_a_run_outside_the_span_of_a_look_waits_for_the_next(tables: Tables, scheduler: Scheduler) -> None:
    """It was queued after the look: its own row would not be read, so it is not claimed with a guess."""
    (tenant_id,) = await tables.tenants()
    await tables.schedules([tenant_id])
    await scheduler.trigger.fire()
    now = tables.clock.now()
    look = await scheduler.store.look(now)
    assert look.span is not None
    assert (look.ready, look.claimed, look.lapsed) == (1, 0, 0)
    await tables.schedules([tenant_id], priority=90, next_run_time=now - timedelta(days=3), catch_up="latest", schedule_cron="0 0 1 1 *")
    await scheduler.trigger.fire()
    (claim,) = await scheduler.store.claim("a", 50, look.span, now, now + LEASE)
    assert claim.scheduled_time == look.span.first
    assert len(await scheduler.store.claim("b", 50, ALL, now, now + LEASE)) == 1


async def test_a_refused_run_still_counts_as_one_that_needs_its_unit(tables: Tables, scheduler: Scheduler) -> None:
    """`attempt` of a queued row is the number of its failures, whatever it went through."""
    (tenant_id,) = await tables.tenants(daily_limit=2)
    await tables.schedules([tenant_id])
    await scheduler.trigger.fire()
    (claim,) = await scheduler.store.claim("a", 1, ALL, tables.clock.now(), tables.clock.now() + LEASE)
    await scheduler.store.put_back([Refusal(claim=claim, not_before=tables.clock.now())])
    assert (await tables.the_run())["attempt"] == 0
    await tables.schedules([tenant_id] * 2)
    assert (await scheduler.trigger.fire()).queued == 1


async def _with_table(tables: Tables, *, partitioned: bool) -> None:
    """The table as it is now, or as it was before it had partitions."""
    sql = load_tables(REPOSITORY / "configs" / "bigquery" / "control")[RUNS].sql
    assert "PARTITION BY DATE(scheduled_time)\n" in sql
    await tables.run(f"DROP TABLE {RUNS}")
    create = sql if partitioned else sql.replace("PARTITION BY DATE(scheduled_time)\n", "")
    await tables.bq.query(make_block("create", create, {}), {}, dataset=tables.bq.control(), seconds=60)
