"""The sample tenant's commitments: each hour's fees, and the usage that they pay for, in all three ways that Google bills them.

- Of machines: usage at its full cost, with a credit for what is covered; a fee for what was bought, used or not.
- In dollars, as they were: the same, with a fee for each SKU that names what it pays for, and one for what is unused.
- By a price of its own, as they are now: covered usage is cheaper, and what it costs is taken off the fee.

https://docs.cloud.google.com/docs/cuds-multiprice-datamodel, https://docs.cloud.google.com/docs/cuds-attribution
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

from localcloud.sample.rows import HOUR, Row, base_row, catalog, costs, credit_row, labelled, metered, price, project_of

AT_MOST = 16
"""Rows of an hour."""
NOON = 12
ASKED = (1.0, 1.6, 0.6, 0.0)
"""What the tenant uses in an hour, as a share of what it has committed to: just that, more, less, nothing. Models take turns."""


def commitments_of_day(day: date, hours: int) -> Iterator[Row]:
    """All rows of so many hours, spread over the UTC day; from 4 on, each commitment is used in full, beyond, in part, and not at all."""
    random = Random(f"convergence-sample-commitments-{day.isoformat()}")  # noqa: S311 - what the numbers are is of no importance, that they come again is
    found = catalog()["commitments"]
    for place in range(hours):
        start = datetime.combine(day, time(place * 24 // hours), UTC)
        yield from _machines(random, start, found["machines"], ASKED[place % 4])
        yield from _dollars(random, start, found["dollars"], ASKED[(place + 1) % 4])
        yield from _prices(random, start, found["prices"], ASKED[(place + 2) % 4])
        yield from _ending(random, start, found["ending"])


def _machines(random: Random, start: datetime, commitment: dict[str, Any], asked: float) -> Iterator[Row]:
    """Bought by the account, used by two projects: the first is covered first."""
    bought = commitment["bought"]
    yield _fee(start, commitment, bought * commitment["pays"], quantity=bought, unit="hour")
    if not asked:
        return
    [sku], each = commitment["covers"], bought * asked / 2
    for project, covered in zip(
        _projects("acme-gcp-project", "acme-data-lake"), (min(each, bought), min(each, bought - each)), strict=True
    ):
        yield _covered(_usage(random, start, sku, each, project), "committed", covered / each)


def _ending(random: Random, start: datetime, commitment: dict[str, Any]) -> Iterator[Row]:
    """Bought for a project, and over at noon: its machines run on."""
    bought, [project], [sku] = commitment["bought"], _projects("acme-staging"), commitment["covers"]
    row = _usage(random, start, sku, bought, project)
    if start.hour >= NOON:
        yield row
        return
    yield _covered(row, "committed", 1)
    yield _fee(start, commitment, bought * commitment["pays"], quantity=bought, unit="hour") | {"project": project_of(project)}


def _dollars(random: Random, start: datetime, commitment: dict[str, Any], asked: float) -> Iterator[Row]:
    """Each project pays for the SKU that it uses; the account for the rest."""
    paid, share = 0.0, min(1.0, 1 / asked) if asked else 0.0
    for (sku, part), project in zip(commitment["covers"].items(), _projects("acme-gcp-project", "acme-data-lake"), strict=True):
        if share:
            row = _covered(_worth(random, start, sku, commitment["bought"] * asked * part, project), "committed_dollars", share)
            cost = round(-row["credits"][0]["amount"] * commitment["pays"], 6)
            labels = {"goog-originating-service-id": row["service"]["id"], "goog-originating-sku-id": sku}
            yield row
            yield _fee(start, commitment, cost) | {
                "project": project_of(project),
                "labels": [{"key": key, "value": value} for key, value in labels.items()],
            }
            paid += cost
    if asked < 1:
        yield _fee(start, commitment, commitment["bought"] * commitment["pays"] - paid)


def _prices(random: Random, start: datetime, commitment: dict[str, Any], asked: float) -> Iterator[Row]:
    """What is used beyond the commitment is a row of its own, at the default price."""
    [project] = _projects("acme-gcp-project")
    covered, own = min(asked, 1.0), {"subscription": {"instance_id": commitment["subscription"]}}
    for sku, part in commitment["covers"].items() if asked else ():
        yield _worth(random, start, sku, commitment["bought"] * covered * part, project, model=commitment["model"]) | own
        if asked > covered:
            yield _worth(random, start, sku, commitment["bought"] * (asked - covered) * part, project)
    whole = commitment["bought"] * commitment["pays"]
    used = round(whole * covered, 6)
    if used:
        yield _fee(start, commitment, used) | {"project": project_of(project), "credits": [credit_row("offset", -used)]}
    if used < whole:
        yield _fee(start, commitment, whole - used)


def _projects(*ids: str) -> list[dict[str, Any]]:
    return [project for wanted in ids for project in catalog()["projects"] if project["id"] == wanted]


def _usage(random: Random, start: datetime, sku: str, amount: float, project: dict[str, Any], *, model: str = "default") -> Row:
    return {**metered(random, start, sku, round(amount, 6), model), "location": catalog()["places"][0], **labelled(random, project)}


def _worth(random: Random, start: datetime, sku: str, dollars: float, project: dict[str, Any], *, model: str = "default") -> Row:
    """As much as so many dollars buy at list price."""
    [unit_price] = [one["price"] for service in catalog()["services"] for one in service["skus"] if one["id"] == sku]
    return _usage(random, start, sku, dollars / unit_price, project, model=model)


def _covered(row: Row, credit: str, share: float) -> Row:
    return row | {"credits": [credit_row(credit, -round(row["cost"] * share, 6))] if share else []}


def _fee(start: datetime, commitment: dict[str, Any], cost: float, *, quantity: float | None = None, unit: str = "count") -> Row:
    """A fee of the account; without a quantity, of dollars."""
    [service] = [service for service in catalog()["services"] if service["id"] == commitment["service"]]
    cost = round(cost, 6)
    amount = cost if quantity is None else quantity
    return {
        **base_row(start, start + HOUR),
        **costs(cost, cost),
        "service": {"id": service["id"], "description": service["description"]},
        "sku": commitment["sku"],
        "project": None,
        "location": catalog()["places"][0] | {"zone": None},
        "export_time": start + timedelta(hours=6),
        "usage": {
            "amount": amount * (3600 if unit == "hour" else 1),
            "unit": "seconds" if unit == "hour" else unit,
            "amount_in_pricing_units": amount,
            "pricing_unit": unit,
        },
        "price": price(commitment["pays"] if unit == "hour" else 1.0, unit),
        "cost_type": "regular",
        "transaction_type": "GOOGLE",
        "consumption_model": {name: catalog()["models"]["default"][name] for name in ("id", "description")},
        "subscription": {"instance_id": commitment["subscription"].format(day=start)},
    }
