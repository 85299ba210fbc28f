"""The step `dq.invoices`: what it compares, what it records, and that it reads nothing where nothing was entered."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from services.executor.costs.invoices import EnteredAmount
from services.executor.costs.looks import Looks
from services.executor.costs.store import CostStore
from services.executor.records import Period
from services.executor.steps.invoice_check import InvoiceCheck
from services.executor.templates.catalog import Catalog
from services.executor.templates.step import StepContext, Toolbox
from services.platform.settings import REPOSITORY
from tests.support.counting import jobs
from tests.support.executor.published import Charge, publish
from tests.support.executor.tenant import Tenant

DAY = date(2025, 11, 17)


def context(tenant: Tenant, catalog: Catalog, tools: Toolbox, day: date = DAY) -> StepContext:
    job = tenant.job(catalog, date=day.isoformat())
    return StepContext(
        run=job.run,
        provider="gcp",
        step_id="invoices",
        timeout_seconds=60,
        parameters={},
        period=Period(first=day, last=day),
        outputs={},
        staging=(),
        outcome=None,  # type: ignore[arg-type]
        tools=tools,
    )


async def enter(tenant: Tenant, amount: str, month: str = "2025-11", account: str = "000000-AAAAAA") -> None:
    store = CostStore(tenant.bq, ddl=REPOSITORY / "configs" / "bigquery" / "tenant", max_bytes=10**9)
    entered = EnteredAmount(
        invoice_month=month,
        billing_account_id=account,
        currency="USD",
        amount=Decimal(amount),
        entered_by_user_id="alice",
        entered_at=datetime.now(UTC),
    )
    await store.enter_amount(tenant.tenant_id, f"{month}-{account}-{amount}", entered)


async def test_nothing_is_read_for_a_tenant_that_has_entered_nothing(
    tenant: Tenant, catalog: Catalog, tools: Toolbox, tenant_id: str
) -> None:
    here = context(tenant, catalog, tools)
    before = jobs()
    nowhere = replace(here, run=replace(here.run, tenant_id=tenant_id))
    nothing = await InvoiceCheck().run(nowhere)
    assert "no amount of an invoice" in nothing.metadata["note"]
    assert await InvoiceCheck().foresee(replace(nowhere, period=None)) == nothing, "known before the run's days are"
    assert jobs() == before
    await enter(tenant, "1")
    assert await InvoiceCheck().foresee(here) is None


async def test_an_invoice_that_differs_is_a_warning_with_both_amounts(tenant: Tenant, catalog: Catalog, tools: Toolbox) -> None:
    await publish(tenant.bq, tenant.tenant_id, DAY, Charge(amount="10"))
    await enter(tenant, "10.01")
    right = await InvoiceCheck().run(context(tenant, catalog, tools))
    assert right.metadata == {"passed": 1, "warnings": []}

    await enter(tenant, "12")
    await enter(tenant, "3", account="a-typo")
    wrong = context(tenant, catalog, tools)
    assert (await InvoiceCheck().run(wrong)).metadata == {"passed": 0, "warnings": ["invoice_agrees"]}
    await tools.store.flushed(tenant.tenant_id, wrong.run.pipeline_logging_id)
    [verdict] = await tools.store.list_dq_results(tenant.tenant_id, wrong.run.pipeline_logging_id)
    assert (verdict.check_name, verdict.severity, verdict.status, verdict.failing_rows) == ("invoice_agrees", "warn", "FAILED", 2)
    assert verdict.observed_value == (
        "2025-11 000000-AAAAAA USD: 10 published, 12 entered; 2025-11 a-typo USD: nothing published, 3 entered"
    )

    sums = jobs("invoice_sums")
    other = await InvoiceCheck().run(context(tenant, catalog, tools, date(2025, 12, 24)))
    assert "no amount of an invoice of these days" in other.metadata["note"]
    assert jobs("invoice_sums") == sums, "of other months no costs are read"


async def test_what_cannot_be_compared_fails_no_run(tenant: Tenant, catalog: Catalog, tools: Toolbox) -> None:
    """There is an amount, and no table of costs."""
    await enter(tenant, "1")
    result = await InvoiceCheck().run(context(tenant, catalog, tools))
    assert result.metadata["note"].startswith("Nothing was compared: ")
    assert (await Looks(tenant.bq, known_seconds=0).at(tenant.tenant_id, ["focus_cost_daily"]))[0].exists is False
