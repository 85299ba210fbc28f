"""The rows of the sample tenant's Azure bill, in the columns of the FOCUS export: synthetic, the same for the same month every time.

A row a day, subscription and charge, and what makes real bills harder: usage that a reservation covers, its purchase without publisher and
service, its unused part, a Marketplace charge whose list cost is unknown and so 0, rows without tags. A restatement adds a refund and
corrects one charge.
"""

import functools
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import yaml

from localcloud.sample.azure.columns import AzureRow

BILLING_ACCOUNT = "8c1f0d4e-2f0e-4f0b-9f6a-3b1f1d2c4e5f:5b2d1c0e-7a64-4b1c-8f3e-9d8c7b6a5f4e_2019-05-31"
PROFILE = "ACME-4HIU-BG7-PGB"
PROFILE_ID = f"/providers/Microsoft.Billing/billingAccounts/{BILLING_ACCOUNT}/billingProfiles/{PROFILE}"
REFUND = Decimal("-18.00")
"""What a restatement takes off."""
CORRECTED_DAY = 4
"""The day of the month of whose bandwidth a restatement bills twice as much."""
UNTAGGED = 0.2
_COSTS = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost")
_QUANTITIES = ("ConsumedQuantity", "PricingQuantity")


@functools.cache
def azure_catalog() -> dict[str, Any]:
    """The contents of catalog.yml."""
    read: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("catalog.yml").read_text())
    return read


def azure_month(month: date, through: date, *, is_restated: bool = False) -> list[AzureRow]:
    """The charges of the month from its first day to `through`, or to its end."""
    days = (min(through + timedelta(days=1), next_month(month)) - month).days
    rows = [_reservation(month), *(row for index in range(days) for row in _rows_of_day(month + timedelta(days=index)))]
    if is_restated:
        rows = [_doubled(row) if _is_corrected(row, month) else row for row in rows]
        rows.append(_refund(month))
    return [_in_usd(row) for row in rows]


def next_month(month: date) -> date:
    """The first day of the month after this one's."""
    return (month + timedelta(days=31)).replace(day=1)


def _rows_of_day(day: date) -> Iterator[AzureRow]:
    # The numbers do not matter, only that they are the same each time.
    random, found = Random(f"convergence-azure-{day.isoformat()}"), azure_catalog()  # noqa: S311
    left = Decimal(found["reservation"]["hours"])
    for subscription in found["subscriptions"]:
        for charge in found["charges"]:
            row = _usage(random, day, subscription, charge)
            if subscription["has_reservation"] and "reserved" in charge["usage"]:
                row = _covered(row, Decimal(str(charge["usage"]["reserved"])))
                left -= row["ConsumedQuantity"]
            yield row
    if left > 0:
        yield _unused(day, left)


def _usage(random: Random, day: date, subscription: dict[str, Any], charge: dict[str, Any]) -> AzureRow:
    usage, service, sku, resource = charge["usage"], charge["service"], charge["sku"], charge["resource"]
    region = random.choice(azure_catalog()["regions"])
    quantity = Decimal(str(round(random.uniform(0.2, 1.4) * usage["typical"], 3)))
    price, contracted = Decimal(str(usage["price"])), Decimal(str(usage["price"])) * (1 - Decimal(str(usage["discount"])))
    cost, is_marketplace = quantity * contracted, "publisher" in service
    name = f"{resource['name']}-{random.randrange(1, 4)}"
    group = f"/subscriptions/{subscription['id']}/resourceGroups/{subscription['group']}"
    tags = {} if random.random() < UNTAGGED else {"team": random.choice(azure_catalog()["teams"]), "env": subscription["env"]}
    return {
        **_charge(day, "Usage", f"{service['name']} - {sku['meter']} - {region['name']}"),
        **_costs(billed=cost, effective=cost, contracted=cost, listed=Decimal() if is_marketplace else quantity * price),
        "ChargeFrequency": "Usage-Based",
        "ConsumedQuantity": quantity,
        "ConsumedUnit": usage["unit"],
        "ContractedUnitPrice": contracted,
        "ListUnitPrice": Decimal() if is_marketplace else price,
        "PricingCategory": "Standard",
        "PricingQuantity": quantity,
        "PricingUnit": usage["unit"],
        "PublisherName": service.get("publisher", "Microsoft"),
        "RegionId": region["id"],
        "RegionName": region["name"],
        "ResourceId": f"{group}/providers/{resource['azure_type']}/{name}".lower(),
        "ResourceName": name,
        "ResourceType": resource["type"],
        "ServiceCategory": service["category"],
        "ServiceName": service["name"],
        "ServiceSubcategory": service["subcategory"],
        "SkuId": sku["id"],
        "SkuMeter": sku["meter"],
        "SkuPriceDetails": {f"x_{key}": value for key, value in sku["details"].items()},
        "SkuPriceId": f"{sku['id']}_0001",
        "SubAccountId": f"/subscriptions/{subscription['id']}",
        "SubAccountName": subscription["name"],
        "SubAccountType": "Subscription",
        "Tags": tags,
        "x_BilledUnitPrice": contracted,
        "x_EffectiveUnitPrice": contracted,
        "x_PricingUnitDescription": usage["description"],
        "x_PublisherCategory": "Marketplace" if is_marketplace else "Cloud Provider",
        "x_ResourceGroupName": subscription["group"],
        "x_ResourceType": resource["azure_type"],
        "x_ServiceModel": service["model"],
        "x_SkuDetails": sku["details"],
        "x_SkuIsCreditEligible": not is_marketplace,
        "x_SkuMeterCategory": service["name"],
        "x_SkuMeterId": sku["meter_id"],
        "x_SkuMeterName": sku["meter"],
        "x_SkuRegion": region["name"],
        "x_SkuServiceFamily": sku["family"],
    }


