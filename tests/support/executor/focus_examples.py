"""What charges cost in FOCUS, example by example: name -> the source rows of the example, each with the rows that it becomes.

A source row is what is special about it (`focus_source.source_row` has the rest); its rows in FOCUS go by their x_Derivation. Some examples
are Google's own (https://docs.cloud.google.com/docs/cuds-multiprice-datamodel), with Google's numbers; the others are of the same kinds.
"""

from collections.abc import Mapping
from typing import Any, Final

from tests.support.executor.focus_source import source_row

type Columns = dict[str, Any]
type Source = tuple[Columns, Mapping[str, Columns]]


def credits_(**amounts: float) -> Columns:
    return {"credits": [{"name": kind, "id": kind, "full_name": kind, "type": kind, "amount": amount} for kind, amount in amounts.items()]}


def at(cost: float, listed: float | None = None) -> Columns:
    """What a row costs; on the price list the same, unless it is said."""
    return {"cost": cost, "cost_at_list": cost if listed is None else listed}


def hours(quantity: float) -> Columns:
    return {"usage_amount": quantity * 3600, "usage_amount_in_pricing_units": quantity}


def costs(billed: float, effective: float, contracted: float, listed: float) -> Columns:
    return {"BilledCost": billed, "EffectiveCost": effective, "ContractedCost": contracted, "ListCost": listed}


def same(cost: float) -> Columns:
    return costs(cost, cost, cost, cost)


USAGE: Final = {"ChargeCategory": "Usage", "ChargeFrequency": "Usage-Based", "ChargeClass": None}
STANDARD: Final = {**USAGE, "PricingCategory": "Standard", "CommitmentDiscountId": None, "CommitmentDiscountStatus": None}
USED: Final = {**USAGE, "PricingCategory": "Committed", "CommitmentDiscountStatus": "Used"}
UNUSED: Final = {**USAGE, "PricingCategory": "Committed", "CommitmentDiscountStatus": "Unused", "ConsumedQuantity": None}
UNNAMED: Final = {"CommitmentDiscountId": None, "CommitmentDiscountStatus": None, "CommitmentDiscountCategory": None}
PURCHASE: Final = {
    "ChargeCategory": "Purchase",
    "ChargeFrequency": "Recurring",
    "PricingCategory": "Standard",
    "ConsumedQuantity": None,
    "CommitmentDiscountStatus": None,
}
UNPRICED: Final = {
    "ChargeFrequency": "One-Time",
    "PricingCategory": None,
    "PricingQuantity": None,
    "ListUnitPrice": None,
    "ContractedUnitPrice": None,
    "ConsumedQuantity": None,
    "SkuPriceId": None,
    "CommitmentDiscountQuantity": None,
}
CREDIT: Final = {"ChargeCategory": "Credit", **UNPRICED}

ACCOUNT_LEVEL: Final = {"project_id": None, "project_name": None}
N2: Final = {"region": "us-central1"}
N2_FEE: Final = {**N2, "sku_id": "N2-FEE", "sku_description": "Commitment v1: N2 Cpu in Americas for 1 Year", **ACCOUNT_LEVEL}
N2_RAM: Final = {
    **N2,
    "sku_description": "N2 Instance Ram running in Americas",
    "usage_unit": "byte-seconds",
    "usage_pricing_unit": "gibibyte hour",
}
N2_RAM_FEE: Final = {**N2_RAM, "sku_id": "RAM-FEE", "sku_description": "Commitment v1: N2 Ram in Americas for 1 Year", **ACCOUNT_LEVEL}
ALLOY: Final = {"service_id": "C49F-B7F2-7416", "service_description": "AlloyDB", "region": "us-central1"}
RAM: Final = {**ALLOY, "sku_id": "RAM", "sku_description": "AlloyDB RAM", "usage_pricing_unit": "gibibyte hour"}
CORE: Final = {**ALLOY, "sku_id": "CORE", "sku_description": "AlloyDB vCPU"}
DOLLARS: Final = {"usage_unit": "count", "usage_pricing_unit": "count"}
LEGACY_FEE: Final = {
    **ALLOY,
    **DOLLARS,
    "sku_id": "DOLLARS",
    "sku_description": "Commitment - dollar based v1: AlloyDB for 1 Year",
    **ACCOUNT_LEVEL,
    "subscription_instance_id": "d-1",
}
RAM_FEE: Final = {**LEGACY_FEE, "labels": {"goog-originating-sku-id": "RAM", "goog-originating-service-id": "C49F-B7F2-7416"}}
CORE_FEE: Final = {**LEGACY_FEE, "labels": {"goog-originating-sku-id": "CORE", "goog-originating-service-id": "C49F-B7F2-7416"}}
DEFAULT: Final = {"consumption_model_id": "7754-699E-0EBF", "consumption_model_description": "Default"}
FLEXIBLE: Final = {"consumption_model_id": "D97B-0795-975B", "consumption_model_description": "Compute Flexible CUDs - 1 Year"}
FLEX_FEE: Final = {
    **DEFAULT,
    **DOLLARS,
    "sku_id": "5515-81A8-03A2",
    "sku_description": "Compute Flexible CUDs fee - 1 Year",
    **ACCOUNT_LEVEL,
    "subscription_instance_id": "f-1",
}


