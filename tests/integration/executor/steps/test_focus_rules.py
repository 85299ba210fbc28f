"""gcp/cost/focus row by row: each kind of row of an export, in one run; and random ones, compared with sums computed in Python."""

import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from services.executor.records import RunOutcome, RunStatus
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.store import Store
from services.executor.templates.name import PipelineName
from services.executor.templates.step import Toolbox
from tests.support.executor.focus_cases import CHARGES, DETAILS, EVERYTHING, FLEXIBLE
from tests.support.executor.focus_source import DAY, insert, source_row
from tests.support.executor.tenant import Tenant

FOCUS = PipelineName(provider="gcp", domain="cost", template="focus")
ISSUED = {"invoice_issuer": "A reseller", "billing_account_name": "Acme"}
type Begin = Callable[..., Awaitable[PreparedRun]]
type Focus = Callable[..., Awaitable[list[dict[str, Any]]]]


@pytest.fixture
def focus(tenant: Tenant, tools: Toolbox, begin: Begin) -> Focus:
    """The published rows of a run over these rows of billing_cost_daily, all of one day."""

    async def run(rows: list[dict[str, Any]], day: date = DAY, **parameters: object) -> list[dict[str, Any]]:
        await insert(tenant, rows)
        outcome = await execute(await begin(FOCUS, date=day.isoformat(), **parameters), tools)
        assert (outcome.status, outcome.error_message) == (RunStatus.COMPLETED, None)
        return await tenant.rows("SELECT * FROM focus_cost_daily")

    return run


async def test_each_kind_of_row(focus: Focus) -> None:
    """Each row carries its name in a column that the export is said to have besides. Costs are compared as decimals, to the last digit."""
    cases = {**CHARGES, **DETAILS}
    found = await focus([source_row(**changes, other_columns={"case": name}) for name, (changes, _) in cases.items()], **ISSUED)
    rows = {row["x_ProviderColumns"]["case"]: row for row in found}
    assert len(found) == len(rows) == len(cases)
    wrong = {}
    for name, (_, expected) in cases.items():
        told = {column: rows[name][column] for column in expected}
        exact = {column: Decimal(str(value)) if isinstance(told[column], Decimal) else value for column, value in expected.items()}
        if told != exact:
            wrong[name] = {column: (told[column], value) for column, value in exact.items() if told[column] != value}
    assert wrong == {}


async def test_every_column_arrives(focus: Focus) -> None:
    """One row with all there is. What is not named here is NULL."""
    [found] = await focus([source_row(**EVERYTHING, other_columns={"new": {"a": 1}})], **ISSUED)
    assert abs((datetime.now(UTC) - found.pop("x_LoadedAt")).total_seconds()) < 60
    assert len(found.pop("x_PipelineLoggingId")) == 36
    assert len(found.pop("x_SourceRow")) == 32
    assert {name: value for name, value in found.items() if value is not None} == {
        "x_UsageDate": DAY,
        "AvailabilityZone": "us-central1-a",
        "BilledCost": Decimal("1.75"),
        "BillingAccountId": "01AB2C-3D4E5F-6A7B8C",
        "BillingAccountName": "Acme",
        "BillingAccountType": "Billing Account",
        "BillingCurrency": "USD",
        "BillingPeriodStart": datetime(2025, 11, 1, 7, tzinfo=UTC),
        "BillingPeriodEnd": datetime(2025, 12, 1, 8, tzinfo=UTC),
        "ChargeCategory": "Usage",
        "ChargeDescription": "N2 Instance Core running in Americas",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": datetime(2025, 11, 17, 5, tzinfo=UTC),
        "ChargePeriodEnd": datetime(2025, 11, 17, 6, tzinfo=UTC),
        "ConsumedQuantity": 7200.0,
        "ConsumedUnit": "seconds",
        "ContractedCost": Decimal(3),
        "ContractedUnitPrice": 1.5,
        "EffectiveCost": Decimal("1.75"),
        "InvoiceIssuerName": "A reseller",
        "ListCost": Decimal(4),
        "ListUnitPrice": 2.0,
        "PricingCategory": "Standard",
        "PricingCurrency": "USD",
        "PricingCurrencyContractedUnitPrice": 1.5,
        "PricingCurrencyEffectiveCost": Decimal("1.75"),
        "PricingCurrencyListUnitPrice": 2.0,
        "PricingQuantity": 2.0,
        "PricingUnit": "hour",
        "ProviderName": "Google Cloud",
        "PublisherName": "Google Cloud",
        "RegionId": "us-central1",
        "RegionName": "us-central1",
        "ResourceId": "//compute.googleapis.com/projects/shop/zones/z/instances/1",
        "ResourceName": "vm-1",
        "ResourceType": "instances",
        "ServiceCategory": "Compute",
        "ServiceName": "Compute Engine",
        "ServiceSubcategory": "Virtual Machines",
        "SkuId": "SKU",
        "SkuMeter": "N2 Instance Core running in Americas",
        "SkuPriceDetails": {"x_ConsumptionModel": "Default", "x_TierStartAmount": 0.5},
        "SkuPriceId": "SKU/default/0.5",
        "SubAccountId": "shop",
        "SubAccountName": "The shop",
        "SubAccountType": "Project",
        "Tags": {"team": "ü"},
        "x_CostType": "regular",
        "x_CreditsTotal": Decimal("-0.75"),
        "x_CurrencyConversionRate": 1.0,
        "x_InvoiceMonth": "202511",
        "x_Location": "us-central1",
        "x_ProjectNumber": "42",
        "x_ServiceId": "6F81-5844-456A",
        "x_SystemLabels": {},
        "x_Provider": "GCP",
        "x_SourceId": "GCP/01AB2C-3D4E5F-6A7B8C",
        "x_FocusVersion": "1.2",
        "x_NetCost": Decimal("1.75"),
        "x_CostAtEffectivePriceDefault": Decimal(3),
        "x_CostAtListConsumptionModel": Decimal("2.75"),
        "x_ConsumptionModelId": "7754-699E-0EBF",
        "x_ConsumptionModelDescription": "Default",
        "x_PublisherType": "GOOGLE",
        "x_Credits": [{"name": "a", "amount": -0.75, "type": "DISCOUNT"}],
        "x_ProviderColumns": {"new": {"a": 1}},
        "x_Derivation": "as_billed",
    }


