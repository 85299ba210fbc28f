"""The rows of the sample tenant's AWS bill, in FOCUS 1.2's columns: synthetic, the same for the same month every time.

A row a day, account and service, and what makes real bills harder: usage that a savings plan covers, the plan's own charge and its unused
part, a tax, rows without tags or publisher. A restatement adds a credit and corrects one charge, as AWS does after a month has ended.
"""

import functools
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import yaml

from localcloud.aws.account import ACCOUNT

type AwsRow = dict[str, Any]

CREDIT = Decimal("-25.00")
"""What a restatement takes off."""
CORRECTED_DAY = 3
"""The day of the month one of whose charges a restatement doubles."""
HOURS = 24
UNTAGGED, TAX_RATE = 0.2, Decimal("0.19")
NANO = Decimal("1e-9")


@functools.cache
def aws_catalog() -> dict[str, Any]:
    """The contents of catalog.yml."""
    read: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("catalog.yml").read_text())
    return read


def month_of_rows(month: date, through: date, *, is_restated: bool = False) -> list[AwsRow]:
    """The charges of the month from its first day to `through`; if that is not before its end, it is closed, with a tax and an invoice."""
    end = _next(month)
    days = [month + timedelta(days=index) for index in range((min(through + timedelta(days=1), end) - month).days)]
    rows = [row for day in days for row in _rows_of_day(day)]
    if through >= end_of_month(month):
        rows.append(_tax(month, sum((row["BilledCost"] for row in rows), Decimal())))
        rows = [row | {"InvoiceId": f"{month:%Y%m}4711"} for row in rows]
    if is_restated:
        rows = [_doubled(row) if row is _corrected(rows, month) else row for row in rows]
        rows.append(_credit(month))
    return rows


def _rows_of_day(day: date) -> Iterator[AwsRow]:
    # The numbers do not matter, only that they are the same each time.
    random, found = Random(f"convergence-aws-{day.isoformat()}"), aws_catalog()  # noqa: S311
    left = Decimal(str(found["plan"]["per_hour"])) * HOURS
    yield _plan(day, left)
    for account in found["accounts"]:
        for charge in found["charges"]:
            row = _usage(random, day, account, charge)
            if account["has_plan"] and "covered" in charge["usage"]:
                row = _covered(row, Decimal(str(charge["usage"]["covered"])))
                left -= row["EffectiveCost"]
            yield row
    yield _unused(day, left)


def _usage(random: Random, day: date, account: dict[str, Any], charge: dict[str, Any]) -> AwsRow:
    usage, service, sku = charge["usage"], charge["service"], charge["sku"]
    region = random.choice(aws_catalog()["regions"])
    quantity, price = Decimal(str(round(random.uniform(0.2, 1.8) * usage["typical"], 3))), Decimal(str(usage["price"]))
    cost = (quantity * price).quantize(NANO)
    number = random.randrange(1, 4)
    arn = charge["resource"]["arn"].format(region=region["id"], account=account["id"], number=number)
    tags = {} if random.random() < UNTAGGED else {"team": random.choice(aws_catalog()["teams"]), "env": account["env"]}
    return {
        **_charge(day, "Usage", charge["description"]),
        **_priced(cost, quantity, price, usage["unit"]),
        "AvailabilityZone": region["zone"] if service["category"] == "Compute" else None,
        "ChargeFrequency": "Usage-Based",
        "ConsumedQuantity": quantity,
        "ConsumedUnit": usage["unit"],
        "PricingCategory": "Standard",
        "RegionId": region["id"],
        "RegionName": region["name"],
        "ResourceId": arn,
        "ResourceName": arn.rsplit("/", 1)[-1].rsplit(":", 1)[-1],
        "ResourceType": charge["resource"]["type"],
        "ServiceCategory": service["category"],
        "ServiceName": service["name"],
        "ServiceSubcategory": service["subcategory"],
        "SkuId": sku["id"],
        "SkuMeter": sku["meter"],
        "SkuPriceDetails": sku["details"],
        "SkuPriceId": f"{sku['id']}.JRTCKXETXF.6YS6EN2CT7",
        "SubAccountId": account["id"],
        "SubAccountName": account["name"],
        "Tags": tags,
        "x_Operation": usage["operation"],
        "x_ServiceCode": service["code"],
        "x_UsageType": usage["type"],
    }


