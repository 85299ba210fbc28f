"""The rows of the sample tenant's billing export: made up, the same for the same day every time, with what real exports hold besides the
plain case: no labels, no resource, several credits, a free tier that eats the whole cost, corrections, taxes, rows without a project.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import yaml

BILLING_ACCOUNT = "01A2B3-C4D5E6-F7A8B9"
CATALOG = Path(__file__).with_name("sample_catalog.yml")
ORGANIZATION = {"resource_name": "organizations/720481516234", "display_name": "acme.example"}
TAX = 0.08
# Shares of all rows; of CREDITED, of those whose SKU has a credit.
CORRECTED, CREDITED, PROMOTED, UNLABELLED = 0.01, 0.8, 0.02, 0.15
_HOUR = timedelta(hours=1)

type Row = dict[str, Any]


def rows_of_day(day: date, count: int) -> Iterator[Row]:
    """`count` rows whose usage started on the UTC day, as `sample_schema.COLUMNS` has them. The last is the day's tax."""
    # What the numbers are is of no importance, that they come again is.
    random = Random(f"convergence-sample-{day.isoformat()}")  # noqa: S311
    catalog = yaml.safe_load(CATALOG.read_text())
    skus = [(service, sku) for service in catalog["services"] for sku in service["skus"]]
    weights = [sku["weight"] for _, sku in skus]
    projects = [(_project(project), project["env"]) for project in catalog["projects"]]
    untaxed = 0.0
    for service, sku in random.choices(skus, weights, k=max(count - 1, 0)):
        project, environment = random.choice(projects)
        row = _usage(random, catalog, day, service, sku) | {"project": project} | _labels(random, catalog, environment)
        untaxed += row["cost"]
        yield row
    if count:
        yield _tax(day, round(untaxed * TAX, 6))


def _usage(random: Random, catalog: dict[str, Any], day: date, service: dict[str, Any], sku: dict[str, Any]) -> Row:
    units = catalog["units"][sku["units"]]
    amount = round(random.uniform(0, 2 * sku["typical"]), 6)
    cost = round(amount * sku["price"], 6)
    corrected = random.random() < CORRECTED
    if corrected:
        amount, cost = -amount, -cost
    start = datetime.combine(day, time(random.randrange(24)), UTC)
    place = random.choice(catalog["places"])
    name = sku["resource"] and f"{sku['resource']}-{random.randrange(1, 6)}"
    credit_names = [sku["credit"]] if "credit" in sku and random.random() < CREDITED else []
    if random.random() < PROMOTED:
        credit_names.append("promotion")
    return {
        **_base(day, start, start + _HOUR),
        "service": {"id": service["id"], "description": service["description"]},
        "sku": {"id": sku["id"], "description": sku["description"]},
        "location": place,
        # The export is written some hours after the usage.
        "export_time": start + timedelta(hours=random.randrange(2, 30), minutes=random.randrange(60)),
        "cost": cost,
        "cost_at_list": cost,
        "usage": {
            "amount": amount * units["per_pricing_unit"],
            "unit": units["unit"],
            "amount_in_pricing_units": amount,
            "pricing_unit": units["pricing_unit"],
        },
        "credits": [_credit(catalog["credits"][credit], cost) for credit in dict.fromkeys(credit_names)] if cost else [],
        "price": {
            "effective_price": Decimal(str(sku["price"])).quantize(Decimal("1e-9")),
            "tier_start_amount": Decimal(0),
            "unit": units["pricing_unit"],
            "pricing_unit_quantity": Decimal(1),
        },
        "cost_type": "adjustment" if corrected else "regular",
        "adjustment_info": {
            "id": f"adjustment-{day:%Y%m%d}" if corrected else None,
            "description": "Correction of metered usage" if corrected else None,
            "mode": "PARTIAL_CORRECTION" if corrected else None,
            "type": "USAGE_CORRECTION" if corrected else None,
        },
        "resource": {"name": name or None, "global_name": f"//example.googleapis.com/{name}" if name else None},
    }


def _tax(day: date, cost: float) -> Row:
    start = datetime.combine(day, time(), UTC)
    return {
        **_base(day, start, start + 24 * _HOUR),
        "service": {"id": "2062-016F-44A2", "description": "Invoice"},
        "sku": {"id": "AAB9-81F1-9E23", "description": "Tax"},
        "project": None,
        "export_time": start + timedelta(hours=36),
        "cost": cost,
        "cost_at_list": cost,
        "cost_type": "tax",
    }


def _base(day: date, start: datetime, end: datetime) -> Row:
    return {
        "billing_account_id": BILLING_ACCOUNT,
        "usage_start_time": start,
        "usage_end_time": end,
        "currency": "USD",
        "currency_conversion_rate": 1.0,
        "invoice": {"month": f"{day:%Y%m}", "publisher_type": "GOOGLE"},
        "transaction_type": "GOOGLE",
        "seller_name": "Google",
        "labels": [],
        "system_labels": [],
        "tags": [],
        "credits": [],
    }


def _labels(random: Random, catalog: dict[str, Any], environment: str) -> Row:
    if random.random() < UNLABELLED:
        return {}
    team = random.choice(catalog["teams"])
    return {
        "labels": [{"key": "env", "value": environment}, {"key": "team", "value": team}],
        "system_labels": [{"key": "compute.googleapis.com/cores", "value": str(random.choice((2, 4, 8)))}],
        "tags": [{"key": "cost-center", "value": f"cc-{team}", "inherited": True, "namespace": "720481516234"}],
    }


def _credit(credit: dict[str, Any], cost: float) -> Row:
    amount = round(-cost * credit["share"], 6)
    return {"name": credit["name"], "amount": amount, "full_name": credit["name"], "id": None, "type": credit["type"]}


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
