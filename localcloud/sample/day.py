"""A whole day of the sample tenant's billing export: its usage, what its commitments cost, and what closes an invoice."""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from localcloud.sample.rows import HOUR, Row, base_row, catalog, costs, credit_row, price, usage_of_day

TAX, UNUSED = 0.08, 0.1
"""Of the day's cost; of what a commitment covered, what it would have covered besides."""
CLOSING = 7
"""Rows of a day that are no usage: five fees, a rounding, a tax."""


def rows_of_day(day: date, count: int) -> Iterator[Row]:
    """`count` rows, whose usage started on the UTC day. The last is the day's tax."""
    usage = list(usage_of_day(day, max(count - CLOSING, 0)))
    yield from usage
    yield from _closing(day, usage)[CLOSING - min(count, CLOSING) :]


def _closing(day: date, usage: Sequence[Row]) -> list[Row]:
    fees = [row for fee in catalog()["fees"].values() for row in _fee(day, fee, usage)]
    untaxed = sum(row["cost"] for row in [*usage, *fees])
    rounding = _invoice_row(day, "rounding_error", {"id": "AAB9-81F1-9E24", "description": "Rounding error"}, -0.000003)
    tax = _invoice_row(day, "tax", {"id": "AAB9-81F1-9E23", "description": "Tax"}, round(untaxed * TAX, 6))
    return [*fees, rounding, tax]


def _fee(day: date, fee: dict[str, Any], usage: Sequence[Row]) -> list[Row]:
    """What a commitment costs on a day: a row for what was used of it, and one for the rest, unless it is one of resources, whose fee is
    one.
    """
    covered = _covered_by_model(fee, usage) if "model" in fee else _covered_by_credit(fee, usage)
    used, unused = round(covered * fee["rate"], 6), round(covered * fee["rate"] * UNUSED, 6)
    if "model" in fee:
        offset = [credit_row("offset", -used)] if used else []
        return [_fee_row(day, fee, used) | {"credits": offset}, _fee_row(day, fee, unused)]
    if "originating" in fee:
        labels = [{"key": f"goog-originating-{what}-id", "value": value} for what, value in fee["originating"].items()]
        return [_fee_row(day, fee, used) | {"labels": labels}, _fee_row(day, fee, unused)]
    return [_fee_row(day, fee, round(used + unused, 6))]


def _covered_by_credit(fee: dict[str, Any], usage: Sequence[Row]) -> float:
    kind = catalog()["credits"][fee["credit"]]["type"]
    return -math.fsum(credit["amount"] for row in usage for credit in row["credits"] if credit["type"] == kind)


def _covered_by_model(fee: dict[str, Any], usage: Sequence[Row]) -> float:
    model = catalog()["models"][fee["model"]]["id"]
    return math.fsum(row["cost"] for row in usage if row["consumption_model"]["id"] == model)


def _fee_row(day: date, fee: dict[str, Any], cost: float) -> Row:
    start = datetime.combine(day, time(), UTC)
    [service] = [service for service in catalog()["services"] if service["id"] == fee["service"]]
    return {
        **base_row(day, start, start + 24 * HOUR),
        **costs(cost, cost),
        "service": {"id": service["id"], "description": service["description"]},
        "sku": fee["sku"],
        "project": None,
        "location": {"location": "us", "country": "US", "region": None, "zone": None},
        "export_time": start + timedelta(hours=30),
        "usage": {"amount": cost, "unit": "count", "amount_in_pricing_units": cost, "pricing_unit": "count"},
        "price": price(1.0, "count"),
        "cost_type": "regular",
        "transaction_type": "GOOGLE",
        "consumption_model": {name: catalog()["models"]["default"][name] for name in ("id", "description")},
        "subscription": {"instance_id": fee["subscription"]},
    }


def _invoice_row(day: date, kind: str, sku: Row, cost: float) -> Row:
    start = datetime.combine(day, time(), UTC)
    return {
        **base_row(day, start, start + 24 * HOUR),
        **costs(cost, cost),
        "service": {"id": "2062-016F-44A2", "description": "Invoice"},
        "sku": sku,
        "project": None,
        "export_time": start + timedelta(hours=36),
        "cost_type": kind,
    }
