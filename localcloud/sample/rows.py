"""The rows of the sample tenant's billing export: made up, the same for the same day every time, with what real exports hold besides the
plain case: no labels, no resource, several credits, a free tier that eats the whole cost, corrections, taxes, rows without a project, usage
that a commitment covers and the commitment's fees, another seller's service, and rows that arrive two days late.
"""

import functools
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import yaml

BILLING_ACCOUNT = "01A2B3-C4D5E6-F7A8B9"
CATALOG = Path(__file__).with_name("catalog.yml")
ORGANIZATION = {"resource_name": "organizations/720481516234", "display_name": "acme.example"}
# Shares of all rows; of CREDITED, of those whose SKU has a credit or a commitment's price.
CORRECTED, CREDITED, PROMOTED, UNLABELLED, LATE = 0.01, 0.8, 0.02, 0.15, 0.02
HOUR = timedelta(hours=1)
LATE_BY = timedelta(days=2)

type Row = dict[str, Any]


@functools.cache
def catalog() -> dict[str, Any]:
    """What is in catalog.yml."""
    read: dict[str, Any] = yaml.safe_load(CATALOG.read_text())
    return read


def usage_of_day(day: date, count: int) -> Iterator[Row]:
    """`count` rows of usage that started on the UTC day, as `schema.COLUMNS` has them; exported within a day."""
    # What the numbers are is of no importance, that they come again is.
    return _usage_rows(Random(f"convergence-sample-{day.isoformat()}"), day, count)  # noqa: S311


def late_usage_of_day(day: date, count: int) -> Iterator[Row]:
    """What comes late for a day with `count` rows: exported two days after them."""
    random = Random(f"convergence-sample-late-{day.isoformat()}")  # noqa: S311
    for row in _usage_rows(random, day, round(count * LATE)):
        yield row | {"export_time": row["export_time"] + LATE_BY}


def _usage_rows(random: Random, day: date, count: int) -> Iterator[Row]:
    found = catalog()
    skus = [(service, sku) for service in found["services"] for sku in service["skus"]]
    projects = [(_project(project), project["env"]) for project in found["projects"]]
    for service, sku in random.choices(skus, [sku["weight"] for _, sku in skus], k=count):
        project, environment = random.choice(projects)
        yield _usage(random, day, service, sku) | {"project": project} | _labels(random, environment)


def _usage(random: Random, day: date, service: dict[str, Any], sku: dict[str, Any]) -> Row:
    found = catalog()
    units = found["units"][sku["units"]]
    amount = round(random.uniform(0, 2 * sku["typical"]), 6)
    corrected = random.random() < CORRECTED
    amount = -amount if corrected else amount
    is_covered = random.random() < CREDITED and not corrected
    model = found["models"][sku["model"] if "model" in sku and is_covered else "default"]
    at_list = round(amount * sku["price"], 6)
    cost = round(at_list * (1 - model.get("saves", 0)), 6)
    start = datetime.combine(day, time(random.randrange(24)), UTC)
    name = sku["resource"] and f"{sku['resource']}-{random.randrange(1, 6)}"
    credit_names = [sku["credit"]] if "credit" in sku and is_covered else []
    if random.random() < PROMOTED:
        credit_names.append("promotion")
    return {
        **base_row(day, start, start + HOUR),
        "service": {"id": service["id"], "description": service["description"]},
        "sku": {"id": sku["id"], "description": sku["description"]},
        "location": random.choice(found["places"]),
        # The export is written some hours after the usage.
        "export_time": start + timedelta(hours=random.randrange(2, 24), minutes=random.randrange(60)),
        **costs(cost, at_list),
        "usage": {
            "amount": amount * units["per_pricing_unit"],
            "unit": units["unit"],
            "amount_in_pricing_units": amount,
            "pricing_unit": units["pricing_unit"],
        },
        "credits": [_credit(credit, cost) for credit in dict.fromkeys(credit_names)] if cost else [],
        "price": price(sku["price"], units["pricing_unit"], saves=model.get("saves", 0)),
        "cost_type": "adjustment" if corrected else "regular",
        "adjustment_info": {
            "id": f"adjustment-{day:%Y%m%d}" if corrected else None,
            "description": "Correction of metered usage" if corrected else None,
            "mode": "PARTIAL_CORRECTION" if corrected else None,
            "type": "USAGE_CORRECTION" if corrected else None,
        },
        "consumption_model": {"id": model["id"], "description": model["description"]},
        "subscription": {"instance_id": model["subscription"]} if "subscription" in model else None,
        "resource": {"name": name or None, "global_name": f"//example.googleapis.com/{name}" if name else None},
        **_seller(day, service, is_regular=not corrected),
    }


def base_row(day: date, start: datetime, end: datetime) -> Row:
    """What all rows have."""
    return {
        "billing_account_id": BILLING_ACCOUNT,
        "usage_start_time": start,
        "usage_end_time": end,
        "currency": "USD",
        "currency_conversion_rate": 1.0,
        "invoice": {"month": f"{day:%Y%m}", "publisher_type": "GOOGLE"},
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


def _seller(day: date, service: dict[str, Any], *, is_regular: bool) -> Row:
    """Google names a seller only where it is another one."""
    is_google = "seller" not in service
    return {
        "transaction_type": ("GOOGLE" if is_google else "THIRD_PARTY_AGENCY") if is_regular else None,
        "seller_name": service.get("seller"),
        "invoice": {"month": f"{day:%Y%m}", "publisher_type": "GOOGLE" if is_google else "PARTNER"},
    }


def _labels(random: Random, environment: str) -> Row:
    if random.random() < UNLABELLED:
        return {}
    team = random.choice(catalog()["teams"])
    return {
        "labels": [{"key": "env", "value": environment}, {"key": "team", "value": team}],
        "system_labels": [{"key": "compute.googleapis.com/cores", "value": str(random.choice((2, 4, 8)))}],
        "tags": [{"key": "cost-center", "value": f"cc-{team}", "inherited": True, "namespace": "720481516234"}],
    }


def _project(project: dict[str, Any]) -> Row:
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
