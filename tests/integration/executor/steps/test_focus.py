"""gcp/cost/focus on the emulator: the output of gcp/cost/billing as FOCUS 1.2, compared with the export."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from services.executor.records import RunOutcome, RunStatus
from services.executor.runs.dry_run import DryRunner
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.steps.dq_checks import Checks
from services.executor.store import Store
from services.executor.templates.catalog import Catalog
from services.executor.templates.name import PipelineName
from services.executor.templates.step import Step, Toolbox
from services.platform.bigquery.sql import Block, make_block
from tests.support.executor.awkward_costs import Total, awkward, totals
from tests.support.executor.billing_export import ACCOUNT, load, row
from tests.support.executor.fakes import Credentials
from tests.support.executor.tenant import Tenant

FOCUS = PipelineName(provider="gcp", domain="cost", template="focus")
DAY, NEXT = date(2025, 11, 17), date(2025, 11, 18)
CENT = Decimal("0.005")
type Begin = Callable[..., Awaitable[PreparedRun]]
type Bill = Callable[..., Awaitable[None]]
type Shape = Callable[..., Awaitable[RunOutcome]]


@pytest.fixture
def bill(tenant: Tenant, tools: Toolbox, begin: Begin, store: Store) -> Bill:
    """gcp/cost/billing of the days, from an export with these rows."""

    async def run(rows: list[dict[str, Any]], *days: date, **period: Any) -> None:
        load(tenant.host, f"{tenant.project}.costs.gcp_billing_export_resource_v1_{ACCOUNT}", rows)
        for parameters in [period] if period else [{"date": day.isoformat()} for day in days or (DAY,)]:
            job = await begin(**parameters)
            outcome = await execute(job, tools)
            assert (outcome.status, outcome.error_message) == (RunStatus.COMPLETED, None)
            await store.finish_run(tenant.tenant_id, job.run.pipeline_logging_id, outcome, at=datetime.now(UTC))

    return run


@pytest.fixture
def shape(tools: Toolbox, begin: Begin) -> Shape:
    """gcp/cost/focus of a day; `tamper` is done to what it has staged, before anything is checked."""

    async def run(day: date = DAY, *, tamper: str = "", **given: object) -> RunOutcome:
        job = await begin(FOCUS, date=day.isoformat(), **given)
        return await execute(tampered(job, make_block("tamper", tamper, {})) if tamper else job, tools)

    return run


def tampered(job: PreparedRun, block: Block) -> PreparedRun:
    """The block is done in the script that stages and checks, after the one and before the other."""

    def done(script: Block) -> Block:
        assert script.sql.count("\nSELECT answer.") == 1
        return make_block(script.name, script.sql.replace("\nSELECT answer.", f"\n{block.sql};\nSELECT answer."), script.params)

    def of(action: Step) -> Step:
        if not isinstance(action, Checks) or action.first is None:
            return action
        staging = action.first
        script, whole = done(staging.block), done(staging.block_of_whole_days)
        return replace(action, first=replace(staging, block=script, block_of_whole_days=whole))

    steps = tuple(replace(one, action=of(one.action)) for one in job.template.steps)
    assert steps != job.template.steps
    return replace(job, template=replace(job.template, steps=steps))


async def published(tenant: Tenant, day: date = DAY) -> dict[str, Total]:
    found = await tenant.rows(
        "SELECT BillingCurrency AS c, COUNT(*) AS n, SUM(BilledCost) AS b, SUM(EffectiveCost) AS e, SUM(ContractedCost) AS k, "
        f"SUM(ListCost) AS l FROM focus_cost_daily WHERE x_UsageDate = '{day}' GROUP BY 1"
    )
    assert all(one["b"] == one["e"] for one in found)
    return {one["c"]: Total(rows=one["n"], net=one["b"], contracted=one["k"], listed=one["l"]) for one in found}


def assert_to_the_cent(found: dict[str, Total], expected: dict[str, Total]) -> None:
    assert {currency: total.rows for currency, total in found.items()} == {currency: total.rows for currency, total in expected.items()}
    for currency, total in found.items():
        for name in ("net", "contracted", "listed"):
            assert abs(getattr(total, name) - getattr(expected[currency], name)) < CENT, (currency, name)


@pytest.mark.parametrize("seed", [1, 2])
async def test_sums_agree_with_the_source_to_the_cent(tenant: Tenant, tools: Toolbox, bill: Bill, shape: Shape, seed: int) -> None:
    """Awkward rows in three currencies; other days stay out; nothing temporary is left."""
    rows = awkward(DAY, 700, seed)
    await bill([*rows, *awkward(NEXT, 50, seed + 10)], DAY, NEXT)

    outcome = await shape()

    assert (outcome.status, outcome.rows_processed, outcome.error_message) == (RunStatus.COMPLETED, 700, None)
    assert_to_the_cent(await published(tenant), totals(rows))
    assert await published(tenant, NEXT) == {}
    await tools.staging.dropped()
    assert await tenant.rows("SELECT table_name FROM INFORMATION_SCHEMA.TABLES WHERE table_name LIKE 'x_staging%'") == []


async def test_what_a_charge_is(tenant: Tenant, bill: Bill, shape: Shape) -> None:
    """By what the row tells; an adjustment corrects if the invoice of its usage, by Pacific time, was written before."""
    told: dict[str, dict[str, Any]] = {
        "usage": {},
        "spot": {"sku": {"id": "S", "description": "Spot Preemptible N2 Core"}},
        "spot GPU": {"sku": {"id": "S", "description": "Nvidia L4 GPU attached to Spot Preemptible VMs running in Americas"}},
        "fee": {"sku": {"id": "S", "description": "Commitment v1: N2 Cpu in Americas for 1 Year"}},
        "refund": {"cost": -1.0},
        "tax": {"cost_type": "tax"},
        "rounding": {"cost_type": "rounding_error"},
        "now": {"cost_type": "adjustment"},
        "later": {"cost_type": "adjustment", "invoice": {"month": "202601"}},
        "promotion": {"cost": 0.0, "usage": None, "credits": [{"name": "p", "amount": -5.0}]},
        "unmeasured": {"usage": {"amount": 0.0, "unit": "seconds", "amount_in_pricing_units": 0.0, "pricing_unit": "hour"}},
        "undated": {"invoice": None},
    }
    await bill([row(DAY, resource={"name": name, "global_name": None}, **changes) for name, changes in told.items()])
    await shape()

    columns = "ChargeCategory, ChargeClass, ChargeFrequency, PricingCategory, PricingQuantity, ContractedUnitPrice, ConsumedUnit, SkuId"
    found = {
        one.pop("ResourceId"): tuple(one.values())
        for one in await tenant.rows(
            f"SELECT ResourceId, {columns}, FORMAT_DATE('%Y%m', DATE(BillingPeriodStart)) AS m FROM focus_cost_daily"
        )
    }
    sku, once = "D2E8-1234-5678", "One-Time"
    assert found == {
        "usage": ("Usage", None, "Usage-Based", "Standard", 1.0, 1.0, "seconds", sku, "202511"),
        "spot": ("Usage", None, "Usage-Based", "Dynamic", 1.0, 1.0, "seconds", "S", "202511"),
        "spot GPU": ("Usage", None, "Usage-Based", "Dynamic", 1.0, 1.0, "seconds", "S", "202511"),
        "fee": ("Purchase", None, "Recurring", "Standard", 1.0, 1.0, None, "S", "202511"),
        "refund": ("Usage", None, "Usage-Based", "Standard", 1.0, None, "seconds", sku, "202511"),
        "tax": ("Tax", None, once, None, None, None, None, None, "202511"),
        "rounding": ("Adjustment", None, once, None, None, None, None, sku, "202511"),
        "now": ("Adjustment", None, once, None, None, None, None, sku, "202511"),
        "later": ("Adjustment", "Correction", once, None, None, None, None, sku, "202601"),
        "promotion": ("Credit", None, once, None, None, None, None, sku, "202511"),
        "unmeasured": ("Usage", None, "Usage-Based", "Standard", 0.0, None, "seconds", sku, "202511"),
        "undated": ("Usage", None, "Usage-Based", "Standard", 1.0, 1.0, "seconds", sku, "202511"),
    }


SUMS = {"billed_cost_agrees", "effective_cost_agrees", "contracted_cost_agrees", "list_cost_agrees"}
STAGED, TAX, EUROS = "x_staging_focus_cost_daily", "WHERE ChargeCategory = 'Tax'", "WHERE BillingCurrency = 'EUR'"


@pytest.mark.parametrize(
    "breaks",
    [
        {
            f"UPDATE {STAGED} SET BilledCost = BilledCost + 0.006 {TAX}": {"billed_cost_agrees", "unpriced_as_billed"},
            f"UPDATE {STAGED} SET EffectiveCost = 0, ContractedCost = 0, ListCost = 0 WHERE TRUE": {
                "unpriced_as_billed",
                *SUMS,
            }
            - {"billed_cost_agrees"},
            f"UPDATE {STAGED} SET BillingCurrency = IF(BillingCurrency = 'EUR', 'USD', 'EUR') WHERE ChargeCategory = 'Usage'": {
                "billed_cost_agrees",
                "effective_cost_agrees",
            },
        },
        {
            f"DELETE FROM {STAGED} {EUROS}": {"rows_agree_with_source", *SUMS},
            f"DELETE FROM {STAGED} WHERE TRUE": {"rows_agree_with_source", *SUMS},
            f"UPDATE {STAGED} SET BillingCurrency = 'eur' {EUROS}": {"currency_is_iso_4217", *SUMS},
            f"UPDATE {STAGED} SET BillingCurrency = NULL {TAX}": {"mandatory_not_null", *SUMS},
        },
        {
            f"UPDATE {STAGED} SET ProviderName = NULL {TAX}": {"mandatory_not_null"},
            f"UPDATE {STAGED} SET ChargeClass = 'Corrected' {TAX}": {"values_allowed"},
            f"UPDATE {STAGED} SET ServiceSubcategory = 'Object Storage', BillingPeriodEnd = BillingPeriodStart, ListUnitPrice = -0.1, "
            f"x_UsageDate = '2025-11-18' {EUROS}": {
                "values_allowed",
                "periods_in_order",
                "prices_not_negative",
                "charges_on_the_date",
                *SUMS,
            },
            f"UPDATE {STAGED} SET PricingQuantity = 1.0, PricingUnit = 'hour' {TAX}": {"nulls_as_specified"},
            f"UPDATE {STAGED} SET ChargeCategory = 'Purchase', ConsumedQuantity = NULL, ConsumedUnit = NULL {EUROS}": {"values_allowed"},
        },
    ],
    ids=["costs", "rows", "values"],
)
async def test_a_broken_mapping_publishes_nothing(tenant: Tenant, bill: Bill, shape: Shape, breaks: dict[str, set[str]]) -> None:
    """Whatever is done to the staged rows, the conformance step names it, and the rows of the run before stand as they were."""
    rows = [
        row(DAY, cost=10.0, cost_at_list=12.0),
        row(DAY, cost=10.0, cost_at_list=12.0, currency="EUR", credits=[{"name": "c", "amount": -3.0}]),
        row(DAY, cost=0.5, cost_type="tax"),
    ]
    await bill(rows)
    assert (await shape()).status is RunStatus.COMPLETED
    for tamper, broken in breaks.items():
        outcome = await shape(tamper=tamper)
        assert outcome.status is RunStatus.FAILED, tamper
        assert outcome.error_message is not None
        assert outcome.error_message.startswith("Step conformance: Quality checks failed, what they guard was not published"), tamper
        assert set(re.findall(r"(\w+) \(expected", outcome.error_message)) == broken, tamper
    assert_to_the_cent(await published(tenant), totals(rows))


async def test_conformance_is_recorded(tenant: Tenant, bill: Bill, tools: Toolbox, begin: Begin, store: Store) -> None:
    """What the source lacks is a warning: usage without a SKU, a service that the mapping does not know."""
    await bill([row(DAY), row(DAY, sku=None), row(DAY, currency="EUR", service={"id": "X", "description": "Quantum Bakery"})])
    job = await begin(FOCUS, date=DAY.isoformat())
    await execute(job, tools)

    verdicts = {one.check_name: one for one in await store.list_dq_results(tenant.tenant_id, job.run.pipeline_logging_id)}
    assert len(verdicts) == 20
    failed = {name: (one.severity, one.failing_rows, one.observed_value) for name, one in verdicts.items() if one.status == "FAILED"}
    assert failed == {"usage_is_priced": ("warn", 1, "1"), "services_have_a_category": ("warn", 1, "Quantum Bakery")}
    assert verdicts["billed_cost_agrees"].observed_value == "EUR 1.00, USD 2.00"


async def test_a_day_that_billing_never_loaded_is_no_day_without_cost(
    tenant: Tenant, tools: Toolbox, bill: Bill, shape: Shape, begin: Begin, store: Store
) -> None:
    """Without any run of gcp/cost/billing; with one of another date, and one that failed; then with one that found no rows."""

    async def assert_refused() -> None:
        job = await begin(FOCUS, date=DAY.isoformat())
        outcome = await execute(job, tools)
        missing = "Step stage: gcp/cost/billing has never loaded 2025-11-17. Run it for these days first."
        assert (outcome.status, outcome.error_message) == (RunStatus.FAILED, missing)
        lines = await store.list_step_logs(tenant.tenant_id, job.run.pipeline_logging_id)
        assert [line.metadata["can_heal"] for line in lines if line.action == "STEP_FAILED"] == [True]
        await tools.staging.dropped()
        assert await tenant.rows("SELECT table_name FROM INFORMATION_SCHEMA.TABLES WHERE table_name LIKE 'x_staging%'") == []

    await assert_refused()
    await bill([row(NEXT)], NEXT)
    failed = await begin(date=DAY.isoformat())
    await store.finish_run(
        tenant.tenant_id, failed.run.pipeline_logging_id, RunOutcome(status=RunStatus.FAILED, error_message="gone"), at=datetime.now(UTC)
    )
    await assert_refused()
    assert await tenant.rows("SELECT table_name FROM INFORMATION_SCHEMA.TABLES WHERE table_name = 'focus_cost_daily'") == []

    await bill([row(NEXT)], DAY)
    outcome = await shape()
    assert (outcome.status, outcome.rows_processed, outcome.error_message) == (RunStatus.COMPLETED, 0, None)


async def test_several_days_in_one_run(tenant: Tenant, bill: Bill, begin: Begin, tools: Toolbox) -> None:
    """As gcp/cost/billing takes them: each is replaced; all must be loaded, a day without rows by a run of a range that has it."""
    rows, more = awkward(DAY, 30, 8), awkward(NEXT, 20, 9)
    await bill([*rows, *more], DAY)

    refused = await execute(await begin(FOCUS, start_date="2025-11-17", end_date="2025-11-19"), tools)
    missing = "gcp/cost/billing has never loaded 2025-11-18, 2025-11-19. Run it for these days first."
    assert (refused.status, refused.error_message) == (RunStatus.FAILED, f"Step stage: {missing}")

    await bill([*rows, *more], start_date="2025-11-18", end_date="2025-11-19")
    outcome = await execute(await begin(FOCUS, start_date="2025-11-17", end_date="2025-11-19"), tools)
    assert (outcome.status, outcome.rows_processed, outcome.error_message) == (RunStatus.COMPLETED, 50, None)
    assert_to_the_cent(await published(tenant), totals(rows))
    assert_to_the_cent(await published(tenant, NEXT), totals(more))


async def test_a_dry_run_leaves_no_trace(tenant: Tenant, tools: Toolbox, bill: Bill, catalog: Catalog) -> None:
    """All steps' SQL fits the tables."""
    await bill(awkward(DAY, 20, 11))
    dry_runner = DryRunner(tools, Credentials(), query_usd_per_tib=6.25)  # type: ignore[arg-type]
    found = await dry_runner.dry_run(tenant.job(catalog, FOCUS, date=DAY.isoformat()))
    assert found.problems == {}
    assert [step.step_id for step in found.steps] == ["stage", "google", "conformance", "publish"]
    assert await published(tenant) == {}
    await tools.staging.dropped()
    assert await tenant.rows("SELECT table_name FROM INFORMATION_SCHEMA.TABLES WHERE table_name LIKE 'x_staging%'") == []


