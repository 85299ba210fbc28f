"""Other tables in the sample tenant's project, beside its usage cost exports: Google's FOCUS export, the pricing export, a view.

https://docs.cloud.google.com/billing/docs/how-to/export-data-bigquery-tables
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import groupby

import pyarrow as pa

from localcloud.sample.rows import BILLING_ACCOUNT, Row, catalog
from localcloud.sample.schema import NUMERIC, TIMESTAMP

ACCOUNT = BILLING_ACCOUNT.replace("-", "_")
FOCUS_DATASET, FOCUS_TABLE = f"gcp_billing_immutable_{ACCOUNT}_us", f"gcp_billing_export_focus_{ACCOUNT}"
PRICING_TABLE = "cloud_pricing_export"
VIEW = "costs"
SEEN = "billing_account_id, service, sku, usage_start_time, usage_end_time, project, labels, cost, currency, credits, cost_type, invoice"
"""The columns of the view."""

_STRING_PAIR = pa.struct([("id", pa.string()), ("description", pa.string())])
FOCUS = pa.schema(
    [
        ("BilledCost", NUMERIC),
        ("BillingAccountId", pa.string()),
        ("BillingCurrency", pa.string()),
        ("ChargeCategory", pa.string()),
        ("ChargePeriodStart", TIMESTAMP),
        ("ChargePeriodEnd", TIMESTAMP),
        ("ServiceName", pa.string()),
    ]
)
PRICING = pa.schema(
    [
        ("export_time", TIMESTAMP),
        ("pricing_as_of_time", TIMESTAMP),
        ("billing_account_id", pa.string()),
        ("service", _STRING_PAIR),
        ("sku", _STRING_PAIR),
        ("pricing_unit_description", pa.string()),
        ("account_currency_code", pa.string()),
        ("list_price", pa.struct([("effective_price", NUMERIC)])),
    ]
)


def view(name: str, export: str) -> str:
    """The statement that makes the view over an export."""
    return f"CREATE OR REPLACE VIEW `{name}` AS SELECT {SEEN} FROM `{export}`"  # noqa: S608 - our own names


def focus_rows(usage: Iterable[Row]) -> pa.Table:
    """The same costs as Google's FOCUS export has them, one row a day, service and currency: BilledCost is net of all credits."""

    def key(row: Row) -> tuple[date, str, str]:
        return row["usage_start_time"].date(), row["service"]["description"], row["currency"]

    rows = [_focus_row(*of, list(some)) for of, some in groupby(sorted(usage, key=key), key)]
    return pa.Table.from_pylist(rows, schema=FOCUS)


def _focus_row(day: date, service: str, currency: str, rows: list[Row]) -> Row:
    start = datetime.combine(day, time(), UTC)
    return {
        "BilledCost": Decimal(str(round(sum(row["cost"] + sum(credit["amount"] for credit in row["credits"]) for row in rows), 6))),
        "BillingAccountId": f"billingAccounts/{BILLING_ACCOUNT}",
        "BillingCurrency": currency,
        "ChargeCategory": "Tax" if service == "Invoice" else "Usage",
        "ChargePeriodStart": start,
        "ChargePeriodEnd": start + timedelta(days=1),
        "ServiceName": service,
    }


def prices(day: date) -> pa.Table:
    """The price list as of a day."""
    as_of = datetime.combine(day, time(), UTC)
    rows = [
        {
            "export_time": as_of + timedelta(hours=7),
            "pricing_as_of_time": as_of,
            "billing_account_id": BILLING_ACCOUNT,
            "service": {"id": service["id"], "description": service["description"]},
            "sku": {"id": sku["id"], "description": sku["description"]},
            "pricing_unit_description": catalog()["units"][sku["units"]]["pricing_unit"],
            "account_currency_code": "USD",
            "list_price": {"effective_price": Decimal(str(sku["price"])).quantize(Decimal("1e-9"))},
        }
        for service in catalog()["services"]
        for sku in service["skus"]
    ]
    return pa.Table.from_pylist(rows, schema=PRICING)
