"""Billing exports at random: a day of rows a seed, in each of the schemas that exports have had, and what their money adds up to.

Amounts have at most six digits after the point, as money does in NUMERIC, so sums are exact in decimals. What Google always says is
always there (service, SKU, times, cost, currency, invoice month); everything else may be NULL.
"""

import os
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tests.support.executor.billing_export import DETAILED, MODERN, MODERN_STANDARD, STANDARD, full

SEEDS = range(int(os.environ.get("RANDOM_EXPORTS", "10")))
"""How many days; RANDOM_EXPORTS=100 is what a release is held against."""
MAX_DAYS = 31
"""Of one table: what one run may cover."""
_COPY = {
    "cost": pa.decimal128(38, 9),
    "project": pa.struct([("id", pa.string()), ("number", pa.int64()), ("name", pa.string())]),
    "credits": pa.list_(pa.struct([("type", pa.string()), ("amount", pa.decimal128(38, 9)), ("granted_by", pa.string())])),
    "invoice": pa.struct([("month", pa.int64())]),
    "exported_by": pa.string(),
}
SCHEMAS = {
    "gcp_billing_export_v1_RANDOM_2020": STANDARD,
    "gcp_billing_export_resource_v1_RANDOM_2022": DETAILED,
    "gcp_billing_export_v1_RANDOM_2025": MODERN_STANDARD,
    "gcp_billing_export_resource_v1_RANDOM_2025": MODERN,
    "copy_of_an_export": pa.schema({field.name: field.type for field in MODERN} | _COPY),
}
SERVICES = (("6F81-5844-456A", "Compute Engine"), ("24E6-581D-38E5", "BigQuery"), ("95FF-2EF5-5EA1", "Cloud Storage"))
CREDIT_TYPES = ("PROMOTION", "FREE_TIER", "SUSTAINED_USAGE_DISCOUNT", "COMMITTED_USAGE_DISCOUNT", "DISCOUNT", "RESELLER_MARGIN", None)
CURRENCIES = (("USD", 1.0), ("EUR", 0.92), ("JPY", 151.37))

type Key = tuple[str | None, str | None, str | None]
"""Service id, project id, currency."""


@dataclass(frozen=True, kw_only=True)
class RandomExport:
    """A table, and the days of which it has rows."""

    table: str
    schema: pa.Schema
    first: date
    last: date
    rows: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Money:
    """What some rows add up to."""

    rows: int = 0
    cost: Decimal = Decimal(0)
    credits: Decimal = Decimal(0)

    def plus(self, cost: object, credits_: Iterable[object]) -> "Money":
        """With one row more. Exact for what has at most nine digits after the point."""
        given = sum((_exact(amount) for amount in credits_), Decimal(0))
        return Money(rows=self.rows + 1, cost=self.cost + _exact(cost), credits=self.credits + given)


def random_exports(seeds: Iterable[int] = SEEDS, *, first: date = date(2025, 6, 1)) -> list[RandomExport]:
    """A table for each schema that a seed falls to, each with days of its own: the first one's begin on `first`."""
    by_table = defaultdict[str, list[int]](list)
    for seed in seeds:
        by_table[list(SCHEMAS)[seed % len(SCHEMAS)]].append(seed)
    exports = []
    for place, (table, schema) in enumerate(SCHEMAS.items()):
        days = {first + timedelta(days=place * MAX_DAYS + number): seed for number, seed in enumerate(by_table[table])}
        if days:
            rows = [row for day, seed in days.items() for row in _rows(day, random.Random(seed), schema)]
            exports.append(RandomExport(table=table, schema=schema, first=min(days), last=max(days), rows=rows))
    return exports


def money(rows: Iterable[Mapping[str, Any]]) -> dict[Key, Money]:
    """What rows of exports add up to, by service, project and currency."""
    sums = defaultdict[Key, Money](Money)
    for row in rows:
        key = (row["service"]["id"], (row["project"] or {}).get("id"), row["currency"])
        sums[key] = sums[key].plus(row["cost"], [credit["amount"] for credit in row["credits"]])
    return dict(sums)


