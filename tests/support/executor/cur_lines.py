"""Line items of AWS Cost and Usage Reports, one of each type, as AWS's guides describe them ("Line item details", "Understanding your
reservations", "Understanding Savings Plans" of the Data Exports guide). The amounts are made up.
"""

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from tests.support.executor.exported_rows import MONTH, NEXT_MONTH, at

SOURCE = "AWS/bills/cur/all"
DAY = date(2026, 5, 5)
PLAN = "arn:aws:savingsplans::111122223333:savingsplan/5c0a"
RESERVATION = "arn:aws:ec2:eu-west-1:111122223333:reserved-instances/7b1d"


def line(kind: str, cost: str, **changes: object) -> dict[str, Any]:
    """An hour of an m5.large, or another line item of this type and unblended cost."""
    row: dict[str, Any] = {
        "dataset": "CUR",
        "source_id": SOURCE,
        "billing_period": MONTH,
        "manifest_id": "assembly-1",
        "identity_line_item_id": f"{kind}-{cost}",
        "bill_bill_type": "Anniversary",
        "bill_billing_entity": "AWS",
        "bill_billing_period_start_date": at(MONTH),
        "bill_billing_period_end_date": at(NEXT_MONTH),
        "bill_invoice_id": "1500001",
        "bill_invoicing_entity": "Amazon Web Services EMEA SARL",
        "bill_payer_account_id": "111122223333",
        "line_item_availability_zone": "eu-west-1a",
        "line_item_currency_code": "USD",
        "line_item_legal_entity": "Amazon Web Services EMEA SARL",
        "line_item_line_item_description": f"{kind} of an m5.large",
        "line_item_line_item_type": kind,
        "line_item_operation": "RunInstances",
        "line_item_product_code": "AmazonEC2",
        "line_item_resource_id": "i-0a1b2c3d4e5f",
        "line_item_unblended_cost": Decimal(cost),
        "line_item_unblended_rate": 0.096,
        "line_item_usage_account_id": "444455556666",
        "line_item_usage_amount": 1.0,
        "line_item_usage_start_date": at(DAY),
        "line_item_usage_end_date": at(DAY, 1),
        "line_item_usage_type": "EU-BoxUsage:m5.large",
        "pricing_currency": "USD",
        "pricing_public_on_demand_cost": Decimal("0.107"),
        "pricing_public_on_demand_rate": 0.107,
        "pricing_rate_code": "SKU1.JRTCKXETXF.6YS6EN2CT7",
        "pricing_term": "OnDemand",
        "pricing_unit": "Hrs",
        "product_instance_type": "m5.large",
        "product_location": "EU (Ireland)",
        "product_location_type": "AWS Region",
        "product_product_family": "Compute Instance",
        "product_product_name": "Amazon Elastic Compute Cloud",
        "product_region": "eu-west-1",
        "product_sku": "SKU1",
        "product": json.dumps({"operatingSystem": "Linux", "vcpu": "2"}),
        "resource_tags": json.dumps({"user:Name": "web 1", "user:team": 'the "A" team', "aws:createdBy": "Root"}),
    }
    return row | changes


def not_priced(kind: str, cost: str, **changes: object) -> dict[str, Any]:
    """A line item without resource, price and quantity."""
    nothing = dict.fromkeys(
        (
            *("line_item_resource_id", "line_item_usage_amount", "line_item_unblended_rate", "resource_tags", "product"),
            *("pricing_public_on_demand_cost", "pricing_public_on_demand_rate", "pricing_rate_code", "pricing_unit", "pricing_term"),
            *("line_item_availability_zone", "product_region", "product_sku", "product_instance_type"),
        )
    )
    return line(kind, cost, **{**nothing, **changes})