def _charge(day: date, category: str, description: str) -> AzureRow:
    """What all rows have; what they lack is empty."""
    start, month = datetime.combine(day, time(), UTC), day.replace(day=1)
    return {
        "BillingAccountId": PROFILE_ID,
        "BillingAccountName": "Acme Corp",
        "BillingAccountType": "Billing Profile",
        "BillingCurrency": "USD",
        "BillingPeriodStart": datetime.combine(month, time(), UTC),
        "BillingPeriodEnd": datetime.combine(next_month(month), time(), UTC),
        "ChargeCategory": category,
        "ChargeDescription": description,
        "ChargePeriodStart": start,
        "ChargePeriodEnd": start + timedelta(days=1),
        "InvoiceIssuerName": "Microsoft",
        "PricingCurrency": "USD",
        "ProviderName": "Microsoft",
        "x_BillingAccountId": BILLING_ACCOUNT,
        "x_BillingAccountName": "Acme Corp",
        "x_BillingExchangeRate": Decimal(1),
        "x_BillingProfileId": PROFILE,
        "x_BillingProfileName": "Acme Corp",
        "x_InvoiceSectionId": "ACME-DEFAULT",
        "x_InvoiceSectionName": "Acme",
        "x_PricingBlockSize": Decimal(1),
    }


def _costs(*, billed: Decimal, effective: Decimal, contracted: Decimal, listed: Decimal) -> AzureRow:
    return {"BilledCost": billed, "EffectiveCost": effective, "ContractedCost": contracted, "ListCost": listed}


def _of_reservation(status: str | None, hours: Decimal) -> AzureRow:
    reservation = azure_catalog()["reservation"]
    return {
        "CommitmentDiscountCategory": "Usage",
        "CommitmentDiscountId": reservation["id"],
        "CommitmentDiscountName": reservation["name"],
        "CommitmentDiscountQuantity": hours,
        "CommitmentDiscountStatus": status,
        "CommitmentDiscountType": "Reservation",
        "CommitmentDiscountUnit": "Hours",
        "PricingCategory": "Committed",
        "x_PricingSubcategory": "Committed Usage",
        "x_SkuTerm": 12,
    }


def _covered(row: AzureRow, price: Decimal) -> AzureRow:
    """The reservation pays: nothing is billed for the usage itself."""
    effective = row["ConsumedQuantity"] * price
    costs = {"BilledCost": Decimal(), "EffectiveCost": effective, "x_BilledUnitPrice": Decimal(), "x_EffectiveUnitPrice": price}
    return {**row, **costs, **_of_reservation("Used", row["ConsumedQuantity"]), "x_AmortizationClass": "Amortized Charge"}


def _unused(day: date, hours: Decimal) -> AzureRow:
    """What no usage took of the reservation. Azure does not say a service of it."""
    effective = hours * _reserved_price()
    return {
        **_charge(day, "Usage", "Unused reservation"),
        **_costs(billed=Decimal(), effective=effective, contracted=effective, listed=effective),
        **_of_reservation("Unused", hours),
        "ChargeFrequency": "Usage-Based",
        "PricingQuantity": hours,
        "PricingUnit": "Hours",
        "ServiceCategory": "Compute",
        "ServiceName": "Virtual Machines",
        "ServiceSubcategory": "Virtual Machines",
        "x_AmortizationClass": "Amortized Charge",
    }


def _reservation(month: date) -> AzureRow:
    """The month's payment. Azure leaves publisher and service of such purchases empty."""
    hours = Decimal(azure_catalog()["reservation"]["hours"] * (next_month(month) - month).days)
    cost = hours * _reserved_price()
    return {
        **_charge(month, "Purchase", "Reserved VM Instance, Standard_D4s_v5, EU West, 1 Year"),
        **_costs(billed=cost, effective=Decimal(), contracted=cost, listed=Decimal()),
        **_of_reservation(None, hours),
        "ChargeFrequency": "Recurring",
        "PricingQuantity": Decimal(3),
        "PricingUnit": "Units",
        "ServiceCategory": "Other",
        "x_AmortizationClass": "Principal",
    }


def _refund(month: date) -> AzureRow:
    return {
        **_charge(month, "Credit", "Service level agreement credit"),
        **_costs(billed=REFUND, effective=REFUND, contracted=REFUND, listed=REFUND),
        "ChargeFrequency": "One-Time",
        "PublisherName": "Microsoft",
        "ServiceCategory": "Other",
        "ServiceName": "Service credit",
        "ServiceSubcategory": "Other (Other)",
    }


def _reserved_price() -> Decimal:
    return next(Decimal(str(one["usage"]["reserved"])) for one in azure_catalog()["charges"] if "reserved" in one["usage"])


def _is_corrected(row: AzureRow, month: date) -> bool:
    is_day = row["ChargePeriodStart"].date() == month + timedelta(days=CORRECTED_DAY - 1)
    return is_day and row.get("ServiceName") == "Bandwidth" and row["SubAccountName"] == "acme-prod"


def _doubled(row: AzureRow) -> AzureRow:
    return row | {name: row[name] * 2 for name in (*_COSTS, *_QUANTITIES)}


def _in_usd(row: AzureRow) -> AzureRow:
    return row | {f"x_{name}InUsd": row[name] for name in _COSTS}


def run_id(*parts: object) -> str:
    """A GUID, the same for the same parts."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(map(str, parts))))