def paid(amount: float, **amounts: float) -> Columns:
    """A fee of money: a dollar's price is a dollar."""
    return {**at(amount), "usage_amount": amount, "usage_amount_in_pricing_units": amount, **credits_(**amounts)}


def flexible(cost: float, contracted: float, listed: float | None = None, subscription: str | None = "f-1") -> Columns:
    """Usage at a commitment's price, with what it would be without one."""
    return {
        **FLEXIBLE,
        **at(cost, contracted if listed is None else listed),
        "cost_at_effective_price_default": contracted,
        "subscription_instance_id": subscription,
    }


def cud(amount: float, **others: float) -> Columns:
    return credits_(COMMITTED_USAGE_DISCOUNT=amount, **others)


def dollar_based(amount: float, **others: float) -> Columns:
    return credits_(COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE=amount, **others)


def by_resources(subscription: str | None, quantity: float) -> Columns:
    named = {"CommitmentDiscountCategory": "Usage", "CommitmentDiscountQuantity": quantity, "CommitmentDiscountUnit": "hour"}
    return {"CommitmentDiscountId": subscription, **named}


def by_money(subscription: str | None, amount: float) -> Columns:
    named = {"CommitmentDiscountCategory": "Spend", "CommitmentDiscountQuantity": amount, "CommitmentDiscountUnit": "USD"}
    return {"CommitmentDiscountId": subscription, **named}


S1: Final = {"subscription_instance_id": "s-1"}