def _rows(day: date, rng: random.Random, schema: pa.Schema) -> list[dict[str, Any]]:
    currencies = rng.sample(CURRENCIES, rng.choice((1, 1, 1, 2, 3)))
    return [_fit(_row(day, rng, *rng.choice(currencies)), schema) for _ in range(rng.randint(1, 40))]


def _row(day: date, rng: random.Random, currency: str, rate: float) -> dict[str, Any]:
    cost_type = rng.choice(("regular",) * 6 + ("tax", "adjustment", "rounding_error"))
    cost = _amount(rng, rng.choice((0.0, 0.01, 1.0, 100.0, 100_000.0)))
    if cost_type in {"adjustment", "rounding_error"} and rng.random() < 0.5:
        cost = -cost
    service, description = rng.choice(SERVICES)
    row = full(
        day,
        rng.randrange(24),
        service={"id": service, "description": description},
        cost=cost,
        cost_type=cost_type,
        cost_at_list=_maybe(rng, _amount(rng, max(cost, 0.0)) + max(cost, 0.0)),
        cost_at_effective_price_default=_maybe(rng, round(max(cost, 0.0) * 1.25, 6)),
        currency=currency,
        currency_conversion_rate=rate,
        credits=_credits(rng, cost) if cost > 0 else [],
        labels=[{"key": f"k{number}", "value": rng.choice(("", "a", "ü\n", None))} for number in range(rng.randrange(3))],
        consumption_model=_maybe(rng, {"id": "7754-699E-0EBF", "description": "Default"}),
        subscription=_maybe(rng, {"instance_id": "s-1"}, 0.9),
        adjustment_info=_maybe(rng, {"id": "a", "description": None, "mode": "MANUAL_ADJUSTMENT", "type": None}, 0.8),
    )
    project = f"p-{rng.randrange(4)}"
    row["project"] = _maybe(rng, row["project"] | {"id": project, "number": str(rng.randrange(10**12)), "name": project}, 0.2)
    for name in (
        "location",
        "resource",
        "usage",
        "price",
        "transaction_type",
        "seller_name",
        "export_time",
        "cost_at_list_consumption_model",
    ):
        row[name] = _maybe(rng, row[name], 0.2)
    row["tags"] = rng.choice(([], row["tags"]))
    return row


def _credits(rng: random.Random, cost: float) -> list[dict[str, Any]]:
    """At most four, which leave something of the cost; some of them without an amount."""
    shares = [_maybe(rng, -round(rng.random() * cost / 4, 6), 0.1) for _ in range(rng.choice((0, 0, 1, 2, 4)))]
    return [
        {"name": "c", "amount": amount, "full_name": _maybe(rng, "a credit"), "id": _maybe(rng, "c-1"), "type": rng.choice(CREDIT_TYPES)}
        for amount in shares
    ]


def _fit(row: dict[str, Any], schema: pa.Schema) -> dict[str, Any]:
    """The row as a table of this schema takes it: names that it lacks are left out when it is loaded."""
    if "exported_by" not in schema.names:
        return row
    project = row["project"] and row["project"] | {"number": int(row["project"]["number"])}
    credits_ = [credit | {"amount": _decimal(credit["amount"]), "granted_by": "finance"} for credit in row["credits"]]
    copied = {"cost": _decimal(row["cost"]), "project": project, "credits": credits_, "invoice": {"month": int(row["invoice"]["month"])}}
    return row | copied | {"exported_by": "a script"}


def _maybe[Value](rng: random.Random, value: Value, null: float = 0.3) -> Value | None:
    return None if rng.random() < null else value


def _amount(rng: random.Random, most: float) -> float:
    return round(rng.random() * most, 6)


def _decimal(amount: float | None) -> Decimal | None:
    return None if amount is None else Decimal(str(amount))


def _exact(amount: object) -> Decimal:
    return Decimal(0) if amount is None else round(Decimal(str(amount)), 9)
