"""The mapping of Azure's actual and amortized cost to FOCUS, on the emulator."""

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from services.executor.staging.shape import StagingTable
from services.executor.store import Store
from services.executor.templates.step import Toolbox
from services.platform.bigquery.ddl import load_tables
from services.platform.bigquery.sql import make_block
from services.platform.settings import REPOSITORY
from tests.support.executor.azure_rows import (
    MACHINE,
    PLAN,
    RESERVATION,
    SUBSCRIPTION,
    customer,
    enterprise,
    pay_as_you_go,
    with_commitments,
)
from tests.support.executor.exported_rows import MONTH, Bench, at, blocks_of
from tests.support.executor.tenant import Tenant

CONFIGS = REPOSITORY / "configs" / "azure" / "cost"
BLOCKS = blocks_of(CONFIGS / "actual.sql") | blocks_of(CONFIGS / "actual_checks.sql")
FOCUS = load_tables(REPOSITORY / "configs" / "bigquery" / "tenant")["focus_cost_daily"]
MAY = {"first_day": date(2026, 5, 1), "last_day": date(2026, 5, 31)}
COSTS = ("BilledCost", "EffectiveCost", "ContractedCost", "ListCost")
type Rows = Mapping[str, Mapping[str, Any]]


@pytest.fixture
async def bench(tenant: Tenant, tools: Toolbox, store: Store, tmp_path: Path) -> Bench:
    await store.ensure_table(tenant.tenant_id, FOCUS)
    return Bench(tenant=tenant, staging=tools.staging, folder=tmp_path)


async def mapped(bench: Bench, rows: Rows) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """What the rows become, in no order, and the failing rows of each check."""
    source = await bench.stage("x_staging_azure_cost", list(rows.values()))
    target = await bench.made("x_staging_focus_export")
    [answer] = await bench.ask(BLOCKS["actual_to_focus"], source, target)
    found = await bench.rows(target)
    assert answer == {"rows_staged": len(found), "missing": None}
    judged = await bench.judged("focus_export_conformance", target, **MAY)
    checks = {name: failing for name, (failing, _) in judged.items()}
    return found, checks | await agreeing(bench, len(rows), source, target)


async def agreeing(bench: Bench, count: int, *tables: StagingTable) -> dict[str, int]:
    found = await bench.ask(BLOCKS["actual_agrees"], *tables, source_rows=count)
    return {row["check_name"]: row["failing_rows"] for row in found}


def costs(row: Mapping[str, Any]) -> list[str]:
    return [f"{row[name].normalize():f}" for name in COSTS]


