"""gcp/cost/billing with `days: changed`: what it reads, what it leaves, and what the ledger of days says afterwards."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.executor.records import RunStatus
from services.executor.runs.execute import execute
from services.executor.store import Store
from services.executor.templates.step import Toolbox
from tests.integration.executor.steps.test_billing import Begin, export
from tests.support.executor.billing_export import ACCOUNT, DETAILED, STANDARD, append, row
from tests.support.executor.tenant import Tenant
from tests.support.set_clock import SetClock

TODAY = date(2025, 11, 20)
NOON = datetime(2025, 11, 20, 12, tzinfo=UTC)
WINDOW = {"days": "changed", "history_days": 3}
type Steps = dict[str, dict[str, Any]]


@pytest.fixture
def clock() -> SetClock:
    clock = SetClock()
    clock.time = NOON
    return clock


@pytest.fixture
def timed(tools: Toolbox, clock: SetClock) -> Toolbox:
    return replace(tools, clock=clock)


@pytest.fixture
def changed(begin_whole: Begin, timed: Toolbox, store: Store, tenant: Tenant) -> Callable[..., Any]:
    """A run to its end; what its steps say."""

    async def run(**parameters: object) -> Steps:
        job = await begin_whole(**(parameters or WINDOW))
        outcome = await execute(job, timed)
        logs = await store.list_step_logs(tenant.tenant_id, job.run.pipeline_logging_id)
        said: Steps = {one.step_id: {"action": one.action, **one.metadata} for one in logs if one.action != "STEP_STARTED"}
        assert outcome.status is RunStatus.COMPLETED, outcome.error_message
        return said | {"run": {"rows": outcome.rows_processed}}

    return run


def late(day: date, exported: datetime, *, cost: float = 1.0) -> dict[str, Any]:
    return row(day, export_time=exported, cost=cost)


async def costs(tenant: Tenant) -> dict[date, float]:
    rows = await tenant.rows("SELECT usage_date, SUM(net_cost) AS cost FROM billing_cost_daily GROUP BY usage_date")
    focus = await tenant.rows("SELECT x_UsageDate AS usage_date, SUM(BilledCost) AS cost FROM focus_cost_daily GROUP BY x_UsageDate")
    assert {one["usage_date"]: one["cost"] for one in rows} == {one["usage_date"]: float(one["cost"]) for one in focus}
    moved = await tenant.rows("SELECT usage_date, SUM(delta) AS cost FROM x_meta_cost_changes GROUP BY usage_date")
    assert {one["usage_date"]: Decimal(str(one["cost"])) for one in rows} == {one["usage_date"]: one["cost"] for one in moved}
    return {one["usage_date"]: one["cost"] for one in rows}


def day(back: int) -> date:
    return TODAY - timedelta(days=back)


async def test_only_what_has_come_since_is_read(tenant: Tenant, changed: Any, clock: SetClock) -> None:
    """The first run takes the history, the next one nothing, then late rows of one day; a new day as a whole."""
    early = NOON - timedelta(hours=2)
    table = export(tenant, [late(day(back), early, cost=10.0 + back) for back in (0, 1, 2, 5)])
    first = await changed()
    assert first["extract"]["days"] == [str(day(2)), str(day(1)), str(day(0))]
    assert await costs(tenant) == {day(0): 10.0, day(1): 11.0, day(2): 12.0}

    clock.time += timedelta(hours=1)
    again = await changed()
    assert again["extract"]["unchanged_as_of"] == early.isoformat()
    assert {again[step]["action"] for step in ("checks", "publish", "focus_stage", "focus_publish")} == {"STEP_SKIPPED"}
    assert again["run"]["rows"] == 0

    append(tenant.host, table, [late(day(1), NOON, cost=0.5), late(day(1), NOON, cost=-0.25), late(day(5), NOON, cost=7.0)])
    clock.time += timedelta(hours=1)
    third = await changed()
    assert (third["extract"]["days"], third["extract"]["days_read_since"], third["run"]["rows"]) == ([str(day(1))], [str(day(1))], 2)
    assert await costs(tenant) == {day(0): 10.0, day(1): 11.25, day(2): 12.0}

    clock.time = NOON + timedelta(days=1)
    append(tenant.host, table, [late(day(-1), clock.time, cost=3.0), late(day(0), clock.time, cost=1.0)])
    fourth = await changed()
    assert (fourth["extract"]["days"], fourth["extract"]["days_read_since"]) == ([str(day(0)), str(day(-1))], [str(day(0))])
    assert await costs(tenant) == {day(-1): 3.0, day(0): 11.0, day(1): 11.25, day(2): 12.0}
    rows = await tenant.rows("SELECT usage_date, row_count, version, focus_version, state FROM x_meta_cost_days ORDER BY usage_date")
    assert [(one["usage_date"], one["row_count"], one["state"]) for one in rows] == [
        (day(2), 1, "OPEN"),
        (day(1), 3, "OPEN"),
        (day(0), 2, "OPEN"),
        (day(-1), 1, "OPEN"),
    ]
    assert all(one["version"] == one["focus_version"] for one in rows)


async def test_of_two_exports_a_day_is_read_once(tenant: Tenant, changed: Any, clock: SetClock) -> None:
    """Two days to be read as a whole, and one in between of which rows have come."""
    for schema in (STANDARD, DETAILED):
        export(tenant, [late(day(1), NOON, cost=10.0), late(day(3), NOON, cost=1.0)], schema=schema)
    await changed(days="changed", history_days=4)
    assert await costs(tenant) == {day(1): 10.0, day(3): 1.0}
    clock.time += timedelta(hours=2)
    for kind, schema in (("", STANDARD), ("resource_", DETAILED)):
        table = f"{tenant.project}.cloud_costs.gcp_billing_export_{kind}v1_{ACCOUNT}"
        exported = NOON + timedelta(hours=1)
        append(tenant.host, table, [late(day(back), exported, cost=0.5 + back) for back in (0, 1, 2)], schema)
    said = await changed()
    assert said["extract"]["days"] == [str(day(back)) for back in (2, 1, 0)]
    assert await costs(tenant) == {day(0): 0.5, day(1): 11.5, day(2): 2.5, day(3): 1.0}
    rows = await tenant.rows("SELECT usage_date, COUNT(*) AS n FROM x_meta_cost_days GROUP BY usage_date HAVING COUNT(*) > 1")
    assert rows == []


async def test_a_day_with_two_entries_is_read_as_a_whole_and_replaced(tenant: Tenant, changed: Any, clock: SetClock) -> None:
    """Two runs of an earlier release have published it at the same moment: all of it is there twice."""
    # Of these costs, a sum over both halves is a bit more than twice the sum over one.
    rows = [late(day(back), NOON - timedelta(hours=2), cost=3.7 * number) for back in (0, 1, 2) for number in range(1, 31)]
    export(tenant, rows)
    await changed()
    for table, column in (("billing_cost_daily", "usage_date"), ("focus_cost_daily", "x_UsageDate"), ("x_meta_cost_days", "usage_date")):
        await tenant.rows(f"INSERT INTO {table} SELECT * FROM {table} WHERE {column} = '{day(1)}'")
    clock.time += timedelta(hours=1)

    said = await changed()

    assert (said["extract"]["days"], said["extract"].get("days_read_since")) == ([str(day(1))], None)
    assert await tenant.rows("SELECT SUM(b.net_cost) AS cost FROM billing_cost_daily AS b") == [{"cost": pytest.approx(5161.5)}]
    assert await tenant.rows("SELECT SUM(f.BilledCost) AS cost FROM focus_cost_daily AS f") == [{"cost": Decimal("5161.5")}]
    assert await tenant.rows("SELECT COUNT(*) AS days FROM x_meta_cost_days") == [{"days": 3}]
    assert "unchanged_as_of" in (await changed())["extract"]
