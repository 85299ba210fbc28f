"""The rows of the sample tenant's billing export: synthetic, the same for the same day every time. They include the special cases of real
exports: no labels, no resource, several credits, a free tier that covers the whole cost, corrections, another seller's service, and
rows that arrive two days late. Usage covered by commitments is in commitments.py, rows that close an invoice in day.py.
"""

import functools
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import yaml

BILLING_ACCOUNT = "01A2B3-C4D5E6-F7A8B9"
CATALOG = Path(__file__).with_name("catalog.yml")
ORGANIZATION = {"resource_name": "organizations/720481516234", "display_name": "acme.example"}
# Shares of all rows; of CREDITED, of those whose SKU has a credit.
CORRECTED, CREDITED, PROMOTED, UNLABELLED, LATE = 0.01, 0.8, 0.02, 0.15, 0.02
HOUR = timedelta(hours=1)
PACIFIC = ZoneInfo("America/Los_Angeles")
LATE_BY = timedelta(days=2)

type Row = dict[str, Any]


@functools.cache
def catalog() -> dict[str, Any]:
    """The contents of catalog.yml."""
    read: dict[str, Any] = yaml.safe_load(CATALOG.read_text())
    return read


def usage_of_day(day: date, count: int) -> Iterator[Row]:
    """`count` rows of usage that started on the UTC day, as `schema.COLUMNS` has them; exported within a day."""
    # The numbers do not matter, only that they are the same each time.
    return _usage_rows(Random(f"convergence-sample-{day.isoformat()}"), day, count)  # noqa: S311


def late_usage_of_day(day: date, count: int) -> Iterator[Row]:
    """What comes late for a day with `count` rows: exported two days after them."""
    random = Random(f"convergence-sample-late-{day.isoformat()}")  # noqa: S311
    for row in _usage_rows(random, day, round(count * LATE)):
        yield row | {"export_time": row["export_time"] + LATE_BY}


def _usage_rows(random: Random, day: date, count: int) -> Iterator[Row]:
    found = catalog()
    skus = [sku for service in found["services"] for sku in service["skus"]]
    for sku in random.choices(skus, [sku["weight"] for sku in skus], k=count):
        yield _usage(random, day, sku) | labelled(random, random.choice(found["projects"]))


def _usage(random: Random, day: date, sku: dict[str, Any]) -> Row:
    amount = round(random.uniform(0, 2 * sku["typical"]), 6)
    corrected = random.random() < CORRECTED
    credit_names = [sku["credit"]] if "credit" in sku and random.random() < CREDITED and not corrected else []
    if random.random() < PROMOTED:
        credit_names.append("promotion")
    row = metered(random, datetime.combine(day, time(random.randrange(24)), UTC), sku["id"], -amount if corrected else amount)
    return {
        **row,
        "location": random.choice(catalog()["places"]),
        "credits": [_credit(credit, row["cost"]) for credit in dict.fromkeys(credit_names)] if row["cost"] else [],
        "cost_type": "adjustment" if corrected else "regular",
        "transaction_type": None if corrected else row["transaction_type"],
        "adjustment_info": {
            "id": f"adjustment-{day:%Y%m%d}" if corrected else None,
            "description": "Correction of metered usage" if corrected else None,
            "mode": "PARTIAL_CORRECTION" if corrected else None,
            "type": "USAGE_CORRECTION" if corrected else None,
        },
    }