def some(row: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def failed(checks: Mapping[str, int]) -> set[str]:
    return {name for name, failing in checks.items() if failing}


def a_row_of_an_enterprise_agreement(row: Mapping[str, Any]) -> None:
    assert json.loads(row["Tags"]) == {"env": "prod", "note": 'a "b"'}
    assert json.loads(row["SkuPriceDetails"]) == {"CoreCount": 2, "InstanceType": "Standard_D2_v2"}
    columns = json.loads(row["x_ProviderColumns"])
    assert (columns["x_SkuMeterCategory"], columns["x_SkuPartNumber"], columns["x_SkuDetails"]["UsageType"]) == (
        *("Virtual Machines", "997-03401", "ComputeHR"),
    )
    assert {
        name: value for name, value in row.items() if value is not None and name not in {"Tags", "SkuPriceDetails", "x_ProviderColumns"}
    } == {
        "BilledCost": Decimal("2.64"),
        "EffectiveCost": Decimal("2.64"),
        "ContractedCost": Decimal("2.64"),
        "ListCost": Decimal("3.504"),
        "BillingAccountId": "/providers/Microsoft.Billing/billingAccounts/8611537",
        "BillingAccountName": "Example",
        "BillingAccountType": "Billing Account",
        "BillingCurrency": "USD",
        "BillingPeriodStart": at(MONTH),
        "BillingPeriodEnd": at(date(2026, 6, 1)),
        "ChargeCategory": "Usage",
        "ChargeDescription": "Virtual Machines Dv2 Series - D2 v2 - US East",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": at(date(2026, 5, 5)),
        "ChargePeriodEnd": at(date(2026, 5, 6)),
        "ConsumedQuantity": 24.0,
        "ConsumedUnit": "Hour",
        "PricingQuantity": 24.0,
        "PricingUnit": "1 Hour",
        "ContractedUnitPrice": pytest.approx(0.11),
        "ListUnitPrice": pytest.approx(0.146),
        "PricingCategory": "Standard",
        "PricingCurrency": "USD",
        "PricingCurrencyContractedUnitPrice": pytest.approx(0.11),
        "PricingCurrencyListUnitPrice": pytest.approx(0.146),
        "PricingCurrencyEffectiveCost": Decimal("2.64"),
        "InvoiceIssuerName": "Microsoft",
        "ProviderName": "Microsoft",
        "PublisherName": "Microsoft",
        "RegionId": "eastus",
        "RegionName": "EastUS",
        "ResourceId": MACHINE,
        "ResourceName": "web1",
        "ResourceType": "microsoft.compute/virtualmachines",
        "ServiceCategory": "Compute",
        "ServiceName": "Virtual Machines",
        "ServiceSubcategory": "Virtual Machines",
        "SkuId": "997-03401",
        "SkuMeter": "D2 v2",
        "SkuPriceId": "997-03401/14fc9a21",
        "SubAccountId": f"/subscriptions/{SUBSCRIPTION}",
        "SubAccountName": "Shop",
        "SubAccountType": "Subscription",
        "x_UsageDate": date(2026, 5, 5),
        "x_Provider": "AZURE",
        "x_SourceId": "AZURE/bills/exports/cost/actual",
        "x_FocusVersion": "1.2",
        "x_BillingPeriod": MONTH,
        "x_ManifestId": "usage",
    }


async def test_commitments_with_both_exports(bench: Bench) -> None:
    """The purchases are billed, their cost is effective where it is used or not used, and no usage is there twice."""
    rows = with_commitments()
    found, checks = await mapped(bench, rows)
    assert failed(checks) <= {"usage_is_priced", "columns_filled"}
    by_name = {(row["ChargeCategory"], row["CommitmentDiscountId"], row["CommitmentDiscountStatus"]): row for row in found}
    assert len(by_name) == len(found) == 7
    assert {key: costs(row) for key, row in by_name.items()} == {
        ("Usage", None, None): ["2.64", "2.64", "2.64", "3.504"],
        ("Usage", RESERVATION, "Used"): ["0", "1.48", "2.88", "2.88"],
        ("Usage", RESERVATION, "Unused"): ["0", "0.52", "0.52", "0.52"],
        ("Purchase", RESERVATION, None): ["62", "0", "62", "62"],
        ("Usage", PLAN, "Used"): ["0", "1.9", "2.88", "3.504"],
        ("Usage", PLAN, "Unused"): ["0", "0.1", "0.1", "0.1"],
        ("Purchase", PLAN, None): ["30", "0", "30", "30"],
    }
    names = (
        "CommitmentDiscountCategory",
        "CommitmentDiscountType",
        "PricingCategory",
        "CommitmentDiscountQuantity",
        "CommitmentDiscountUnit",
    )
    assert some(by_name["Usage", RESERVATION, "Used"], *names) == ("Usage", "Reservation", "Committed", 24.0, "1 Hour")
    assert some(by_name["Usage", PLAN, "Used"], *names) == ("Spend", "Savings Plan", "Committed", 1.9, "USD")
    assert some(by_name["Usage", PLAN, "Unused"], "ResourceId", "ResourceType", "ConsumedQuantity") == (PLAN, "Savings Plan", None)
    assert some(by_name["Purchase", RESERVATION, None], "ChargeFrequency", "CommitmentDiscountName") == ("Recurring", "Machines")
    assert by_name["Purchase", PLAN, None]["ChargeFrequency"] == "One-Time"
    assert by_name["Usage", RESERVATION, "Used"]["x_SourceChanges"] == "ListCost"


async def test_commitments_with_the_actual_cost_alone(bench: Bench) -> None:
    """EffectiveCost is BilledCost: nothing says to whom a purchase belongs."""
    rows = {name: row for name, row in with_commitments().items() if row["dataset"] == "ACTUAL"}
    found, checks = await mapped(bench, rows)
    assert failed(checks) <= {"usage_is_priced", "columns_filled"}
    assert len(found) == len(rows) == 5
    assert all(row["EffectiveCost"] == row["BilledCost"] for row in found)
    assert sum(row["BilledCost"] for row in found) == Decimal("94.64")


def other_agreements_and_their_words(row: Mapping[str, Any], alone: Mapping[str, Any]) -> None:
    assert some(row, *COSTS) == (Decimal("1.32"), Decimal("1.32"), Decimal("1.32"), Decimal("1.752"))
    account = "/providers/Microsoft.Billing/billingAccounts/7c05a543:99ad03ad_2019-05-31/billingProfiles/ABCD-EFGH"
    assert some(row, "BillingAccountId", "BillingAccountType", "BillingAccountName", "InvoiceId", "SkuId", "RegionId", "RegionName") == (
        *(account, "Billing Profile", "Europe", "G012345678", "DZH318Z0BQ4B/00G1", "eastus", "East US"),
    )
    assert some(row, "BillingCurrency", "PricingCurrency", "PricingCurrencyEffectiveCost") == ("EUR", "USD", Decimal("2.64"))
    assert row["PricingCurrencyListUnitPrice"] == pytest.approx(0.146)

    account = f"/subscriptions/{SUBSCRIPTION}"
    assert some(alone, "BilledCost", "BillingCurrency", "BillingAccountId", "BillingAccountType", "SubAccountId", "Tags") == (
        *(Decimal("2.1"), "GBP", account, "Subscription", account, None),
    )
    assert some(alone, "x_UsageDate", "ResourceType", "PricingQuantity", "ListCost") == (
        *(date(2026, 5, 5), "microsoft.compute/virtualmachines", 24.0, Decimal("2.1")),
    )


async def test_rows_of_each_agreement_and_kind(bench: Bench) -> None:
    """Each agreement's words; spot, the Marketplace, refunds, blocks of units, capacity reservations, an unknown service, odd tags."""
    cases: dict[str, tuple[dict[str, object], dict[str, object]]] = {
        "spot": ({"pricing_model": "Spot"}, {"PricingCategory": "Dynamic"}),
        "marketplace": (
            {"publisher_type": "Marketplace", "publisher_name": "Example Ltd", "meter_category": "Unassigned", "consumed_service": None},
            {"PublisherName": "Example Ltd", "ServiceName": "Example Ltd", "ServiceCategory": "Other"},
        ),
        "seat": (
            {"publisher_type": "Marketplace", "publisher_name": "Example Ltd", "charge_type": "Purchase", "frequency": "Recurring"},
            {"ChargeCategory": "Purchase", "ChargeFrequency": "Recurring", "PricingCategory": "Standard", "ConsumedQuantity": None},
        ),
        "refund": (
            {"charge_type": "Refund", "cost": Decimal(-3), "date": date(2026, 4, 3)},
            {"ChargeCategory": "Usage", "ChargeClass": "Correction"},
        ),
        "rounding": (
            {"charge_type": "RoundingAdjustment", "unit_of_measure": None},
            {"ChargeCategory": "Adjustment", "PricingQuantity": None, "SkuId": None, "ListCost": Decimal("2.64"), "ListUnitPrice": None},
        ),
        "blocks": (
            {"unit_of_measure": "10K", "quantity": 0.5},
            {"ConsumedQuantity": 5000.0, "ConsumedUnit": "Units", "PricingUnit": "10K"},
        ),
        "hours": ({"unit_of_measure": "100 Hours", "quantity": 0.5}, {"ConsumedQuantity": 50.0, "ConsumedUnit": "Hours"}),
        "months": ({"unit_of_measure": "1/Month"}, {"ConsumedQuantity": 24.0, "ConsumedUnit": "Units/Month"}),
        "kilograms": ({"unit_of_measure": "1 KG"}, {"ConsumedQuantity": 24.0, "ConsumedUnit": "KG"}),
        "capacity": (
            {"additional_info": '{"UsageType":"ComputeCR","VMCapacityReservationId":"f8b42087"}'},
            {"CapacityReservationId": "f8b42087", "CapacityReservationStatus": "Unused"},
        ),
        "new service": ({"meter_category": "Quantum Toaster"}, {"ServiceCategory": "Compute", "ServiceSubcategory": "Other (Compute)"}),
        "nowhere": ({"resource_location": "Unassigned"}, {"RegionId": None, "RegionName": None}),
        "odd tags": ({"tags": "no tags at all"}, {"Tags": None}),
        "no price": ({"payg_price": 0.0}, {"ListCost": Decimal("2.64"), "x_SourceChanges": "ListCost"}),
        "reseller": ({"reseller_name": "Example Partner"}, {"InvoiceIssuerName": "Example Partner"}),
    }
    rows = {name: enterprise("2.64", **{"manifest_id": name, **changes}) for name, (changes, _) in cases.items()}
    rows |= {"usage": enterprise("2.64", manifest_id="usage"), "customer": customer("1.32", manifest_id="customer")}
    rows |= {"alone": pay_as_you_go("2.1", manifest_id="alone")}
    found, checks = await mapped(bench, rows)
    assert failed(checks) == {"columns_filled"}
    by_name = {row["x_ManifestId"]: row for row in found}
    a_row_of_an_enterprise_agreement(by_name["usage"])
    other_agreements_and_their_words(by_name["customer"], by_name["alone"])
    for name, (_, expected) in cases.items():
        assert {key: by_name[name][key] for key in expected} == expected, name
    assert json.loads(by_name["odd tags"]["x_ProviderColumns"])["x_Tags"] == "no tags at all"


async def test_what_gets_lost_or_differs_is_found(bench: Bench) -> None:
    rows = with_commitments()
    rows["usage, amortized"]["cost"] = Decimal("2.66")
    source = await bench.stage("x_staging_azure_cost", list(rows.values()))
    target = await bench.made("x_staging_focus_export")
    await bench.ask(BLOCKS["actual_to_focus"], source, target)
    tamper = (
        "DELETE FROM x_staging_focus_export WHERE ChargeFrequency = 'One-Time';\n"
        "UPDATE x_staging_focus_export SET EffectiveCost = EffectiveCost + 0.01 WHERE CommitmentDiscountStatus = 'Unused'"
    )
    await bench.ask(make_block("tamper", tamper, {}), target)
    found = await agreeing(bench, len(rows), source, target)
    assert found == dict.fromkeys(("rows_agree_with_source", "billed_cost_agrees", "effective_cost_agrees", "both_costs_agree"), 1)