RESOURCE_BASED: Final[dict[str, list[Source]]] = {
    "resources: 3 of 4 core hours used": [
        (
            {**N2_FEE, **S1, **hours(4), **at(0.076)},
            {
                "resource_based:fee": {
                    **PURCHASE,
                    **costs(0.076, 0, 0.076, 0.076),
                    **by_resources("s-1", 4.0),
                    "ResourceId": "s-1",
                    "PricingQuantity": 4.0,
                },
                "resource_based:unused": {
                    **UNUSED,
                    **costs(0, 0.019, 0.019, 0.019),
                    **by_resources("s-1", 1.0),
                    "ResourceId": "s-1",
                    "PricingQuantity": 1.0,
                },
            },
        ),
        (
            {**N2, **hours(3), **at(0.09), **cud(-0.09)},
            {
                "resource_based:used": {
                    **USED,
                    **costs(0, 0.057, 0.09, 0.09),
                    **by_resources("s-1", 3.0),
                    "PricingQuantity": 3.0,
                    "ConsumedQuantity": 10800.0,
                }
            },
        ),
    ],
    "resources: a row covered in part": [
        (
            {**N2_FEE, **S1, **hours(4), **at(0.076)},
            {
                "resource_based:fee": {**PURCHASE, **costs(0.076, 0, 0.076, 0.076), **by_resources("s-1", 4.0)},
                "resource_based:unused": {**UNUSED, **costs(0, 0.019, 0.019, 0.019), **by_resources("s-1", 1.0)},
            },
        ),
        (
            {**N2, **hours(4), **at(0.12), **cud(-0.09)},
            {
                "resource_based:used": {
                    **USED,
                    **costs(0, 0.057, 0.09, 0.09),
                    **by_resources("s-1", 3.0),
                    "PricingQuantity": 3.0,
                    "ConsumedQuantity": 10800.0,
                    "ContractedUnitPrice": 0.03,
                },
                "resource_based:rest": {
                    **STANDARD,
                    **same(0.03),
                    "PricingQuantity": 1.0,
                    "ConsumedQuantity": 3600.0,
                    "ContractedUnitPrice": 0.03,
                },
            },
        ),
    ],
    "resources: local disks, which usage calls otherwise than fees": [
        (
            {**N2_FEE, **S1, **hours(2), **at(0.4), "sku_description": "Commitment v1: Local SSD In Americas for 1 Year"},
            {"resource_based:fee": {**PURCHASE, **costs(0.4, 0, 0.4, 0.4)}},
        ),
        (
            {**N2, **hours(2), **at(0.8), **cud(-0.8), "sku_description": "SSD backed Local Storage"},
            {"resource_based:used": {**USED, **costs(0, 0.4, 0.8, 0.8), **by_resources("s-1", 2.0)}},
        ),
    ],
    "resources: a fee without a quantity": [
        ({**N2_FEE, **S1, **at(0.6), "usage_amount_in_pricing_units": None}, {"resource_based:unmatched": {**PURCHASE, **same(0.6)}}),
        ({**N2, **hours(4), **at(1), **cud(-1)}, {"resource_based:unmatched": {**USAGE, **UNNAMED, **costs(0, 0, 1, 1)}}),
    ],
    "resources: two projects, account level": [
        (
            {**N2_FEE, **S1, **hours(8), **at(0.16)},
            {"resource_based:fee": {**PURCHASE, **costs(0.16, 0, 0.16, 0.16), **by_resources("s-1", 8.0)}},
        ),
        (
            {**N2, "project_id": "a", **hours(6), **at(0.15, 0.18), **cud(-0.15)},
            {"resource_based:used": {**USED, **costs(0, 0.12, 0.15, 0.18), **by_resources("s-1", 6.0), "SubAccountId": "a"}},
        ),
        (
            {**N2, "project_id": "b", **hours(4), **at(0.1, 0.12), **cud(-0.05, SUSTAINED_USAGE_DISCOUNT=-0.01)},
            {
                "resource_based:used": {**USED, **costs(0, 0.04, 0.05, 0.06), **by_resources("s-1", 2.0), "SubAccountId": "b"},
                "resource_based:rest": {**STANDARD, **costs(0.04, 0.04, 0.05, 0.06), "SubAccountId": "b"},
            },
        ),
    ],
    "resources: attributed to a project, the rest account level": [
        (
            {**N2_FEE, **S1, "project_id": "a", **hours(2), **at(0.04)},
            {"resource_based:fee": {**PURCHASE, **costs(0.04, 0, 0.04, 0.04), "SubAccountId": "a"}},
        ),
        (
            {**N2_FEE, "subscription_instance_id": "s-2", **hours(2), **at(0.06)},
            {"resource_based:fee": {**PURCHASE, **costs(0.06, 0, 0.06, 0.06), **by_resources("s-2", 2.0)}},
        ),
        (
            {**N2, "project_id": "a", **hours(3), **at(0.09), **cud(-0.09)},
            {"resource_based:used": {**USED, **costs(0, 0.07, 0.09, 0.09), **UNNAMED}},
        ),
        (
            {**N2, "project_id": "b", **hours(1), **at(0.03), **cud(-0.03)},
            {"resource_based:used": {**USED, **costs(0, 0.03, 0.03, 0.03), **UNNAMED}},
        ),
    ],
    "resources: more covered than bought": [
        (
            {**N2_FEE, **S1, **hours(2), **at(0.04)},
            {"resource_based:fee": {**PURCHASE, **costs(0.04, 0, 0.04, 0.04)}},
        ),
        ({**N2, **hours(2), **at(0.06), **cud(-0.06)}, {"resource_based:used": {**USED, **costs(0, 0.026666667, 0.06, 0.06)}}),
        ({**N2, **hours(1), **at(0.03), **cud(-0.03)}, {"resource_based:used": {**USED, **costs(0, 0.013333333, 0.03, 0.03)}}),
    ],
    "resources: nothing used": [
        (
            {**N2_FEE, **S1, **hours(4), **at(0.076)},
            {
                "resource_based:fee": {**PURCHASE, **costs(0.076, 0, 0.076, 0.076), "ResourceId": "s-1", "ConsumedUnit": None},
                "resource_based:unused": {**UNUSED, **costs(0, 0.076, 0.076, 0.076), **by_resources("s-1", 4.0)},
            },
        ),
        ({**N2, **hours(4), **at(0.12)}, {"as_billed": {**STANDARD, **same(0.12)}}),
    ],
    "resources: no fee in the export": [
        ({**N2, **hours(4), **at(0.12), **cud(-0.09)}, {"resource_based:unmatched": {**USAGE, **UNNAMED, **costs(0.03, 0.03, 0.12, 0.12)}}),
    ],
    "resources: old columns, both ends": [
        (
            {**N2_FEE, **hours(5), **at(0.1)},
            {
                "resource_based:fee": {**PURCHASE, **costs(0.1, 0, 0.1, 0.1), "CommitmentDiscountId": None},
                "resource_based:unused": {**UNUSED, **costs(0, 0.02, 0.02, 0.02), **UNNAMED},
            },
        ),
        ({**N2, **hours(4), **at(0.12), **cud(-0.12)}, {"resource_based:used": {**USED, **costs(0, 0.08, 0.12, 0.12), **UNNAMED}}),
    ],
    "resources: old columns, a fee alone": [
        ({**N2_FEE, **hours(4), **at(0.076)}, {"resource_based:unmatched": {**PURCHASE, **same(0.076)}}),
    ],
    "resources: old columns, credits without a type": [
        ({**N2_FEE, **hours(4), **at(0.076)}, {"resource_based:unmatched": {**PURCHASE, **same(0.076)}}),
        ({**N2, **hours(3), **at(0.09), "credits": None, "credits_total": -0.09}, {"as_billed": {**STANDARD, **costs(0, 0, 0.09, 0.09)}}),
    ],
    "resources: cores, memory and regions each for themselves": [
        ({**N2_FEE, **S1, **hours(2), **at(0.05)}, {"resource_based:fee": costs(0.05, 0, 0.05, 0.05)}),
        (
            {**N2_RAM_FEE, "subscription_instance_id": "s-2", **hours(8), **at(0.024)},
            {"resource_based:fee": costs(0.024, 0, 0.024, 0.024), "resource_based:unused": {**UNUSED, **costs(0, 0.012, 0.012, 0.012)}},
        ),
        (
            {**N2_FEE, "region": "europe-west1", "subscription_instance_id": "s-3", **hours(1), **at(0.03)},
            {
                "resource_based:fee": costs(0.03, 0, 0.03, 0.03),
                "resource_based:unused": {**UNUSED, **costs(0, 0.03, 0.03, 0.03), "RegionId": "europe-west1"},
            },
        ),
        (
            {**N2, **hours(2), **at(0.064), **cud(-0.064)},
            {"resource_based:used": {**USED, **costs(0, 0.05, 0.064, 0.064), "CommitmentDiscountId": "s-1"}},
        ),
        (
            {**N2_RAM, **hours(4), **at(0.017), **cud(-0.017)},
            {"resource_based:used": {**USED, **costs(0, 0.012, 0.017, 0.017), "CommitmentDiscountId": "s-2"}},
        ),
    ],
}

