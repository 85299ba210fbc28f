"""A tenant's verdicts over time: of which runs, days, checks; in pages. BigQuery is the emulator."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from convergence.executor.v1 import quality_service_pb2 as messages

from services.executor.quality.store import QualityStore
from services.executor.records import DqResult, Run
from services.executor.servicers.quality import QualityServicer, days_of
from services.executor.store import Store
from services.executor.templates.catalog import Catalog
from services.platform.bigquery.client import BigQuery
from services.platform.errors import InvalidArgument
from services.platform.settings import ServiceSettings
from tests.support.counting import jobs
from tests.support.executor.fakes import CALL
from tests.support.executor.tenant import BILLING, Tenant
from tests.support.set_clock import SetClock

NOON = datetime(2025, 11, 18, 12, tzinfo=UTC)
TODAY = NOON.date()

type Listed = Callable[..., Awaitable[list[messages.QualityResult]]]


@pytest.fixture
def servicer(bq: BigQuery, service_settings: ServiceSettings) -> QualityServicer:
    clock = SetClock()
    clock.time = NOON
    return QualityServicer(QualityStore(bq, ddl=service_settings.configs_dir / "bigquery" / "tenant"), clock)


@pytest.fixture
def listed(servicer: QualityServicer, tenant: Tenant) -> Listed:
    async def ask(**asked: Any) -> list[messages.QualityResult]:
        answer = await servicer.ListQualityResults(messages.ListQualityResultsRequest(tenant_id=tenant.tenant_id, **asked), CALL)
        return [*answer.results]

    return ask


def verdict(run: Run, check: str, at: datetime, *, passed: bool = True) -> DqResult:
    return DqResult(
        dq_result_id=str(uuid.uuid4()),
        tenant_id=run.tenant_id,
        user_id=None,
        pipeline_logging_id=run.pipeline_logging_id,
        step_id="checks",
        table_name="billing_cost_daily",
        check_name=check,
        severity="error",
        status="PASSED" if passed else "FAILED",
        observed_value="7",
        threshold="at least 8 rows",
        failing_rows=0 if passed else 1,
        sample_rows=() if passed else [{"id": "x"}],
        executed_at=at,
    )


async def recorded(store: Store, results: Sequence[DqResult]) -> None:
    """They are in the table."""
    for tenant_id, run in {(one.tenant_id, one.pipeline_logging_id): None for one in results}:
        store.record_verdicts(tenant_id, [one for one in results if one.pipeline_logging_id == run])
        await store.flushed(tenant_id, run)


async def test_verdicts_are_listed_with_their_run_newest_first_and_filtered(
    tenant: Tenant, store: Store, catalog: Catalog, listed: Listed
) -> None:
    """Of two pipelines; one verdict was written twice, one is of a run whose row is gone."""
    billing = tenant.job(catalog, date="2025-11-17").run
    other = replace(tenant.job(catalog, date="2025-11-17").run, pipeline_id=f"{tenant.tenant_id}-gcp-cost-focus")
    gone = tenant.job(catalog, BILLING, date="2025-11-17").run
    for run in (billing, other):
        await store.insert_run(run, seconds=20)
    made = [
        verdict(billing, "rows", NOON - timedelta(hours=1), passed=False),
        verdict(other, "rows", NOON - timedelta(hours=2)),
        verdict(billing, "sum", NOON - timedelta(hours=3)),
        verdict(gone, "sum", NOON - timedelta(days=2)),
        verdict(billing, "rows", NOON - timedelta(days=30)),
        verdict(billing, "rows", NOON - timedelta(days=31)),
    ]
    for some in ([made[0]], made[1:], [made[0]]):
        await recorded(store, some)

    async def found(**asked: Any) -> list[int]:
        times = [one.executed_at for one in made]
        return [times.index(one.dq_result.executed_at.ToDatetime(UTC)) for one in await listed(**asked)]

    spent = jobs()
    assert await found() == [0, 1, 2, 3, 4]
    assert jobs() - spent == 1
    assert await found(check_name="rows", status="PASSED") == [1, 4]
    assert await found(status="FAILED") == [0]
    assert await found(pipeline="gcp/cost/focus") == [1]
    assert await found(pipeline="gcp-cost-billing") == [0, 2, 4]
    assert await found(start_date="2025-11-16", end_date="2025-11-17") == [3]
    assert await found(start_date="2025-09-01") == [0, 1, 2, 3, 4, 5]
    [failed] = await listed(status="FAILED")
    assert (failed.pipeline_logging_id, failed.pipeline_id) == (billing.pipeline_logging_id, f"{tenant.tenant_id}-gcp-cost-billing")
    assert (failed.dq_result.failing_rows, dict(failed.dq_result.sample_rows[0])) == (1, {"id": "x"})
    assert (await listed(check_name="sum", start_date="2025-11-16"))[-1].pipeline_id == ""


async def test_pages_are_cut_by_key(tenant: Tenant, store: Store, catalog: Catalog, servicer: QualityServicer) -> None:
    """Five verdicts of one moment in pages of two; a new one that comes meanwhile shifts nothing."""
    run = tenant.job(catalog, date="2025-11-17").run
    same = [verdict(run, f"c{number}", NOON) for number in range(5)]
    await recorded(store, same)
    shown, token = list[str](), ""
    while True:
        asked = messages.ListQualityResultsRequest(tenant_id=tenant.tenant_id, page_size=2, page_token=token)
        page = await servicer.ListQualityResults(asked, CALL)
        shown += [one.dq_result.check_name for one in page.results]
        token = page.next_page_token
        if not token:
            break
        await recorded(store, [verdict(run, "later", NOON + timedelta(minutes=1))])
    by_id = sorted(same, key=lambda one: one.dq_result_id)
    assert shown == [one.check_name for one in by_id]


async def test_a_tenant_without_a_dataset_has_none(servicer: QualityServicer, tenant_id: str) -> None:
    answer = await servicer.ListQualityResults(messages.ListQualityResultsRequest(tenant_id=tenant_id), CALL)
    assert (len(answer.results), answer.next_page_token) == (0, "")


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"status": "WARN"}, "status"),
        ({"pipeline": "billing"}, "pipeline"),
        ({"start_date": "2025-13-01"}, "start_date"),
        ({"end_date": "today"}, "end_date"),
        ({"start_date": "2025-11-19"}, "start_date"),
        ({"start_date": "2025-08-18"}, "start_date"),
        ({"page_size": -1}, "page_size"),
        ({"page_token": "x"}, "page_token"),
    ],
)
async def test_a_bad_filter_is_named(listed: Listed, asked: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await listed(**asked)
    assert refused.value.field == field


def test_the_days_of_a_list() -> None:
    """The last is included, so that 92 days are at most asked for."""
    assert days_of("", "", today=TODAY) == (date(2025, 10, 19), TODAY)
    assert days_of("2025-08-19", "", today=TODAY) == (date(2025, 8, 19), TODAY)
    assert days_of("", "2025-10-31", today=TODAY) == (date(2025, 10, 1), date(2025, 10, 31))
