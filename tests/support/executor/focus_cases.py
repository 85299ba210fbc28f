"""Every kind of row that a billing export has, and what FOCUS makes of it alone: name -> (what of the row is special, what is expected).

Fees and usage of commitments stand here without each other, and so keep their money.
"""

from typing import Any, Final

from tests.support.executor.focus_source import DAY

type Columns = dict[str, Any]

RESOURCE_FEE: Final = {
    "sku_description": "Commitment v1: N2 Cpu in Americas for 1 Year",
    "usage_amount": 14400.0,
    "usage_amount_in_pricing_units": 4.0,
    "cost": 0.076,
    "cost_at_list": 0.076,
}
FLEXIBLE: Final = {"consumption_model_id": "D97B-0795-975B", "consumption_model_description": "Compute Flexible CUDs - 1 Year"}
DEFAULT: Final = {"consumption_model_id": "7754-699E-0EBF", "consumption_model_description": "Default"}


def credit(kind: str, amount: float) -> Columns:
    return {"credits": [{"name": "c", "amount": amount, "full_name": "C", "id": "c", "type": kind}]}


def costs(billed: float, contracted: float, listed: float) -> Columns:
    """Of a row that no money is moved from or to: EffectiveCost is BilledCost."""
    return {"BilledCost": billed, "EffectiveCost": billed, "ContractedCost": contracted, "ListCost": listed, "x_NetCost": billed}


USAGE: Final = {"ChargeCategory": "Usage", "ChargeFrequency": "Usage-Based", "ChargeClass": None}
ON_DEMAND: Final = {**USAGE, "PricingCategory": "Standard", "CommitmentDiscountId": None, "CommitmentDiscountStatus": None}
COMMITTED: Final = {**USAGE, "PricingCategory": "Committed"}
PURCHASE: Final = {
    "ChargeCategory": "Purchase",
    "ChargeFrequency": "Recurring",
    "PricingCategory": "Standard",
    "ConsumedQuantity": None,
    "ConsumedUnit": None,
    "CommitmentDiscountStatus": None,
}
UNPRICED: Final = {
    "ChargeFrequency": "One-Time",
    "PricingCategory": None,
    "PricingQuantity": None,
    "ListUnitPrice": None,
    "ContractedUnitPrice": None,
    "PricingCurrencyListUnitPrice": None,
    "ConsumedQuantity": None,
    "SkuPriceId": None,
    "SkuPriceDetails": None,
}