def _charge(day: date, category: str, description: str) -> AwsRow:
    """What all rows have; the rest is None."""
    start = datetime.combine(day, time(), UTC)
    month = day.replace(day=1)
    columns = dict.fromkeys((*_TEXTS, *_NUMBERS, *_COSTS, *_TIMES))
    return columns | {
        "BillingAccountId": ACCOUNT,
        "BillingAccountName": "Acme Corp",
        "BillingAccountType": "Payer Account",
        "BillingCurrency": "USD",
        "BillingPeriodStart": datetime.combine(month, time(), UTC),
        "BillingPeriodEnd": datetime.combine(_next(month), time(), UTC),
        "ChargeCategory": category,
        "ChargeDescription": description,
        "ChargePeriodStart": start,
        "ChargePeriodEnd": start + timedelta(days=1),
        "InvoiceIssuerName": "Amazon Web Services, Inc.",
        "PricingCurrency": "USD",
        "ProviderName": "AWS",
        "PublisherName": "Amazon Web Services, Inc.",
        "SubAccountId": ACCOUNT,
        "SubAccountName": "Acme Corp",
        "SubAccountType": "Member Account",
        "SkuPriceDetails": {},
        "Tags": {},
        "x_Discounts": {},
    }


def _priced(cost: Decimal, quantity: Decimal, price: Decimal, unit: str) -> AwsRow:
    """Costs at list prices, and their prices."""
    return {
        **_costs(cost, cost),
        "ListCost": cost,
        "ContractedCost": cost,
        "ListUnitPrice": price,
        "ContractedUnitPrice": price,
        "PricingCurrencyListUnitPrice": price,
        "PricingCurrencyContractedUnitPrice": price,
        "PricingQuantity": quantity,
        "PricingUnit": unit,
    }


def _costs(billed: Decimal, effective: Decimal) -> AwsRow:
    return {"BilledCost": billed, "EffectiveCost": effective, "PricingCurrencyEffectiveCost": effective}


def _of_plan(status: str | None, quantity: Decimal) -> AwsRow:
    plan = aws_catalog()["plan"]
    return {
        "CommitmentDiscountCategory": "Spend",
        "CommitmentDiscountId": plan["id"],
        "CommitmentDiscountName": plan["name"],
        "CommitmentDiscountQuantity": quantity,
        "CommitmentDiscountStatus": status,
        "CommitmentDiscountType": "Compute Savings Plans",
        "CommitmentDiscountUnit": "USD",
        "PricingCategory": "Committed",
    }


def _covered(row: AwsRow, share: Decimal) -> AwsRow:
    """The plan pays: nothing is billed for the usage itself."""
    effective = (row["ListCost"] * share).quantize(NANO)
    return {**row, **_costs(Decimal(), effective), **_of_plan("Used", effective)}


def _plan(day: date, cost: Decimal) -> AwsRow:
    """The plan's recurring charge, which its usage spreads."""
    return {
        **_charge(day, "Purchase", "1 year No Upfront Compute Savings Plan"),
        **_priced(cost, Decimal(HOURS), cost / HOURS, "Hrs"),
        **_costs(cost, Decimal()),
        **_of_plan(None, cost),
        **_SAVINGS_PLANS,
        "ChargeFrequency": "Recurring",
    }


def _unused(day: date, left: Decimal) -> AwsRow:
    """What no usage took of the plan."""
    return {
        **_charge(day, "Usage", "Unused part of a Compute Savings Plan"),
        **_priced(left, left, Decimal(1), "USD"),
        **_costs(Decimal(), left),
        **_of_plan("Unused", left),
        **_SAVINGS_PLANS,
        "ChargeFrequency": "Usage-Based",
    }