def metered(random: Random, start: datetime, sku_id: str, amount: float, model: str = "default") -> Row:
    """An hour's usage of so many pricing units of a SKU, at a consumption model's price, without credits, and without a place."""
    service, sku = _service_and_sku(sku_id)
    units, priced = catalog()["units"][sku["units"]], catalog()["models"][model]
    at_list = round(amount * sku["price"], 6)
    name = sku["resource"] and f"{sku['resource']}-{random.randrange(1, 6)}"
    # Google names a seller only where it is another one.
    is_google = "seller" not in service
    row = base_row(start, start + HOUR)
    return {
        **row,
        "service": {"id": service["id"], "description": service["description"]},
        "sku": {"id": sku["id"], "description": sku["description"]},
        # The export is written some hours after the usage.
        "export_time": start + timedelta(hours=random.randrange(2, 24), minutes=random.randrange(60)),
        **costs(round(at_list * (1 - priced.get("saves", 0)), 6), at_list),
        "usage": {
            "amount": amount * units["per_pricing_unit"],
            "unit": units["unit"],
            "amount_in_pricing_units": amount,
            "pricing_unit": units["pricing_unit"],
        },
        "price": price(sku["price"], units["pricing_unit"], saves=priced.get("saves", 0)),
        "cost_type": "regular",
        "transaction_type": "GOOGLE" if is_google else "THIRD_PARTY_AGENCY",
        "seller_name": service.get("seller"),
        "invoice": row["invoice"] | {"publisher_type": "GOOGLE" if is_google else "PARTNER"},
        "consumption_model": {name: priced[name] for name in ("id", "description")},
        "resource": {"name": name or None, "global_name": f"//example.googleapis.com/{name}" if name else None},
    }


@functools.cache
def _service_and_sku(sku_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    [found] = [(service, sku) for service in catalog()["services"] for sku in service["skus"] if sku["id"] == sku_id]
    return found


def base_row(start: datetime, end: datetime) -> Row:
    """What all rows have. The month of an invoice begins at midnight in California."""
    return {
        "billing_account_id": BILLING_ACCOUNT,
        "usage_start_time": start,
        "usage_end_time": end,
        "currency": "USD",
        "currency_conversion_rate": 1.0,
        "invoice": {"month": f"{start.astimezone(PACIFIC):%Y%m}", "publisher_type": "GOOGLE"},
        "labels": [],
        "system_labels": [],
        "tags": [],
        "credits": [],
    }


def costs(cost: float, at_list: float) -> Row:
    """The four costs of a row: no price is negotiated here, so a consumption model alone makes them differ."""
    return {
        "cost": cost,
        "cost_at_list": at_list,
        "cost_at_effective_price_default": Decimal(str(at_list)),
        "cost_at_list_consumption_model": Decimal(str(cost)),
    }


def price(at_list: float, unit: str, *, saves: float = 0) -> Row:
    """The price of one unit; `saves`: what a consumption model takes off."""
    full, paid = (Decimal(str(round(at_list * share, 9))).quantize(Decimal("1e-9")) for share in (1, 1 - saves))
    return {
        "effective_price": paid,
        "tier_start_amount": Decimal(0),
        "unit": unit,
        "pricing_unit_quantity": Decimal(1),
        "list_price": full,
        "effective_price_default": full,
        "list_price_consumption_model": paid,
    }


def credit_row(name: str, amount: float) -> Row:
    """One entry of `credits`."""
    credit = catalog()["credits"][name]
    return {"name": credit["name"], "amount": amount, "full_name": credit["name"], "id": credit["id"], "type": credit["type"]}


def _credit(name: str, cost: float) -> Row:
    return credit_row(name, round(-cost * catalog()["credits"][name]["share"], 6))


def labelled(random: Random, project: dict[str, Any]) -> Row:
    """The project of a usage, and its labels and tags, or none."""
    if random.random() < UNLABELLED:
        return {"project": project_of(project)}
    team = random.choice(catalog()["teams"])
    return {
        "project": project_of(project),
        "labels": [{"key": "env", "value": project["env"]}, {"key": "team", "value": team}],
        "system_labels": [{"key": "compute.googleapis.com/cores", "value": str(random.choice((2, 4, 8)))}],
        "tags": [{"key": "cost-center", "value": f"cc-{team}", "inherited": True, "namespace": "720481516234"}],
    }


def project_of(project: dict[str, Any]) -> Row:
    """A project of the catalog as the export has it."""
    folder = {"resource_name": f"folders/{project['number'][::-1]}", "display_name": project["folder"]}
    own = {"resource_name": f"projects/{project['number']}", "display_name": project["name"]}
    return {
        "id": project["id"],
        "number": project["number"],
        "name": project["name"],
        "labels": [{"key": "env", "value": project["env"]}],
        "ancestry_numbers": f"/720481516234/{project['number'][::-1]}/",
        "ancestors": [own, folder, ORGANIZATION],
    }