def random_rows(rng: random.Random, count: int) -> list[dict[str, Any]]:
    """Rows with amounts of at most six decimals: what they add up to is exact, in NUMERIC as in Decimal."""

    def amount(most: int) -> float:
        return rng.randrange(most * 10**6) / 10**6

    def maybe(value: object) -> object:
        return value if rng.random() < 0.7 else None

    rows = []
    for _ in range(count):
        cost, usage = rng.choice((0.0, amount(100), amount(100), -amount(10))), rng.choice((0.0, 3600.0))
        kinds = ("COMMITTED_USAGE_DISCOUNT", "PROMOTION", "FREE_TIER", "FEE_UTILIZATION_OFFSET", None)
        model: dict[str, Any] = rng.choice(({}, {}, FLEXIBLE))
        rows.append(
            source_row(
                **model,
                service_description=rng.choice(("Compute Engine", "BigQuery", "Support", "Ünknown")),
                project_id=maybe(f"p{rng.randrange(3)}"),
                currency=rng.choice(("USD", "EUR", "JPY")),
                currency_conversion_rate=maybe(150.0),
                cost=cost,
                cost_at_list=maybe(amount(200)),
                cost_at_effective_price_default=maybe(amount(150)),
                usage_amount=maybe(usage),
                usage_amount_in_pricing_units=usage / 3600,
                credits=[{"amount": -amount(20), "type": rng.choice(kinds)} for _ in range(rng.randrange(3))],
                cost_type=rng.choice(("regular", "regular", "regular", "tax", "adjustment", "rounding_error", None)),
                invoice_month=rng.choice(("202511", "202512", None)),
                subscription_instance_id=maybe("sub"),
            )
        )
    return rows


async def test_sums_of_random_rows(focus: Focus) -> None:
    """By service, project, currency and invoice month, exactly as Decimal has them."""
    rows = random_rows(random.Random(12), 300)
    expected: dict[tuple[Any, ...], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 4)
    for row in rows:
        cost, credits_ = Decimal(str(row["cost"])), sum((Decimal(str(one["amount"])) for one in row["credits"]), Decimal(0))
        default, listed = row.get("cost_at_effective_price_default"), row["cost_at_list"]
        contracted = cost if default is None else Decimal(str(default))
        amounts = [cost + credits_] * 2 + [contracted, contracted if listed is None else Decimal(str(listed))]
        if row["cost_type"] not in {"regular", None} or (not cost and credits_ and not row["usage_amount"]):
            amounts = [cost + credits_] * 4
        key = (row["service_description"], row["project_id"], row["currency"], row["invoice_month"])
        expected[key] = [total + one for total, one in zip(expected[key], amounts, strict=True)]

    found: dict[tuple[Any, ...], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 4)
    for one in await focus(rows):
        key = (one["ServiceName"], one["SubAccountId"], one["BillingCurrency"], one["x_InvoiceMonth"])
        costs = [one[name] for name in ("BilledCost", "EffectiveCost", "ContractedCost", "ListCost")]
        if one["x_Derivation"] == "promotion" or one["x_Derivation"].endswith(":unused"):  # has no price in the source
            costs[2:] = [Decimal(0), Decimal(0)]
        found[key] = [total + cost for total, cost in zip(found[key], costs, strict=True)]
    assert found == expected


async def test_another_providers_rows_of_the_day_stay(tenant: Tenant, focus: Focus) -> None:
    """Rows that are older than the column x_Provider are replaced, as GCP's own."""
    [first] = await focus([source_row()])
    kept = f"SELECT * REPLACE ('AWS' AS x_Provider, 'aws' AS x_SourceId) FROM focus_cost_daily WHERE x_UsageDate = '{DAY}'"
    await tenant.rows(f"INSERT INTO focus_cost_daily {kept}")
    await tenant.rows("UPDATE focus_cost_daily SET x_Provider = NULL WHERE x_Provider = 'GCP'")
    found = await focus([source_row(sku_id="another")])
    assert sorted((row["x_SourceId"], row["SkuId"]) for row in found) == [
        (first["x_SourceId"], "SKU"),
        (first["x_SourceId"], "another"),
        ("aws", "SKU"),
    ]


async def test_a_day_is_loaded_when_a_run_began_after_it(tenant: Tenant, tools: Toolbox, begin: Begin, store: Store) -> None:
    """A run of gcp/cost/billing over a day that is not over has not seen all of it. Rows that it has loaded are there all the same."""
    today = datetime.now(UTC).date()
    early = await begin(date=today.isoformat())
    await store.finish_run(tenant.tenant_id, early.run.pipeline_logging_id, RunOutcome(status=RunStatus.COMPLETED), at=datetime.now(UTC))
    refused = await execute(await begin(FOCUS, date=today.isoformat()), tools)
    assert refused.error_message == f"Step stage: gcp/cost/billing has never loaded {today}. Run it for these days first."

    await insert(tenant, [source_row(today)])
    outcome = await execute(await begin(FOCUS, date=today.isoformat()), tools)
    assert (outcome.status, outcome.rows_processed) == (RunStatus.COMPLETED, 1)
