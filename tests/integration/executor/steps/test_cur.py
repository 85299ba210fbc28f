"""The mapping of Cost and Usage Reports to FOCUS, on the emulator."""

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from services.executor.store import Store
from services.executor.templates.step import Toolbox
from services.platform.bigquery.ddl import load_tables
from services.platform.bigquery.sql import make_block
from services.platform.settings import REPOSITORY
from tests.support.executor.cur_lines import PLAN, RESERVATION, every_type, line, not_priced
from tests.support.executor.exported_rows import MONTH, Bench, at, blocks_of
from tests.support.executor.tenant import Tenant

CONFIGS = REPOSITORY / "configs" / "aws" / "cost"
BLOCKS = blocks_of(CONFIGS / "cur.sql") | blocks_of(CONFIGS / "cur_checks.sql")
FOCUS = load_tables(REPOSITORY / "configs" / "bigquery" / "tenant")["focus_cost_daily"]
LONG = {"first_day": date(2026, 4, 1), "last_day": date(2026, 5, 31)}
type Lines = Mapping[str, Mapping[str, Any]]


@pytest.fixture
async def bench(tenant: Tenant, tools: Toolbox, store: Store, tmp_path: Path) -> Bench:
    await store.ensure_table(tenant.tenant_id, FOCUS)
    return Bench(tenant=tenant, staging=tools.staging, folder=tmp_path)