SPEND_BASED: Final[dict[str, list[Source]]] = {
    "dollars: Google's example": [
        (
            {**RAM_FEE, **paid(0.046868)},
            {"spend_based:fee": {**PURCHASE, **costs(0.046868, 0, 0.046868, 0.046868), **by_money("d-1", 0.046868)}},
        ),
        (
            {**CORE_FEE, **paid(0.025132)},
            {"spend_based:fee": {**PURCHASE, **costs(0.025132, 0, 0.025132, 0.025132), **by_money("d-1", 0.025132)}},
        ),
        (
            {**RAM, **hours(8), **at(0.174496), **dollar_based(-0.065095)},
            {
                "spend_based:used": {
                    **USED,
                    **costs(0, 0.046868, 0.065095, 0.065095),
                    **by_money("d-1", 0.046868),
                    "PricingQuantity": 2.984366404,
                },
                "spend_based:rest": {**STANDARD, **same(0.109401), "PricingQuantity": 5.015633596},
            },
        ),
        (
            {**CORE, **hours(4), **at(0.093568), **dollar_based(-0.034905)},
            {
                "spend_based:used": {**USED, **costs(0, 0.025132, 0.034905, 0.034905), **by_money("d-1", 0.025132)},
                "spend_based:rest": {**STANDARD, **same(0.058663)},
            },
        ),
    ],
    "dollars: a tenth unused": [
        ({**RAM_FEE, **paid(0.36)}, {"spend_based:fee": {**PURCHASE, **costs(0.36, 0, 0.36, 0.36), "ResourceId": "d-1"}}),
        (
            {**LEGACY_FEE, **paid(0.04)},
            {
                "consumption_model:fee": {**PURCHASE, **costs(0.04, 0, 0.04, 0.04), **by_money("d-1", 0.04)},
                "consumption_model:unused": {**UNUSED, **costs(0, 0.04, 0.04, 0.04), **by_money("d-1", 0.04)},
            },
        ),
        (
            {**RAM, **hours(10), **at(0.5, 0.6), **dollar_based(-0.5)},
            {"spend_based:used": {**USED, **costs(0, 0.36, 0.5, 0.6), "ConsumedQuantity": 36000.0}},
        ),
    ],
    "dollars: each project its own fee": [
        ({**CORE_FEE, "project_id": "a", **paid(0.3)}, {"spend_based:fee": costs(0.3, 0, 0.3, 0.3)}),
        ({**CORE_FEE, "project_id": "b", **paid(0.15)}, {"spend_based:fee": costs(0.15, 0, 0.15, 0.15)}),
        (
            {**CORE, "project_id": "a", **at(0.5), **dollar_based(-0.4)},
            {"spend_based:used": costs(0, 0.3, 0.4, 0.4), "spend_based:rest": same(0.1)},
        ),
        ({**CORE, "project_id": "b", **at(0.2), **dollar_based(-0.2)}, {"spend_based:used": {**USED, **costs(0, 0.15, 0.2, 0.2)}}),
    ],
    "dollars: one fee for two projects": [
        ({**CORE_FEE, **paid(0.45)}, {"spend_based:fee": costs(0.45, 0, 0.45, 0.45)}),
        ({**CORE, "project_id": "a", **at(0.4), **dollar_based(-0.4)}, {"spend_based:used": {**USED, **costs(0, 0.3, 0.4, 0.4)}}),
        (
            {**CORE, "project_id": "b", **at(0.3), **dollar_based(-0.2, PROMOTION=-0.05)},
            {
                "spend_based:used": {**USED, **costs(0, 0.15, 0.2, 0.2)},
                "spend_based:rest": {**STANDARD, **same(0.1)},
                "promotion": {**CREDIT, **same(-0.05)},
            },
        ),
    ],
    "dollars: no fee in the export": [
        ({**CORE, **at(0.4), **dollar_based(-0.3)}, {"spend_based:unmatched": {**USAGE, **UNNAMED, **costs(0.1, 0.1, 0.4, 0.4)}}),
    ],
    "dollars and resources: one row, both fees": [
        ({**N2_FEE, **S1, **hours(2), **at(0.5)}, {"resource_based:fee": costs(0.5, 0, 0.5, 0.5)}),
        ({**CORE_FEE, **paid(0.3)}, {"spend_based:fee": costs(0.3, 0, 0.3, 0.3)}),
        (
            {**N2, "sku_id": "CORE", **hours(8), **at(4, 5), **cud(-1, COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE=-0.5, PROMOTION=-0.25)},
            {
                "resource_based:used": {**USED, **costs(0, 0.5, 1, 1.25), **by_resources("s-1", 2.0), "ConsumedQuantity": 7200.0},
                "spend_based:used_second": {**USED, **costs(0, 0.3, 0.5, 0.625), **by_money("d-1", 0.3), "ConsumedQuantity": 3600.0},
                "resource_based:rest": {**STANDARD, **costs(2.5, 2.5, 2.5, 3.125), "ConsumedQuantity": 18000.0},
                "promotion": {**CREDIT, **same(-0.25)},
            },
        ),
    ],
    "dollars and resources: one row, the fee of dollars alone": [
        ({**CORE_FEE, **paid(0.3)}, {"spend_based:fee": costs(0.3, 0, 0.3, 0.3)}),
        (
            {**N2, "sku_id": "CORE", **hours(8), **at(4, 5), **cud(-1, COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE=-0.5)},
            {
                "spend_based:used": {**USED, **costs(0, 0.3, 0.5, 0.625), **by_money("d-1", 0.3), "PricingQuantity": 1.0},
                "resource_based:rest": {**STANDARD, **costs(2.5, 2.5, 3.5, 4.375), "PricingQuantity": 7.0},
            },
        ),
    ],
    "dollars and resources: one row, the fee of resources alone": [
        ({**N2_FEE, **S1, **hours(2), **at(0.5)}, {"resource_based:fee": costs(0.5, 0, 0.5, 0.5)}),
        (
            {**N2, "sku_id": "CORE", **hours(8), **at(4, 5), **cud(-1, COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE=-0.5)},
            {
                "resource_based:used": {**USED, **costs(0, 0.5, 1, 1.25), **by_resources("s-1", 2.0), "PricingQuantity": 2.0},
                "resource_based:rest": {**STANDARD, **costs(2.5, 2.5, 3, 3.75), "PricingQuantity": 6.0},
            },
        ),
    ],
    "dollars: a fee for usage that is not there": [
        ({**CORE_FEE, **paid(0.3)}, {"spend_based:unmatched": {**PURCHASE, **same(0.3)}}),
    ],
}

