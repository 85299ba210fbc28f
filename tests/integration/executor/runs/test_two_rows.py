"""Two executors insert a row of one run at the same moment, as INSERTs do not conflict: one of them succeeds, and both rows end alike."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.executor.records import ClaimResult, Run, RunStatus
from services.executor.store import Store
from services.executor.templates.catalog import Catalog
from services.platform.bigquery.client import BigQuery
from services.platform.settings import REPOSITORY
from tests.support.executor.tenant import Tenant
from tests.support.overlap import slow_at_first

STATEMENTS = ("claim_run", "claim_run_exclusively", "insert_refused_run")
ROWS = "SELECT status, claimed_by, deadline_at FROM x_meta_pipeline_runs"


def executor(bq: BigQuery, times: int) -> Store:
    """Its INSERT takes so many times as long as usual."""
    store = Store(bq, ddl=REPOSITORY / "configs" / "bigquery" / "tenant")
    store._sql = {**store._sql, **{name: slow_at_first(store._sql[name], times=times) for name in STATEMENTS}}
    return store


@pytest.fixture
def run(tenant: Tenant, catalog: Catalog) -> Run:
    now = datetime.now(UTC)
    return replace(tenant.job(catalog, date="2025-11-17").run, started_at=now, deadline_at=now + timedelta(hours=1), error_message="no")


@pytest.mark.parametrize(("alone", "left"), [(False, 2), (True, 1)])
async def test_of_two_claims_one_succeeds_and_no_row_is_left_behind(
    tenant: Tenant, catalog: Catalog, bq: BigQuery, run: Run, alone: bool, left: int
) -> None:
    """The second row is inserted when the first is claimed already."""
    period = tenant.job(catalog, date="2025-11-17").period if alone else None
    runs = [replace(run, claimed_by="first"), replace(run, claimed_by="second")]

    claims = await asyncio.gather(
        *(executor(bq, times).claim_run(one, period, seconds=20) for one, times in zip(runs, (1, 3), strict=True))
    )

    assert (sorted(one.is_ours for one in claims), {one.status for one in claims}) == ([False, True], {RunStatus.RUNNING})
    [leader] = [one.claimed_by for one, claim in zip(runs, claims, strict=True) if claim.is_ours]
    assert await tenant.rows(ROWS) == [{"status": "RUNNING", "claimed_by": leader, "deadline_at": run.deadline_at}] * left


async def test_a_row_that_comes_after_the_end_has_ended(tenant: Tenant, store: Store, run: Run) -> None:
    assert (await store.claim_run(replace(run, claimed_by="first"), seconds=20)).is_ours
    await tenant.rows("UPDATE x_meta_pipeline_runs SET status = 'COMPLETED', completed_at = CURRENT_TIMESTAMP() WHERE TRUE")
    late = "INSERT INTO x_meta_pipeline_runs (pipeline_logging_id, tenant_id, status, started_at) "
    await tenant.rows(f"{late} SELECT pipeline_logging_id, tenant_id, 'RUNNING', started_at FROM x_meta_pipeline_runs")

    claim = await store.claim_run(replace(run, claimed_by="second"), seconds=20)

    assert claim == ClaimResult(is_ours=False, status=RunStatus.COMPLETED)
    assert (await store.running_runs(tenant.tenant_id), len(await tenant.rows(ROWS))) == ([], 2)
    found = await store.find_run(tenant.tenant_id, run.pipeline_logging_id)
    assert (found and found.status, found and found.completed_at is None) == (RunStatus.COMPLETED, False)


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize(("claims", "refuses"), [(1, 3), (3, 1)])
async def test_an_attempt_that_one_executor_refuses_and_another_one_claims_is_either(
    tenant: Tenant, catalog: Catalog, bq: BigQuery, run: Run, claims: int, refuses: int, alone: bool
) -> None:
    """A run that is executed is not FAILED at the same time."""
    period = tenant.job(catalog, date="2025-11-17").period if alone else None
    claimed = replace(run, claimed_by="first")

    claim, _ = await asyncio.gather(
        executor(bq, claims).claim_run(claimed, period, seconds=20), executor(bq, refuses).insert_refused_run(run, seconds=20)
    )

    rows = await tenant.rows(ROWS)
    assert {row["status"] for row in rows} == {"RUNNING" if claim.is_ours else "FAILED"}
    assert claim.status == rows[0]["status"]
    assert {row["claimed_by"] for row in rows} == {"first" if claim.is_ours else None}