async def test_a_rerun_replaces_and_another_date_stays(tenant: Tenant, bill: Bill, shape: Shape) -> None:
    first, other = awkward(DAY, 40, 4), awkward(NEXT, 25, 5)
    await bill([*first, *other], start_date=DAY.isoformat(), end_date=NEXT.isoformat())
    for day in (DAY, NEXT, DAY):
        assert (await shape(day)).status is RunStatus.COMPLETED
    assert_to_the_cent(await published(tenant), totals(first))

    again = awkward(DAY, 10, 6)
    await bill([*again, *other], date=DAY.isoformat(), accept_less=True)
    await shape(accept_less=True)
    assert_to_the_cent(await published(tenant), totals(again))
    assert_to_the_cent(await published(tenant, NEXT), totals(other))


async def test_a_lost_fence_publishes_nothing(tenant: Tenant, tools: Toolbox, bill: Bill, shape: Shape, begin: Begin, store: Store) -> None:
    """A run that was ended while it worked leaves the rows of the run before as they are."""
    await bill(awkward(DAY, 20, 7))
    await shape()
    before = await published(tenant)
    job = await begin(FOCUS, date=DAY.isoformat())
    await store.finish_run(
        tenant.tenant_id, job.run.pipeline_logging_id, RunOutcome(status=RunStatus.FAILED, error_message="gone"), at=datetime.now(UTC)
    )

    outcome = await execute(job, tools)

    assert outcome.error_message == "Step publish: The run was ended or replaced while it worked. Nothing was published."
    assert await published(tenant) == before