_SAVINGS_PLANS = {
    "ServiceCategory": "Compute",
    "ServiceName": "Savings Plans for AWS Compute usage",
    "ServiceSubcategory": "Other (Compute)",
    "SkuId": "S4VFPQ8R7NXE2KQM",
    "SkuMeter": "Compute Savings Plans",
    "SkuPriceId": "S4VFPQ8R7NXE2KQM.JRTCKXETXF.6YS6EN2CT7",
    "x_ServiceCode": "ComputeSavingsPlans",
    "x_UsageType": "ComputeSP:1yrNoUpfront",
}


def _tax(month: date, billed: Decimal) -> AwsRow:
    tax = (billed * TAX_RATE).quantize(NANO)
    return {
        **_charge(month, "Tax", "Tax of type VAT"),
        **_costs(tax, tax),
        **_SUPPORT,
        "ListCost": tax,
        "ContractedCost": tax,
        "ChargeFrequency": "One-Time",
        "ChargePeriodEnd": datetime.combine(_next(month), time(), UTC),
        "PublisherName": None,  # AWS leaves it empty for some charges
    }


def _credit(month: date) -> AwsRow:
    return {
        **_charge(month, "Credit", "Service credit for the outage of the month"),
        **_costs(CREDIT, CREDIT),
        **_SUPPORT,
        "ListCost": CREDIT,
        "ContractedCost": CREDIT,
        "ChargeFrequency": "One-Time",
        "InvoiceId": f"{month:%Y%m}4712",
    }


_SUPPORT = {"ServiceCategory": "Other", "ServiceName": "AWS Billing", "ServiceSubcategory": "Other (Other)"}


def _corrected(rows: list[AwsRow], month: date) -> AwsRow:
    day = month + timedelta(days=CORRECTED_DAY - 1)
    return next(row for row in rows if row["ServiceName"] == "Amazon CloudFront" and row["ChargePeriodStart"].date() == day)


def _doubled(row: AwsRow) -> AwsRow:
    quantities = ("ConsumedQuantity", "PricingQuantity", *_COSTS)
    return row | {name: row[name] * 2 for name in quantities if row[name] is not None}


def end_of_month(month: date) -> date:
    """The last day of the month of this first day."""
    return _next(month) - timedelta(days=1)


def _next(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


_TEXTS = (
    *("AvailabilityZone", "CapacityReservationId", "CapacityReservationStatus", "ChargeClass", "ChargeFrequency", "InvoiceId"),
    *("CommitmentDiscountCategory", "CommitmentDiscountId", "CommitmentDiscountName", "CommitmentDiscountStatus", "CommitmentDiscountType"),
    *("CommitmentDiscountUnit", "ConsumedUnit", "PricingCategory", "PricingUnit", "RegionId", "RegionName", "ResourceId", "ResourceName"),
    *("ResourceType", "ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceId", "BillingAccountId"),
    *("BillingAccountName", "BillingAccountType", "BillingCurrency", "ChargeCategory", "ChargeDescription", "InvoiceIssuerName"),
    *("PricingCurrency", "ProviderName", "PublisherName", "SubAccountId", "SubAccountName", "SubAccountType"),
    *("x_Operation", "x_ServiceCode", "x_UsageType"),
)
_NUMBERS = (
    *("CommitmentDiscountQuantity", "ConsumedQuantity", "ContractedUnitPrice", "ListUnitPrice", "PricingQuantity"),
    *("PricingCurrencyContractedUnitPrice", "PricingCurrencyListUnitPrice"),
)
_COSTS = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost", "PricingCurrencyEffectiveCost")
_TIMES = ("BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart")
_MAPS = ("SkuPriceDetails", "Tags", "x_Discounts")
DOUBLES, TIMES, MAPS = (*_NUMBERS, *_COSTS), _TIMES, _MAPS
"""Columns that are no texts, by how AWS writes them."""