CONSUMPTION_MODEL: Final[dict[str, list[Source]]] = {
    "prices: Google's example": [
        (
            {**FLEX_FEE, **paid(0.046868, FEE_UTILIZATION_OFFSET=-0.046868)},
            {"consumption_model:fee": {**PURCHASE, **costs(0.046868, 0, 0.046868, 0.046868), **by_money("f-1", 0.046868)}},
        ),
        (
            {**FLEX_FEE, **paid(0.025132, FEE_UTILIZATION_OFFSET=-0.025132)},
            {"consumption_model:fee": {**PURCHASE, **costs(0.025132, 0, 0.025132, 0.025132), **by_money("f-1", 0.025132)}},
        ),
        (
            {**RAM, **hours(2.984), **flexible(0.046868, 0.065095)},
            {
                "consumption_model:used": {
                    **USED,
                    **costs(0, 0.046868, 0.065095, 0.065095),
                    **by_money("f-1", 0.046868),
                    "PricingQuantity": 2.984,
                }
            },
        ),
        (
            {**CORE, **hours(1.492), **flexible(0.025132, 0.034905)},
            {"consumption_model:used": {**USED, **costs(0, 0.025132, 0.034905, 0.034905), **by_money("f-1", 0.025132)}},
        ),
        ({**RAM, **DEFAULT, **hours(5.016), **at(0.109398)}, {"as_billed": {**STANDARD, **same(0.109398)}}),
        ({**CORE, **DEFAULT, **hours(2.508), **at(0.058648)}, {"as_billed": {**STANDARD, **same(0.058648)}}),
    ],
    # What is used and what is offset differ by 0.000013 in Google's numbers: that rounding is the fees'.
    "prices: Google's example, under-used": [
        (
            {**FLEX_FEE, **paid(0.022994)},
            {
                "consumption_model:fee": {**PURCHASE, **costs(0.022995384, 0, 0.022994, 0.022994)},
                "consumption_model:unused": {
                    **UNUSED,
                    **costs(0, 0.022994, 0.022994, 0.022994),
                    **by_money("f-1", 0.022994),
                    "ResourceId": "f-1",
                },
            },
        ),
        (
            {**FLEX_FEE, **paid(0.125637, FEE_UTILIZATION_OFFSET=-0.125624)},
            {
                "consumption_model:fee": {**PURCHASE, **costs(0.125644561, 0, 0.125637, 0.125637)},
                "consumption_model:unused": {**UNUSED, **costs(0, 0.000013, 0.000013, 0.000013)},
            },
        ),
        (
            {**FLEX_FEE, **paid(0.067369, FEE_UTILIZATION_OFFSET=-0.067369)},
            {"consumption_model:fee": {**PURCHASE, **costs(0.067373055, 0, 0.067369, 0.067369)}},
        ),
        (
            {**RAM, **hours(8), **flexible(0.125637, 0.174496)},
            {"consumption_model:used": {**USED, **costs(0, 0.125637, 0.174496, 0.174496), "ConsumedQuantity": 28800.0}},
        ),
        (
            {**CORE, **hours(4), **flexible(0.067369, 0.093568)},
            {"consumption_model:used": {**USED, **costs(0, 0.067369, 0.093568, 0.093568)}},
        ),
    ],
    "prices: two commitments, negotiated prices, a promotion": [
        (
            {**FLEX_FEE, **paid(2.0, FEE_UTILIZATION_OFFSET=-1.5)},
            {
                "consumption_model:fee": {**PURCHASE, **costs(2, 0, 2, 2), **by_money("f-1", 2.0)},
                "consumption_model:unused": {**UNUSED, **costs(0, 0.5, 0.5, 0.5), **by_money("f-1", 0.5)},
            },
        ),
        (
            {**FLEX_FEE, "subscription_instance_id": "f-2", **paid(0.8, FEE_UTILIZATION_OFFSET=-0.8, PROMOTION=-0.1)},
            {
                "consumption_model:fee": {**PURCHASE, **costs(0.8, 0, 0.8, 0.8), **by_money("f-2", 0.8)},
                "promotion": {**CREDIT, **same(-0.1)},
            },
        ),
        (
            {"project_id": "a", **flexible(1.5, 2.0, 2.5), **credits_(PROMOTION=-0.25)},
            {
                "consumption_model:used": {**USED, **costs(0, 1.5, 2.0, 2.5), **by_money("f-1", 1.5), "SubAccountId": "a"},
                "promotion": {**CREDIT, **same(-0.25), "SubAccountId": "a", "CommitmentDiscountId": None},
            },
        ),
        (
            {"project_id": "b", **flexible(0.8, 1.0, 1.25, "f-2")},
            {"consumption_model:used": {**USED, **costs(0, 0.8, 1.0, 1.25), **by_money("f-2", 0.8), "SubAccountId": "b"}},
        ),
    ],
    "prices: nothing used": [
        (
            {**FLEX_FEE, **paid(0.216)},
            {
                "consumption_model:fee": {**PURCHASE, **costs(0.216, 0, 0.216, 0.216), "ResourceId": "f-1"},
                "consumption_model:unused": {**UNUSED, **costs(0, 0.216, 0.216, 0.216), **by_money("f-1", 0.216)},
            },
        ),
    ],
    "prices: standard export, no subscription": [
        (
            {**FLEX_FEE, "subscription_instance_id": None, **paid(0.75, FEE_UTILIZATION_OFFSET=-0.5)},
            {
                "consumption_model:fee": {**PURCHASE, **costs(0.75, 0, 0.75, 0.75), "CommitmentDiscountId": None},
                "consumption_model:unused": {**UNUSED, **costs(0, 0.25, 0.25, 0.25), **UNNAMED},
            },
        ),
        (flexible(0.5, 0.7, 0.8, None), {"consumption_model:used": {**USED, **costs(0, 0.5, 0.7, 0.8), **UNNAMED}}),
    ],
    "prices: more offset than paid, by a rounding": [
        (
            {**FLEX_FEE, **paid(0.1, FEE_UTILIZATION_OFFSET=-0.100001)},
            {"consumption_model:fee": {**PURCHASE, **costs(0.099999, 0, 0.1, 0.1)}},
        ),
        (flexible(0.06, 0.08), {"consumption_model:used": {**USED, **costs(0, 0.0599994, 0.08, 0.08)}}),
        (flexible(0.04, 0.05), {"consumption_model:used": {**USED, **costs(0, 0.0399996, 0.05, 0.05)}}),
    ],
    "prices: no fee in the export": [
        (flexible(0.5, 0.7), {"consumption_model:unmatched": {**USAGE, **costs(0.5, 0.5, 0.7, 0.7)}}),
    ],
    "prices: offsets of usage that is not there": [
        (
            {**FLEX_FEE, **paid(0.5, FEE_UTILIZATION_OFFSET=-0.4)},
            {"consumption_model:unmatched": {**PURCHASE, **costs(0.1, 0.1, 0.5, 0.5)}},
        ),
        (flexible(0.1, 0.2), {"consumption_model:unmatched": {**USAGE, **costs(0.1, 0.1, 0.2, 0.2)}}),
    ],
    "prices: two currencies": [
        (
            {**FLEX_FEE, **paid(1.0, FEE_UTILIZATION_OFFSET=-1.0)},
            {"consumption_model:fee": {**PURCHASE, **costs(1, 0, 1, 1), "BillingCurrency": "USD"}},
        ),
        (flexible(1.0, 1.5), {"consumption_model:used": {**USED, **costs(0, 1, 1.5, 1.5)}}),
        (
            {**FLEX_FEE, **paid(0.9, FEE_UTILIZATION_OFFSET=-0.8), "currency": "EUR", "currency_conversion_rate": 0.8},
            {
                "consumption_model:fee": {**PURCHASE, **costs(0.9, 0, 0.9, 0.9), "CommitmentDiscountUnit": "EUR", "PricingCurrency": "USD"},
                "consumption_model:unused": {**UNUSED, **costs(0, 0.1, 0.1, 0.1), "PricingCurrencyEffectiveCost": 0.125},
            },
        ),
        (
            {**flexible(0.8, 1.2), "currency": "EUR", "currency_conversion_rate": 0.8},
            {
                "consumption_model:used": {
                    **USED,
                    **costs(0, 0.8, 1.2, 1.2),
                    "CommitmentDiscountUnit": "EUR",
                    "PricingCurrencyEffectiveCost": 1,
                }
            },
        ),
    ],
}

