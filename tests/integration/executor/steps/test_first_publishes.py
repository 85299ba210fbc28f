"""Two executors publish a day concurrently that holds nothing yet: neither deletes a row that the other one has written."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from services.executor.runs.prepared import PreparedRun
from services.executor.runs.progress import context_of
from services.executor.steps.bigquery_publish import Publish
from services.executor.steps.run_end_script import RUN_ROWS, EndOfRun
from services.executor.templates.step import LastStep, StepContext, Toolbox
from services.platform.bigquery import errors as bigquery
from tests.integration.executor.steps.test_billing import Begin
from tests.integration.executor.steps.test_publish_conflicts import ROWS, read_as_a_whole, staged
from tests.support.executor.tenant import Tenant

LOCKS = "SELECT * FROM x_meta_publish_fences AS f WHERE f.state IS NULL"


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A publish that is about to begin."""

    action: Publish
    context: StepContext

    @property
    def own(self) -> Mapping[str, object]:
        """Parameters of its script."""
        return {RUN_ROWS: None, **self.action._own(self.context)}


async def ready(job: PreparedRun, tools: Toolbox) -> Ready:
    """The run's publish, with its rows staged."""
    action, table = await staged(job, tools)
    context = replace(
        context_of(job, job.template.steps[-1], {}, tools),
        staging=(table,),  # type: ignore[arg-type]  # what staged() made
        outputs=read_as_a_whole(job),
        last=LastStep(rows_processed=None),
    )
    await tools.store.ensure_tables(job.run.tenant_id, action.tables)
    return Ready(action=action, context=context)


async def publish_slowly(one: Ready, way: EndOfRun) -> bool | None:
    """Publishes, with a second of work before the COMMIT; None if the transaction was cancelled."""
    script = one.action.scripts[way]
    work = "SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, 4000000)) AS number WHERE MOD(number, 7) = 3;\n  "
    slow = replace(script, sql=script.sql.replace("COMMIT TRANSACTION", f"{work}COMMIT TRANSACTION"))
    assert slow != script
    try:
        return bool((await one.context.query(slow, one.own, once=True)).only_row["published"])
    except bigquery.TransactionCancelled:
        return None


async def entries(tenant: Tenant) -> Mapping[str, Any]:
    """What the day holds."""
    [found] = await tenant.rows(
        "SELECT (SELECT COUNT(*) FROM billing_cost_daily) AS billing, (SELECT COUNT(*) FROM x_meta_cost_days) AS days,"
        " (SELECT SUM(d.row_count) FROM x_meta_cost_days AS d) AS row_count,"
        " (SELECT CAST(SUM(c.delta) AS FLOAT64) FROM x_meta_cost_changes AS c) AS moved"
    )
    return found


@pytest.mark.parametrize("ways", [(EndOfRun.WITHIN, EndOfRun.AFTER), (EndOfRun.WITHIN, EndOfRun.LATER), (EndOfRun.LATER, EndOfRun.AFTER)])
async def test_one_of_two_first_publishes_is_cancelled(
    tenant: Tenant, tools: Toolbox, begin: Begin, ways: tuple[EndOfRun, EndOfRun]
) -> None:
    """However each of them ends its run."""
    both = [await ready(await begin(date="2025-11-01"), tools) for _ in ways]

    outcomes = await asyncio.gather(*(publish_slowly(one, way) for one, way in zip(both, ways, strict=True)))

    assert set(outcomes) == {True, None}
    assert await entries(tenant) == {"billing": ROWS, "days": 1, "row_count": ROWS, "moved": 6.0}


async def test_the_lock_is_made_where_a_tenants_fences_have_none(tenant: Tenant, tools: Toolbox, begin: Begin) -> None:
    """The table was made by an earlier release: the publish makes the lock, and only then ends its run."""
    one = await ready(await begin(date="2025-11-01"), tools)
    assert len(await tenant.rows(LOCKS)) == 1
    await tenant.rows("DELETE FROM x_meta_publish_fences AS f WHERE f.state IS NULL")

    refused = (await one.context.query(one.action.scripts[EndOfRun.WITHIN], one.own, once=True)).only_row
    assert (refused["published"], refused["ended_at"], refused["lock_is_missing"]) == (False, None, True)
    assert (await entries(tenant))["billing"] == 0

    result = await one.action.run(one.context)

    assert (result.rows_processed, result.ended_at is None) == (ROWS, False)
    assert len(await tenant.rows(LOCKS)) == 1
    [run] = await tenant.rows("SELECT status FROM x_meta_pipeline_runs")
    assert run["status"] == "COMPLETED"


async def test_two_entries_of_a_day_become_one(tenant: Tenant, tools: Toolbox, begin: Begin) -> None:
    """As earlier releases could write them."""
    first, second = [await ready(await begin(date="2025-11-01"), tools) for _ in range(2)]
    await first.action.run(first.context)
    await tenant.rows("INSERT INTO x_meta_cost_days SELECT * FROM x_meta_cost_days")
    await tenant.rows("INSERT INTO billing_cost_daily SELECT * FROM billing_cost_daily")

    await second.action.run(second.context)

    assert await entries(tenant) == {"billing": ROWS, "days": 1, "row_count": ROWS, "moved": 0.0}