CHARGES: Final[dict[str, tuple[Columns, Columns]]] = {
    "on demand": ({}, {**ON_DEMAND, **costs(10, 10, 10), "SkuPriceId": "SKU/default/0", "SkuPriceDetails": None}),
    "negotiated": ({"cost": 8.0}, {**ON_DEMAND, **costs(8, 8, 10)}),
    "no list price": ({"cost_at_list": None}, {**ON_DEMAND, **costs(10, 10, 10)}),
    "sustained use": (credit("SUSTAINED_USAGE_DISCOUNT", -2.0), {**ON_DEMAND, **costs(8, 10, 10)}),
    "free tier by credit": ({"cost": 0.3, "cost_at_list": 0.3, **credit("FREE_TIER", -0.3)}, {**ON_DEMAND, **costs(0, 0.3, 0.3)}),
    "free tier by price": (
        {"cost": 0.0, "cost_at_list": 0.0},
        {**ON_DEMAND, **costs(0, 0, 0), "ListUnitPrice": 0.0, "ContractedUnitPrice": 0.0},
    ),
    "nothing was used": (
        {
            "usage_amount": 0.0,
            "usage_amount_in_pricing_units": 0.0,
            "cost": 0.0,
            "cost_at_list": 0.0,
            "price_list_price": 2.0,
            "price_effective_price": 1.5,
            "price_pricing_unit_quantity": 1000.0,
            "price_tier_start_amount": 1024.0,
        },
        {**ON_DEMAND, "ListUnitPrice": 0.002, "ContractedUnitPrice": 0.0015, "PricingQuantity": 0.0, "SkuPriceId": "SKU/default/1024"},
    ),
    "refund as usage": ({"cost": -1.0, "cost_at_list": -1.0}, {**ON_DEMAND, **costs(-1, -1, -1), "ContractedUnitPrice": None}),
    "resource commitment's fee": (
        RESOURCE_FEE,
        {**PURCHASE, **costs(0.076, 0.076, 0.076), "CommitmentDiscountId": None, "PricingQuantity": 4.0, "ContractedUnitPrice": 0.019},
    ),
    "resource commitment's fee, detailed": (
        {**RESOURCE_FEE, "subscription_instance_id": "sub-1", "resource_name": "x"},
        {
            **PURCHASE,
            **costs(0.076, 0.076, 0.076),
            "CommitmentDiscountId": "sub-1",
            "CommitmentDiscountName": "Commitment v1: N2 Cpu in Americas for 1 Year",
            "CommitmentDiscountCategory": "Usage",
            "CommitmentDiscountType": "Resource-based CUD",
            "CommitmentDiscountQuantity": 4.0,
            "CommitmentDiscountUnit": "hour",
            "ResourceId": "sub-1",
            "ResourceName": None,
            "ResourceType": "Commitment",
        },
    ),
    "resource commitment's usage": (
        {"region": "where no fee is", "cost": 9.0, "cost_at_list": 9.0, **credit("COMMITTED_USAGE_DISCOUNT", -9.0)},
        {**COMMITTED, **costs(0, 9, 9), "CommitmentDiscountId": None, "CommitmentDiscountStatus": None},
    ),
    "spend commitment's usage": (credit("COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE", -4.0), {**COMMITTED, **costs(6, 10, 10)}),
    "flexible commitment's usage": (
        {**FLEXIBLE, "subscription_instance_id": "sub-2", "cost": 0.72, "cost_at_effective_price_default": 0.9, "cost_at_list": 1.0},
        {
            **COMMITTED,
            **costs(0.72, 0.9, 1),
            "ContractedUnitPrice": 0.9,
            "CommitmentDiscountId": "sub-2",
            "CommitmentDiscountName": "Compute Flexible CUDs - 1 Year",
            "CommitmentDiscountCategory": "Spend",
            "CommitmentDiscountType": "Spend-based CUD",
            "CommitmentDiscountStatus": "Used",
            "CommitmentDiscountQuantity": 0.72,
            "CommitmentDiscountUnit": "USD",
            "SkuPriceId": "SKU/D97B-0795-975B/0",
            "SkuPriceDetails": {"x_ConsumptionModel": "Compute Flexible CUDs - 1 Year"},
        },
    ),
    "flexible commitment's usage, standard export": (
        {
            **FLEXIBLE,
            "consumption_model_id": "7754-699E-0EBF",
            "cost": 0.54,
            "cost_at_effective_price_default": 0.9,
            "cost_at_list_consumption_model": 0.6,
            "cost_at_list": 1.0,
        },
        {
            **COMMITTED,
            **costs(0.54, 0.9, 1),
            "ContractedUnitPrice": 0.9,
            "ListUnitPrice": 1.0,
            "CommitmentDiscountId": None,
            "x_CostAtListConsumptionModel": 0.6,
        },
    ),
    "flexible commitment's usage without list price": (
        {**FLEXIBLE, "consumption_model_description": None, "cost": 0.5, "cost_at_effective_price_default": 0.9, "cost_at_list": None},
        {**COMMITTED, **costs(0.5, 0.9, 0.9)},
    ),
    "flexible commitment's fee": (
        {
            **DEFAULT,
            **credit("FEE_UTILIZATION_OFFSET", -0.5),
            "subscription_instance_id": "sub-2",
            "cost": 0.75,
            "cost_at_effective_price_default": 0.75,
            "cost_at_list": 0.75,
        },
        {
            **PURCHASE,
            **costs(0.25, 0.75, 0.75),
            "CommitmentDiscountId": "sub-2",
            "CommitmentDiscountCategory": "Spend",
            "CommitmentDiscountQuantity": 0.75,
            "CommitmentDiscountUnit": "USD",
        },
    ),
    "default consumption model": ({**DEFAULT, "price_tier_start_amount": 0.0}, {**ON_DEMAND, "SkuPriceId": "SKU/default/0"}),
    "credit alone": (
        {"cost": 0.0, "cost_at_list": 7.0, "usage_amount": None, **credit("PROMOTION", -5.0)},
        {"ChargeCategory": "Credit", **UNPRICED, **costs(-5, -5, -5)},
    ),
    "tax": (
        {"cost": 1.9, "cost_at_list": 0.0, "cost_type": "tax", "usage_amount": None},
        {"ChargeCategory": "Tax", **UNPRICED, **costs(1.9, 1.9, 1.9), "SkuId": None, "SkuMeter": None, "ChargeClass": None},
    ),
    "rounding": (
        {"cost": -0.004, "cost_at_list": 1.0, "cost_type": "rounding_error"},
        {"ChargeCategory": "Adjustment", **UNPRICED, **costs(-0.004, -0.004, -0.004)},
    ),
    "adjustment in its month": (
        {"cost": -5.0, "cost_at_list": 3.0, "cost_type": "adjustment", "adjustment_info_description": "Too many hours"},
        {"ChargeCategory": "Adjustment", **UNPRICED, **costs(-5, -5, -5), "ChargeClass": None, "ChargeDescription": "Too many hours"},
    ),
    "refund of another month": (
        {"cost": -100.0, "cost_type": "adjustment", "adjustment_info_id": "a", "invoice_month": "202601"},
        {"ChargeCategory": "Adjustment", **costs(-100, -100, -100), "ChargeClass": "Correction", "x_InvoiceMonth": "202601"},
    ),
    "correction among usage": (
        {"adjustment_info_id": "a", "adjustment_info_type": "METADATA_CORRECTION", "invoice_month": "202512"},
        {"ChargeCategory": "Usage", "ChargeClass": "Correction"},
    ),
    "tax of a correction": (
        {"cost_type": "tax", "adjustment_info_id": "a", "invoice_month": "202512"},
        {"ChargeCategory": "Tax", "ChargeClass": "Correction"},
    ),
    "goodwill": (
        {"cost_type": "adjustment", "adjustment_info_type": "GOODWILL", "invoice_month": "202512"},
        {"ChargeCategory": "Adjustment", "ChargeClass": None},
    ),
    "late usage": ({"invoice_month": "202512"}, {**ON_DEMAND, "ChargeDescription": "N2 Instance Core running in Americas"}),
    "marketplace": (
        {"transaction_type": "THIRD_PARTY_AGENCY", "seller_name": "MongoDB, Inc.", "invoice_publisher_type": "PARTNER"},
        {
            **ON_DEMAND,
            **costs(10, 10, 10),
            "PublisherName": "MongoDB, Inc.",
            "InvoiceIssuerName": "A reseller",
            "x_PublisherType": "PARTNER",
        },
    ),
    "marketplace, seller unknown": (
        {"transaction_type": "THIRD_PARTY_RESELLER", "service_description": "Atlas", "service_id": "A", "sku_description": "Spot storage"},
        {**ON_DEMAND, "PublisherName": "Atlas", "ServiceCategory": "Other"},
    ),
    "marketplace, type unknown": ({"seller_name": "Elastic"}, {"PublisherName": "Elastic"}),
    "marketplace subscription": (
        {"transaction_type": "THIRD_PARTY_AGENCY", "subscription_instance_id": "s"},
        {**PURCHASE, "CommitmentDiscountId": None, "x_SubscriptionInstanceId": "s"},
    ),
    "Google's own": ({"transaction_type": "GOOGLE", "seller_name": "Google"}, {"PublisherName": "Google Cloud"}),
    "support": (
        {"service_id": "2062-016F-44A2", "service_description": "Cloud Support", "sku_description": "Enhanced Support", "cost": 500.0},
        {**PURCHASE, **costs(500, 500, 10), "ServiceSubcategory": "Support", "CommitmentDiscountId": None},
    ),
    "flat subscription": (
        {"service_id": "X", "service_description": "Looker", "sku_description": "Looker Standard Subscription"},
        PURCHASE,
    ),
    "a topic's subscription": (
        {"service_id": "A1E8-BE35-7EBC", "service_description": "Pub/Sub", "sku_description": "Subscription Message Backlog"},
        {**ON_DEMAND, "ServiceSubcategory": "Messaging"},
    ),
    "metered under a subscription": ({"sku_description": "Bytes of data ingested in US under subscription"}, ON_DEMAND),
    "spot": ({"sku_description": "Spot Preemptible N2 Core"}, {**USAGE, "PricingCategory": "Dynamic"}),
    "spot GPU": ({"sku_description": "Nvidia L4 GPU attached to Spot Preemptible VMs"}, {**USAGE, "PricingCategory": "Dynamic"}),
    "spot pod": ({"sku_description": "Autopilot Pod mCPU (spot)"}, {**USAGE, "PricingCategory": "Dynamic"}),
    "hotspot": ({"sku_description": "Hotspot analysis"}, ON_DEMAND),
}