EVERYTHING_ELSE: Final[dict[str, list[Source]]] = {
    "on demand": [({}, {"as_billed": {**STANDARD, **same(10)}})],
    "negotiated": [(at(8, 10), {"as_billed": {**STANDARD, **costs(8, 8, 8, 10)}})],
    "sustained use": [(credits_(SUSTAINED_USAGE_DISCOUNT=-2), {"as_billed": {**STANDARD, **costs(8, 8, 10, 10)}})],
    "spending discount": [(credits_(DISCOUNT=-1), {"as_billed": {**STANDARD, **costs(9, 9, 10, 10)}})],
    "benefit of a subscription": [(credits_(SUBSCRIPTION_BENEFIT=-1), {"as_billed": {**STANDARD, **costs(9, 9, 10, 10)}})],
    "promotion": [
        (credits_(PROMOTION=-10), {"before_promotion": {**STANDARD, **same(10)}, "promotion": {**CREDIT, **same(-10)}}),
    ],
    "promotion of a part, beside sustained use": [
        (
            credits_(PROMOTION=-2.5, SUSTAINED_USAGE_DISCOUNT=-3),
            {"before_promotion": {**STANDARD, **costs(7, 7, 10, 10)}, "promotion": {**CREDIT, **same(-2.5)}},
        ),
    ],
    "credit alone": [
        ({**at(0, 7), "usage_amount": None, **credits_(PROMOTION=-5)}, {"as_billed": {**CREDIT, **same(-5)}}),
    ],
    "free tier by credit": [({**at(0.3), **credits_(FREE_TIER=-0.3)}, {"as_billed": {**STANDARD, **costs(0, 0, 0.3, 0.3)}})],
    "free tier by price": [
        (
            {**at(0), **hours(5)},
            {"as_billed": {**STANDARD, **same(0), "ListUnitPrice": 0.0, "ContractedUnitPrice": 0.0, "PricingQuantity": 5.0}},
        ),
    ],
    "tax": [
        (
            {"cost_type": "tax", **at(1.9, 0), "usage_amount": None},
            {"as_billed": {"ChargeCategory": "Tax", **UNPRICED, **same(1.9), "SkuId": None}},
        ),
    ],
    "rounding": [
        ({"cost_type": "rounding_error", **at(-0.004, 0.5)}, {"as_billed": {"ChargeCategory": "Adjustment", **UNPRICED, **same(-0.004)}})
    ],
    "adjustment in its month": [
        ({"cost_type": "adjustment", **at(-5, 3)}, {"as_billed": {"ChargeCategory": "Adjustment", "ChargeClass": None, **same(-5)}}),
    ],
    "refund of another month": [
        (
            {"cost_type": "adjustment", **at(-100), "invoice_month": "202512", "adjustment_info_id": "a"},
            {"as_billed": {"ChargeCategory": "Adjustment", "ChargeClass": "Correction", **same(-100)}},
        ),
    ],
    "late usage": [({"invoice_month": "202512"}, {"as_billed": {**STANDARD, **same(10), "x_InvoiceMonth": "202512"}})],
    "marketplace": [
        (
            {"transaction_type": "THIRD_PARTY_AGENCY", "seller_name": "X, Inc.", **at(100)},
            {"as_billed": {**STANDARD, **same(100), "PublisherName": "X, Inc.", "InvoiceIssuerName": "A reseller"}},
        ),
    ],
    "support": [
        (
            {"service_id": "2062-016F-44A2", "service_description": "Support", "sku_description": "Enhanced Support", **at(500)},
            {"as_billed": {**PURCHASE, **same(500), "CommitmentDiscountId": None}},
        ),
    ],
    "spot CPU": [
        ({"sku_description": "Spot Preemptible N2 Instance Core"}, {"as_billed": {**USAGE, "PricingCategory": "Dynamic", **same(10)}})
    ],
    "spot GPU": [
        (
            {"sku_description": "Nvidia L4 GPU attached to Spot Preemptible VMs running in Americas"},
            {"as_billed": {**USAGE, "PricingCategory": "Dynamic", **same(10)}},
        ),
    ],
    "reseller's margin": [(credits_(RESELLER_MARGIN=-2), {"as_billed": {**STANDARD, **costs(8, 8, 10, 10)}})],
    "reseller's subaccount": [({}, {"as_billed": {**STANDARD, **same(10), "InvoiceIssuerName": "A reseller"}})],
}

EXAMPLES: Final[Mapping[str, list[Source]]] = {**RESOURCE_BASED, **SPEND_BASED, **CONSUMPTION_MODEL, **EVERYTHING_ELSE}


def example_rows() -> list[Columns]:
    """All examples' source rows, for one run: each example has a billing account of its own, and so commitments of its own. A row carries
    its place, `example` and `row`, in a column that the export is said to have besides.
    """
    return [
        _source_row(changes, {"billing_account_id": f"EXAMPLE-{number:02}", "other_columns": {"example": name, "row": place}})
        for number, (name, sources) in enumerate(EXAMPLES.items())
        for place, (changes, _) in enumerate(sources)
    ]


def _source_row(changes: Columns, place: Columns) -> Columns:
    row = source_row(**{**changes, **place})
    total = changes.get("credits_total", row["credits_total"])
    return {**row, "credits_total": total, "net_cost": row["cost"] + total}