class Mapped:
    """What `lines` have become, and what the checks say of it."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.rows: list[dict[str, Any]] = []
        self.checks: dict[str, int] = {}

    async def map(self, lines: Lines) -> "Mapped":
        source = await self._bench.stage("x_staging_aws_cur", list(lines.values()))
        target = await self._bench.made("x_staging_focus_export")
        self._tables, self._count = (source, target), len(lines)
        [answer] = await self._bench.ask(BLOCKS["cur_to_focus"], source, target)
        self.rows = await self._bench.rows(target)
        assert answer == {"rows_staged": len(self.rows), "missing": None}
        self.checks = await self.agreeing()
        judged = await self._bench.judged("focus_export_conformance", target, **LONG)
        self.checks |= {name: failing for name, (failing, _) in judged.items()}
        return self

    async def agreeing(self, tamper: str = "") -> dict[str, int]:
        """The comparison with the line items once more, after the rows were tampered with."""
        if tamper:
            await self._bench.ask(make_block("tamper", tamper, {}), *self._tables)
        found = await self._bench.ask(BLOCKS["cur_agrees"], *self._tables, source_rows=self._count)
        return {row["check_name"]: row["failing_rows"] for row in found}

    def of(self, lines: Lines, name: str, part: str | None = None) -> dict[str, Any]:
        """The row that a line item has become, or its part."""
        wanted = (lines[name]["identity_line_item_id"], part)
        [found] = [
            row
            for row in self.rows
            if ((columns := json.loads(row["x_ProviderColumns"]))["identity_line_item_id"], columns.get("x_RowPart")) == wanted
        ]
        return found


def some(row: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def costs(row: Mapping[str, Any]) -> list[str]:
    """BilledCost, EffectiveCost, ContractedCost and ListCost."""
    return [f"{row[name].normalize():f}" for name in ("BilledCost", "EffectiveCost", "ContractedCost", "ListCost")]


async def test_every_type_of_line_item(bench: Bench) -> None:
    """What each one becomes; no check of severity error fails; sums are those of the report; what gets lost on the way is found."""
    lines = every_type()
    mapped = await Mapped(bench).map(lines)
    warned = {name for name, failing in mapped.checks.items() if failing}
    assert warned == {"usage_is_priced", "columns_filled"}
    assert len(mapped.rows) == len(lines) - 1 + 2, "no negation, and what both commitments leave unused"
    assert sum(row["BilledCost"] for row in mapped.rows) == sum(one["line_item_unblended_cost"] for one in lines.values()).quantize(
        Decimal("1e-9")
    )

    kinds = {
        "usage": ("Usage", "Usage-Based", "Standard", None, ["0.096", "0.096", "0.096", "0.107"]),
        "spot": ("Usage", "Usage-Based", "Dynamic", None, ["0.031", "0.031", "0.031", "0.107"]),
        "planned": ("Usage", "Usage-Based", "Committed", "Used", ["0", "0.12", "0.192", "0.107"]),
        "plan fee": ("Purchase", "Recurring", "Standard", None, ["0.2", "0", "0.2", "0.2"]),
        "plan upfront": ("Purchase", "One-Time", "Standard", None, ["876", "0", "876", "876"]),
        "reserved": ("Usage", "Usage-Based", "Committed", "Used", ["0", "0.062", "0.107", "0.107"]),
        "reservation fee": ("Purchase", "Recurring", "Standard", None, ["44.64", "0", "44.64", "44.64"]),
        "reservation upfront": ("Purchase", "One-Time", "Standard", None, ["500", "0", "500", "500"]),
        "support": ("Purchase", "One-Time", "Standard", None, ["100", "100", "100", "100"]),
        "tax": ("Tax", "One-Time", None, None, ["1.9", "1.9", "1.9", "1.9"]),
        "credit": ("Credit", "One-Time", None, None, ["-5", "-5", "-5", "-5"]),
        "refund": ("Adjustment", "One-Time", None, None, ["-2", "-2", "-2", "-2"]),
        "edp": ("Usage", "Usage-Based", "Other", None, ["-0.0096", "-0.0096", "-0.0096", "0"]),
        "unknown": ("Adjustment", "One-Time", None, None, ["0.5", "0.5", "0.5", "0.5"]),
        "marketplace": ("Usage", "Usage-Based", "Standard", None, ["7.5", "7.5", "7.5", "7.5"]),
    }
    for name, expected in kinds.items():
        row = mapped.of(lines, name)
        assert (*some(row, "ChargeCategory", "ChargeFrequency", "PricingCategory", "CommitmentDiscountStatus"), costs(row)) == expected, (
            name
        )

    unused = mapped.of(lines, "plan fee", "unused")
    assert some(unused, "ChargeCategory", "PricingCategory", "CommitmentDiscountId", "CommitmentDiscountStatus") == (
        *("Usage", "Committed", PLAN, "Unused"),
    )
    assert costs(unused) == ["0", "0.08", "0.08", "0.08"]
    assert some(unused, "CommitmentDiscountQuantity", "CommitmentDiscountUnit", "PricingUnit", "ResourceId") == (0.08, "USD", "USD", PLAN)
    unused = mapped.of(lines, "reservation fee", "unused")
    assert costs(unused) == ["0", "5", "5", "5"]
    assert some(unused, "CommitmentDiscountQuantity", "CommitmentDiscountUnit", "ConsumedQuantity") == (70.0, "Hrs", None)
    who_what_and_where(mapped, lines)

    tamper = (
        "DELETE FROM x_staging_focus_export WHERE ChargeCategory = 'Tax';\n"
        "UPDATE x_staging_focus_export SET SubAccountId = '999900001111' WHERE ServiceName = 'Example Scanner';\n"
        "UPDATE x_staging_focus_export SET EffectiveCost = EffectiveCost + 0.01 WHERE ChargeCategory = 'Credit'"
    )
    found = await mapped.agreeing(tamper)
    assert found == {"rows_agree_with_source": 3, "billed_cost_agrees": 3, "effective_cost_agrees": 3}


def who_what_and_where(mapped: Mapped, lines: Lines) -> None:
    usage = mapped.of(lines, "usage")
    assert json.loads(usage["Tags"]) == {"Name": "web 1", "team": 'the "A" team', "aws:createdBy": "Root"}
    assert json.loads(usage["SkuPriceDetails"]) == {
        "CoreCount": 2,
        "InstanceType": "m5.large",
        "OperatingSystem": "Linux",
        "x_Term": "OnDemand",
    }
    assert {name: value for name, value in usage.items() if value is not None and name[:2] != "x_"} == {
        "AvailabilityZone": "eu-west-1a",
        "BilledCost": Decimal("0.096"),
        "BillingAccountId": "111122223333",
        "BillingAccountType": "Payer Account",
        "BillingCurrency": "USD",
        "BillingPeriodStart": at(MONTH),
        "BillingPeriodEnd": at(date(2026, 6, 1)),
        "ChargeCategory": "Usage",
        "ChargeDescription": "Usage of an m5.large",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": at(date(2026, 5, 5)),
        "ChargePeriodEnd": at(date(2026, 5, 5), 1),
        "ConsumedQuantity": 1.0,
        "ConsumedUnit": "Hrs",
        "ContractedCost": Decimal("0.096"),
        "ContractedUnitPrice": 0.096,
        "EffectiveCost": Decimal("0.096"),
        "InvoiceId": "1500001",
        "InvoiceIssuerName": "Amazon Web Services EMEA SARL",
        "ListCost": Decimal("0.107"),
        "ListUnitPrice": 0.107,
        "PricingCategory": "Standard",
        "PricingCurrency": "USD",
        "PricingCurrencyContractedUnitPrice": 0.096,
        "PricingCurrencyEffectiveCost": Decimal("0.096"),
        "PricingCurrencyListUnitPrice": 0.107,
        "PricingQuantity": 1.0,
        "PricingUnit": "Hrs",
        "ProviderName": "AWS",
        "PublisherName": "AWS",
        "RegionId": "eu-west-1",
        "RegionName": "EU (Ireland)",
        "ResourceId": "i-0a1b2c3d4e5f",
        "ResourceName": "web 1",
        "ResourceType": "ec2:instance",
        "ServiceCategory": "Compute",
        "ServiceName": "Amazon Elastic Compute Cloud",
        "ServiceSubcategory": "Virtual Machines",
        "SkuId": "SKU1",
        "SkuMeter": "EU-BoxUsage:m5.large",
        "SkuPriceId": "SKU1.JRTCKXETXF.6YS6EN2CT7",
        "SkuPriceDetails": usage["SkuPriceDetails"],
        "Tags": usage["Tags"],
        "SubAccountId": "444455556666",
        "SubAccountName": "444455556666",
        "SubAccountType": "Linked Account",
    }
    assert some(
        usage, "x_UsageDate", "x_Provider", "x_SourceId", "x_FocusVersion", "x_BillingPeriod", "x_ManifestId", "x_SourceChanges"
    ) == (*(date(2026, 5, 5), "AWS", "AWS/bills/cur/all", "1.2", MONTH, "assembly-1", None),)
    bucket = mapped.of(lines, "bucket")
    assert some(bucket, "ServiceName", "ServiceCategory", "ResourceType", "RegionId", "RegionName", "AvailabilityZone", "Tags") == (
        *("Amazon Simple Storage Service", "Storage", "s3", "us-east-1", "us-east-1", None, '{"list":["a", "b"],"team":"data"}'),
    )
    assert some(bucket, "CapacityReservationStatus", "BilledCost") == ("Unused", Decimal("0.000000012"))
    seller = mapped.of(lines, "marketplace")
    assert some(seller, "PublisherName", "ServiceCategory", "ServiceName", "InvoiceIssuerName") == (
        *("Example Seller GmbH", "Other", "Example Scanner", "Amazon Web Services EMEA SARL"),
    )
    refund = mapped.of(lines, "refund")
    assert some(refund, "ChargeClass", "x_UsageDate", "PricingQuantity", "SkuId") == ("Correction", date(2026, 4, 9), None, None)
    fee = mapped.of(lines, "reservation fee")
    assert some(fee, "ChargePeriodEnd", "ResourceId", "ResourceType") == (at(date(2026, 6, 1)), RESERVATION, "Reserved Instance")
    credit = mapped.of(lines, "credit")
    assert some(credit, "InvoiceIssuerName", "x_SourceChanges") == ("AWS", "InvoiceIssuerName")


async def test_discounts_and_negations(bench: Bench) -> None:
    """In CUR 2.0 without manual discount compatibility the net cost is what is paid; where discounts are line items, that would take them
    off twice. A negation that does not fit what it negates keeps the rest, so that no cent is lost in any account.
    """
    off: dict[str, object] = {"discount_total_discount": Decimal("-0.01"), "discount": '{"edp_discount": -0.01}'}
    plan: dict[str, object] = {"savings_plan_savings_plan_arn": PLAN}
    covered: dict[str, object] = {
        "savings_plan_savings_plan_effective_cost": Decimal("0.12"),
        "savings_plan_net_savings_plan_effective_cost": Decimal("0.11"),
        "line_item_net_unblended_cost": Decimal("0.182"),
    }
    apart: dict[str, object] = {"source_id": "AWS/bills/cur/apart"}
    odd: dict[str, object] = {"source_id": "AWS/bills/cur/odd"}
    other: dict[str, object] = {"line_item_usage_account_id": "999900001111"}
    lines = {
        "usage": line("Usage", "0.096", line_item_net_unblended_cost=Decimal("0.086"), **off),
        "planned": line("SavingsPlanCoveredUsage", "0.192", **covered, **plan, **off),
        "negation": line("SavingsPlanNegation", "-0.192", line_item_net_unblended_cost=Decimal("-0.182"), **off),
        "usage apart": line("Usage", "0.0961", line_item_net_unblended_cost=Decimal("0.0861"), **off, **apart),
        "discount apart": not_priced("EdpDiscount", "-0.02", **apart),
        "ten": line("SavingsPlanCoveredUsage", "10", **plan, **odd),
        "minus nine": line("SavingsPlanNegation", "-9", **odd),
        "minus three": line("SavingsPlanNegation", "-3", **odd),
        "elsewhere": line("SavingsPlanCoveredUsage", "4", **plan, **odd, **other),
    }
    mapped = await Mapped(bench).map(lines)
    assert {name for name, failing in mapped.checks.items() if failing} <= {"one_source", "usage_is_priced", "columns_filled"}
    expected = {
        "usage": ["0.086", "0.086", "0.086", "0.107"],
        "planned": ["0", "0.11", "0.182", "0.107"],
        "usage apart": ["0.0961", "0.0961", "0.0961", "0.107"],
        "discount apart": ["-0.02", "-0.02", "-0.02", "0"],
        "ten": ["0", "10", "10", "0.107"],
        "elsewhere": ["4", "4", "4", "0.107"],
    }
    assert {name: costs(mapped.of(lines, name)) for name in expected} == expected
    rest = [mapped.of(lines, name, "negation") for name in ("minus nine", "minus three")]
    assert [some(row, "BilledCost", "ChargeCategory") for row in rest] == [(Decimal("-1.5"), "Adjustment"), (Decimal("-0.5"), "Adjustment")]
    assert len(mapped.rows) == len(lines) - 1
