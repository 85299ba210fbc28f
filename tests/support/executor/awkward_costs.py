"""A day of billing export rows that are hard to sum exactly, and their sums as decimals."""

import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from tests.support.executor.billing_export import row

CURRENCIES = ("USD", "EUR", "JPY")
SERVICES = ("Compute Engine", "BigQuery", "Cloud Storage", "Networking", "MongoDB Atlas for Ünïcode", "Invoice")
_LABELS: tuple[list[dict[str, Any]], ...] = (
    [],
    [{"key": "équipe", "value": '"Ω" \\ 東京 🚀'}],
    [{"key": "empty", "value": ""}, {"key": "null", "value": None}],
)


@dataclass(kw_only=True, slots=True)
class Total:
    """What one currency's rows add up to."""

    rows: int = 0
    net: Decimal = Decimal(0)
    contracted: Decimal = Decimal(0)
    listed: Decimal = Decimal(0)


def awkward(day: date, count: int, seed: int) -> list[dict[str, Any]]:
    """`count` rows: costs from 1e-12 to 1e5, of either sign; credits beyond the cost; taxes, adjustments, roundings; gaps everywhere."""
    rng = random.Random(seed)

    def cost() -> float:
        return rng.choice((1, 1, 1, -1)) * rng.random() * 10.0 ** rng.randint(-12, 5)

    def maybe(value: object) -> object:
        return value if rng.random() < 0.8 else None

    rows = []
    for number in range(count):
        description, kind = rng.choice(SERVICES), rng.choice(("regular",) * 7 + ("tax", "adjustment", "rounding_error"))
        charged, amount = rng.choice((0.0, cost(), cost(), cost())), rng.choice((0.0, rng.random() * 1e9, 3600.0, 1e-9))
        usage = {"amount": amount, "unit": "seconds", "amount_in_pricing_units": amount / 3600, "pricing_unit": maybe("hour")}
        rows.append(
            row(
                day,
                hour=number % 24,
                service={"id": f"S-{description}", "description": description},
                sku=maybe(
                    {"id": f"SKU-{number % 17}", "description": rng.choice(("Spot Preemptible N2 Core", "N2 Core", "Active Storage"))}
                ),
                project=maybe({"id": f"shop-{number % 3}", "number": "42", "name": "Der Läden"}),
                location=maybe({"location": "europe", "country": "DE", "region": maybe("europe-west3"), "zone": None}),
                resource=maybe(
                    {"name": f"r{number}", "global_name": maybe(f"//compute.googleapis.com/projects/p/zones/z/instances/{number}")}
                ),
                labels=rng.choice(_LABELS),
                usage=usage if kind == "regular" else maybe(usage),
                cost=charged,
                cost_at_list=maybe(charged * 1.25),
                credits=[{"name": f"c{n}", "amount": -abs(cost())} for n in range(rng.randrange(4))],
                currency=rng.choice(CURRENCIES),
                cost_type=kind,
                invoice={"month": maybe(f"{day:%Y%m}")},
            )
        )
    return rows


def totals(rows: Iterable[dict[str, Any]]) -> dict[str, Total]:
    """By currency. Every number counts as it is written; what has no price of its own is worth what is billed for it."""
    found = defaultdict[str, Total](Total)
    for one in rows:
        total, cost, listed = found[one["currency"]], Decimal(repr(one["cost"])), one["cost_at_list"]
        net = cost + sum((Decimal(repr(credit["amount"])) for credit in one["credits"]), Decimal(0))
        only_credits = not cost and net and not (one["usage"] or {}).get("amount")
        is_priced = one["cost_type"] == "regular" and not only_credits
        total.rows += 1
        total.net += net
        total.contracted += cost if is_priced else net
        total.listed += net if not is_priced else cost if listed is None else Decimal(repr(listed))
    return dict(found)
