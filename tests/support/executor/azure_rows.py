"""Rows of Azure exports of actual and amortized cost, as Microsoft describes them ("Understand cost details fields", "Cost and usage
details file schema"). The amounts are made up.
"""

import json
from datetime import date
from decimal import Decimal
from typing import Any

from tests.support.executor.exported_rows import MONTH

SUBSCRIPTION = "9ec51cfd-5ca7-4d76-8101-dd0a4abc5674"
ORDER, RESERVED = "a965d46f-aedf-4176-8ff1-2617943b8960", "f39d1c73-af74-4308-9083-fbf5efab37d1"
RESERVATION = f"/providers/Microsoft.Capacity/reservationOrders/{ORDER}/reservations/{RESERVED}"
PLAN = "/providers/Microsoft.BillingBenefits/savingsPlanOrders/802a9e8b/savingsPlans/09ff8291"
MACHINE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/web1"
DAY = date(2026, 5, 5)


def enterprise(cost: str, /, **changes: object) -> dict[str, Any]:
    """A day of a virtual machine in an Enterprise Agreement's actual cost."""
    row: dict[str, Any] = {
        "dataset": "ACTUAL",
        "source_id": "AZURE/bills/exports/cost/actual",
        "billing_period": MONTH,
        "manifest_id": "run-1",
        "billing_account_id": "8611537",
        "billing_account_name": "Example",
        "billing_profile_id": "8611537",
        "billing_profile_name": "Example",
        "subscription_id": SUBSCRIPTION,
        "subscription_name": "Shop",
        "date": DAY,
        "product": "Virtual Machines Dv2 Series - D2 v2 - US East",
        "part_number": "997-03401",
        "meter_id": "14fc9a21",
        "meter_category": "Virtual Machines",
        "meter_name": "D2 v2",
        "service_family": "Compute",
        "quantity": 24.0,
        "effective_price": 0.11,
        "unit_price": 0.12,
        "payg_price": 0.146,
        "cost": Decimal(cost),
        "billing_currency": "USD",
        "resource_location": "EastUS",
        "consumed_service": "Microsoft.Compute",
        "resource_id": MACHINE,
        "resource_name": "web1",
        "additional_info": json.dumps({"UsageType": "ComputeHR", "ServiceType": "Standard_D2_v2", "VCPUs": 2}),
        "tags": '"env": "prod","note": "a \\"b\\""',
        "unit_of_measure": "1 Hour",
        "charge_type": "Usage",
        "frequency": "UsageBased",
        "publisher_type": "Azure",
        "pricing_model": "OnDemand",
    }
    return row | changes


def customer(cost: str, /, **changes: object) -> dict[str, Any]:
    """The same in a Microsoft Customer Agreement, priced in dollars and billed in euros, in its own words."""
    words: dict[str, object] = {
        "billing_account_id": "7c05a543:99ad03ad_2019-05-31",
        "billing_profile_id": "ABCD-EFGH",
        "billing_profile_name": "Europe",
        "invoice_id": "G012345678",
        "product": None,
        "product_name": "Virtual Machines Dv2 Series - D2 v2",
        "product_id": "DZH318Z0BQ4B/00G1",
        "part_number": None,
        "cost": None,
        "cost_in_billing_currency": Decimal(cost),
        "billing_currency": "EUR",
        "pricing_currency": "USD",
        "exchange_rate_pricing_to_billing": 0.5,
        "payg_cost_in_billing_currency": Decimal("1.752"),
        "resource_location": "East US",
        "tags": '{"env": "prod"}',
    }
    return enterprise(cost, **{**words, **changes})


def pay_as_you_go(cost: str, /, **changes: object) -> dict[str, Any]:
    """The same of a subscription without an agreement, in the words of older exports."""
    words: dict[str, object] = {
        **dict.fromkeys(("billing_account_id", "billing_account_name", "billing_profile_id", "billing_profile_name", "subscription_id")),
        **dict.fromkeys(("date", "cost", "billing_currency", "resource_id", "quantity", "charge_type", "frequency", "pricing_model")),
        "subscription_guid": SUBSCRIPTION.upper(),
        "usage_date_time": DAY,
        "pre_tax_cost": Decimal(cost),
        "currency": "GBP",
        "instance_id": MACHINE.removeprefix("/"),
        "usage_quantity": 24.0,
        "payg_price": None,
        "tags": None,
    }
    return enterprise(cost, **{**words, **changes})


def with_commitments() -> dict[str, dict[str, Any]]:
    """Both exports of an Enterprise Agreement with a reservation of 62 and a savings plan of 30, both partly used, by a name."""
    reserved: dict[str, object] = {
        "pricing_model": "Reservation",
        "reservation_id": RESERVED,
        "reservation_name": "Machines",
        "product_order_id": ORDER,
        "benefit_id": RESERVATION,
        "benefit_name": "Machines",
        "payg_price": 0.0,
        "term": "12",
    }
    planned: dict[str, object] = {"pricing_model": "SavingsPlan", "benefit_id": PLAN, "benefit_name": "Compute", "term": "36"}
    bought: dict[str, object] = {"charge_type": "Purchase", "additional_info": None, "tags": None, "resource_name": None, "quantity": 1.0}
    unused: dict[str, object] = {"resource_id": None, "resource_name": None, "additional_info": None, "tags": None, "quantity": 10.0}
    amortized = {"dataset": "AMORTIZED"}
    return {
        "usage": enterprise("2.64"),
        "usage, amortized": enterprise("2.64", **amortized),
        "reserved": enterprise("0", **reserved),
        "reserved, amortized": enterprise("1.48", **reserved, **amortized),
        "reservation": enterprise("62", **{**reserved, **bought, "frequency": "Recurring", "resource_id": RESERVATION}),
        "reservation unused": enterprise("0.52", **{**reserved, **unused, **amortized, "charge_type": "UnusedReservation"}),
        "planned": enterprise("0", **planned),
        "planned, amortized": enterprise("1.9", **planned, **amortized),
        "plan": enterprise(
            "30", **{**planned, **bought, "frequency": "OneTime", "meter_category": None, "consumed_service": "Microsoft.BillingBenefits"}
        ),
        "plan unused": enterprise("0.1", **{**planned, **unused, **amortized, "charge_type": "UnusedSavingsPlan"}),
    }