def fee(kind: str, cost: str, **changes: object) -> dict[str, Any]:
    """A charge for the whole month, which ends at its last second."""
    month = {"line_item_usage_start_date": at(MONTH), "line_item_usage_end_date": at(NEXT_MONTH) - timedelta(seconds=1)}
    return not_priced(kind, cost, **{**month, **changes})


def every_type() -> dict[str, dict[str, Any]]:
    """A line item of each type, by a name: a bill whose commitments are partly used."""
    plan: dict[str, object] = {"savings_plan_savings_plan_arn": PLAN, "savings_plan_offering_type": "ComputeSavingsPlans"}
    plans: dict[str, object] = {**plan, "line_item_product_code": "ComputeSavingsPlans", "product_product_name": "Savings Plans"}
    reserved: dict[str, object] = {"reservation_reservation_arn": RESERVATION, "pricing_term": "Reserved"}
    return {
        "usage": line("Usage", "0.096"),
        "spot": line("Usage", "0.031", line_item_usage_type="EU-SpotUsage:m5.large"),
        "planned": line("SavingsPlanCoveredUsage", "0.192", savings_plan_savings_plan_effective_cost=Decimal("0.12"), **plan),
        "negation": line("SavingsPlanNegation", "-0.192", **plan),
        "plan fee": not_priced(
            "SavingsPlanRecurringFee",
            "0.2",
            savings_plan_total_commitment_to_date=Decimal("0.2"),
            savings_plan_used_commitment=Decimal("0.12"),
            line_item_usage_amount=1.0,
            **plans,
        ),
        "plan upfront": not_priced("SavingsPlanUpfrontFee", "876", line_item_usage_amount=1.0, **plans),
        "reserved": line("DiscountedUsage", "0", reservation_effective_cost=Decimal("0.062"), **reserved),
        "reservation fee": fee(
            "RIFee",
            "44.64",
            reservation_unused_recurring_fee=Decimal("4.2"),
            reservation_unused_amortized_upfront_fee_for_billing_period=Decimal("0.8"),
            reservation_unused_quantity=70.0,
            reservation_total_reserved_units=744.0,
            line_item_usage_amount=744.0,
            reservation_reservation_arn=RESERVATION,
        ),
        "reservation upfront": not_priced("Fee", "500", line_item_usage_amount=1.0, reservation_reservation_arn=RESERVATION),
        "support": fee("Fee", "100", line_item_product_code="AWSSupportBusiness", product_product_name="AWS Support (Business)"),
        "tax": not_priced("Tax", "1.9", line_item_tax_type="VAT"),
        "credit": not_priced("Credit", "-5", bill_invoicing_entity=None, line_item_legal_entity=None),
        "refund": not_priced(
            "Refund",
            "-2",
            bill_bill_type="Refund",
            line_item_usage_start_date=at(date(2026, 4, 9)),
            line_item_usage_end_date=at(date(2026, 4, 10)),
        ),
        "edp": not_priced("EdpDiscount", "-0.0096"),
        "unknown": not_priced("SomethingNew", "0.5"),
        "marketplace": line(
            "Usage",
            "7.5",
            bill_billing_entity="AWS Marketplace",
            line_item_legal_entity="Example Seller GmbH",
            line_item_product_code="8x1abc",
            product_product_name="Example Scanner",
            pricing_public_on_demand_cost=Decimal(0),
        ),
        "bucket": line(
            "Usage",
            "0.000000012",
            line_item_product_code="AmazonS3",
            product_product_name=None,
            product_servicename="Amazon Simple Storage Service",
            line_item_resource_id="arn:aws:s3:::my-bucket",
            line_item_availability_zone=None,
            product_region=None,
            product_region_code="us-east-1",
            product_location=None,
            resource_tags=json.dumps({"user_list": ["a", "b"], "user_team": "data"}),
            capacity_reservation_capacity_reservation_arn="arn:aws:ec2:eu-west-1:444455556666:capacity-reservation/cr-1",
            capacity_reservation_capacity_reservation_status="unused",
        ),
    }
