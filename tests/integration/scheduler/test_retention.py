"""Scheduled runs go after their time, but not before they have left the queue."""

from datetime import timedelta

from services.scheduler.retention.old_runs import LONGER_DAYS, retention
from tests.integration.scheduler.conftest import Scheduler, Tables


async def test_old_runs_go_once_they_are_settled(tables: Tables, scheduler: Scheduler) -> None:
    """One ended long ago, one lately, one is being settled by its holder, one waits since then."""
    (tenant_id,) = await tables.tenants()
    old, settling, waiting, lately = await tables.schedules([tenant_id] * 4)
    await scheduler.trigger.fire()
    ended = {"ended": ("ARRAY<STRING>", [old, settling, lately]), "now": ("TIMESTAMP", tables.clock.now())}
    await tables.run("UPDATE scheduled_pipeline_runs SET state = 'COMPLETED', completed_at = @now WHERE config_id IN UNNEST(@ended)", ended)
    await tables.run("UPDATE scheduled_pipeline_runs SET scheduled_time = @now WHERE config_id IN UNNEST(@ended)", ended)
    gone = {"gone": ("ARRAY<STRING>", [old, lately])}
    await tables.run("DELETE FROM pipeline_execution_queue WHERE config_id IN UNNEST(@gone)", gone)
    tables.clock.time += timedelta(days=35 + LONGER_DAYS, hours=1)
    later = {"config": ("STRING", lately), "now": ("TIMESTAMP", tables.clock.now())}
    await tables.run("UPDATE scheduled_pipeline_runs SET completed_at = @now WHERE config_id = @config", later)

    async def left(days: int) -> set[str]:
        (work, _), *_ = retention(tables.bq, tables.clock, run_days=days)._works
        await work()
        return {run["config_id"] for run in await tables.runs()}

    assert await left(0) == {old, settling, waiting, lately}
    assert await left(36) == {old, settling, waiting, lately}
    assert await left(35) == {settling, waiting, lately}