DETAILS: Final[dict[str, tuple[Columns, Columns]]] = {
    "euros": (
        {"currency": "EUR", "currency_conversion_rate": 0.8, "cost": 4.0, "cost_at_list": 8.0},
        {
            **costs(4, 4, 8),
            "BillingCurrency": "EUR",
            "PricingCurrency": "USD",
            "PricingCurrencyEffectiveCost": 5,
            "PricingCurrencyContractedUnitPrice": 5.0,
            "PricingCurrencyListUnitPrice": 10.0,
        },
    ),
    "euros, rate unknown": (
        {"currency": "EUR", "currency_conversion_rate": None},
        {"PricingCurrency": "EUR", "PricingCurrencyEffectiveCost": 10, "PricingCurrencyListUnitPrice": 10.0},
    ),
    "a service's new name": (
        {"service_id": "CC63-0873-48FD", "service_description": "Planet-scale SQL"},
        {"ServiceName": "Planet-scale SQL", "ServiceCategory": "Databases", "ServiceSubcategory": "Relational Databases"},
    ),
    "a service without Cloud": (
        {"service_id": "Y", "service_description": "Dataflow"},
        {"ServiceCategory": "Analytics", "ServiceSubcategory": "Data Processing"},
    ),
    "a service with Google": ({"service_id": "Y", "service_description": "Google Cloud Dataflow"}, {"ServiceCategory": "Analytics"}),
    "all schemes of tags": (
        {
            "labels": {"app": 'w"e\\b', "env": "1", "k8s-label/x": "y"},
            "project_labels": {"cost-center": "cc-42", "env": '2, "env":"5"', "none": None},
            "tags": [
                {"key": "env", "value": "inherited", "inherited": True, "namespace": "123"},
                {"key": "env", "value": "own", "inherited": False, "namespace": "123"},
                {"key": "team", "value": None, "namespace": None},
                {"key": None, "value": "x", "namespace": "123"},
                {"value": "x"},
            ],
            "system_labels": {"compute.googleapis.com/cores": "4"},
        },
        {
            "Tags": {
                "app": 'w"e\\b',
                "env": "1",
                "k8s-label/x": "y",
                "project/cost-center": "cc-42",
                "project/env": '2, "env":"5"',
                "project/none": None,
                "tag/123/env": "own",
                "tag/team": None,
                "compute.googleapis.com/cores": "4",
            },
            "x_SystemLabels": {"compute.googleapis.com/cores": "4"},
        },
    ),
    "no tags": ({"labels": None, "system_labels": None, "tags": []}, {"Tags": {}}),
    "reservation": (
        {
            "zone": "us-central1-a",
            "system_labels": {
                "compute.googleapis.com/reservation_name": "r1",
                "compute.googleapis.com/reservation_project_id": "owner",
                "compute.googleapis.com/is_unused_reservation": "false",
            },
        },
        {
            "CapacityReservationId": "//compute.googleapis.com/projects/owner/zones/us-central1-a/reservations/r1",
            "CapacityReservationStatus": "Used",
        },
    ),
    "reservation, unused": (
        {"resource_global_name": "//x/reservations/r2", "system_labels": {"compute.googleapis.com/is_unused_reservation": "true"}},
        {"CapacityReservationId": "//x/reservations/r2", "CapacityReservationStatus": "Unused", "ResourceType": "reservations"},
    ),
    "no global name": (
        {"resource_name": "vm-1", "project_name": None},
        {"ResourceId": "vm-1", "ResourceName": None, "ResourceType": "Compute Engine", "SubAccountName": "shop"},
    ),
    "no project": ({"project_id": None, "project_name": None}, {"SubAccountId": None, "SubAccountName": None, "SubAccountType": None}),
    "no SKU": ({"sku_id": None, "sku_description": None}, {"SkuPriceId": None, "ChargeDescription": "Compute Engine"}),
}

EVERYTHING: Final[Columns] = {
    "usage_start_time": f"{DAY} 05:00:00+00",
    "usage_end_time": f"{DAY} 06:00:00+00",
    "project_number": "42",
    "location": "us-central1",
    "region": "us-central1",
    "zone": "us-central1-a",
    "resource_name": "vm-1",
    "resource_global_name": "//compute.googleapis.com/projects/shop/zones/z/instances/1",
    "labels": {"team": "ü"},
    "usage_amount": 7200.0,
    "usage_amount_in_pricing_units": 2.0,
    "cost": 2.5,
    "cost_at_list": 4.0,
    "cost_at_effective_price_default": 3.0,
    "cost_at_list_consumption_model": 2.75,
    "credits": [{"name": "a", "amount": -0.75, "type": "DISCOUNT"}],
    "price_tier_start_amount": 0.5,
    "invoice_publisher_type": "GOOGLE",
    **DEFAULT,
}
"""A row with all that a usage can have."""
