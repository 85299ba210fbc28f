"""Random days of commitments, as rows of billing_cost_daily: all three models, covered not at all, in part, in full and by more than was
bought; for an account or for single projects; by one subscription or several; in two currencies; with Google's roundings to six digits.

`complete` days have both ends of every commitment, and nothing that is not as documented. Others lack fees or usage here and there, are of
the time before the export had the columns, and carry what no commitment may touch: adjustments and taxes with credits, refunds, odd units.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, Final

from tests.support.executor.focus_source import source_row

type Row = dict[str, Any]

PROJECTS: Final = ("shop", "lake", "lab")
DEFAULT: Final = {"consumption_model_id": "7754-699E-0EBF", "consumption_model_description": "Default"}
FLEXIBLE: Final = {"consumption_model_id": "D97B-0795-975B", "consumption_model_description": "Compute Flexible CUDs - 1 Year"}
MACHINES: Final = (
    ("N2 Instance Core running in Americas", "Commitment v1: N2 Cpu in Americas for 1 Year", "hour"),
    ("N2 Instance Ram running in Americas", "Commitment v1: N2 Ram in Americas for 1 Year", "gibibyte hour"),
    ("N2D AMD Instance Core running in Americas", "Commitment v1: N2D AMD Cpu in Americas for 3 Years", "hour"),
    ("N1 Predefined Instance Core running in Americas", "Commitment v1: Cpu in Americas for 1 Year", "hour"),
)
"""What runs, what is committed to, and the pricing unit of both."""
REGIONS: Final = ("us-central1", "us-east4")
SKUS: Final = ("RUN-CPU", "RUN-RAM", "ALLOY-CPU")
OLD: Final = dict.fromkeys(("consumption_model_id", "consumption_model_description", "cost_at_effective_price_default", "credits"))
"""What rows from before these columns have of them. Their credits have been added up all the same."""


def random_days(seed: int, days: Iterable[date], *, complete: bool = False) -> list[Row]:
    """The rows of the days, in any order; each says in `other_columns` which one it is."""
    rng = Random(seed)
    rows = [row for day in days for row in _rows_of_day(rng, day, complete=complete)]
    return [{**row, "other_columns": {"row": number}} for number, row in enumerate(rows)]


def _rows_of_day(rng: Random, day: date, *, complete: bool) -> Iterator[Row]:
    for hour in rng.sample(range(24), 2):
        start = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
        currency, rate = rng.choice((("USD", 1.0), ("EUR", 0.875)))
        month = start - timedelta(hours=8)
        quota = {
            "billing_account_id": rng.choice(("ACCOUNT-1", "ACCOUNT-2")),
            "usage_start_time": start,
            "usage_end_time": start + timedelta(hours=1),
            "currency": currency,
            "currency_conversion_rate": rate,
            "invoice_month": f"{month:%Y%m}",
        }
        is_old = not complete and rng.random() < 0.2
        for changes in [*_commitments(rng, complete=complete), *_others(rng, complete=complete)]:
            row = source_row(day, **quota | {name: value for name, value in changes.items() if name != "covered"})
            yield {**row, **OLD} if is_old else row


def _commitments(rng: Random, *, complete: bool) -> Iterator[Row]:
    machines = rng.sample([(region, *machine) for region in REGIONS for machine in MACHINES], 2)
    pools = [_consumption_model(rng), _dollar_based(rng, *rng.sample(SKUS, 1)), *(_resource_based(rng, *machine) for machine in machines)]
    for fees, used in rng.sample(pools, rng.randint(1, 3)):
        missing = "nothing" if complete else rng.choice(("nothing", "nothing", "nothing", "fees", "usage", "some usage"))
        yield from [] if missing == "fees" else fees
        yield from [] if missing == "usage" else used[1:] if missing == "some usage" else used


def _consumption_model(rng: Random) -> tuple[list[Row], list[Row]]:
    """Covered usage has a price of its own; what was used of a fee is taken off it, but for roundings."""
    subscription = rng.choice(("flex-1", "flex-2", None))
    pays = rng.choice((0.72, 0.54))
    used = []
    for _ in range(rng.randint(0, 3)):
        contracted = _money(rng, 3)
        listed = round(contracted * rng.choice((1, 1.25)), 6)
        used.append(
            {
                **FLEXIBLE,
                **_priced(round(contracted * pays, 6), listed),
                "cost_at_effective_price_default": contracted,
                "sku_id": rng.choice(SKUS),
                "project_id": rng.choice(PROJECTS),
                "subscription_instance_id": subscription,
                "credits": _credits(**_promotion(rng, contracted * pays)),
            }
        )
    unused = rng.choice((0.0, _money(rng, 2))) if used else _money(rng, 2)
    fees = []
    is_attributed = rng.random() < 0.5
    for project, rows in _by_project(used) if is_attributed else [(None, used)] if used else []:
        whole = math.fsum(row["cost"] for row in rows)
        offset = -round(whole + rng.randint(-3, 3) / 10**6, 6)
        fees.append(_fee(round(whole + (0 if is_attributed else unused), 6), project, FEE_UTILIZATION_OFFSET=offset))
    fees += [_fee(unused, None)] if unused and (is_attributed or not used) else []
    about = {
        **DEFAULT,
        "sku_id": "5515-81A8-03A2",
        "sku_description": "Compute Flexible CUDs fee",
        "subscription_instance_id": subscription,
    }
    return [{**fee, **about} for fee in fees], used


def _dollar_based(rng: Random, sku: str) -> tuple[list[Row], list[Row]]:
    """Usage at its full cost, with a credit for what is covered of it; a fee says which SKU it pays for, one that does not is unused."""
    pays = rng.choice((0.72, 0.83))
    used: list[Row] = []
    for _ in range(rng.randint(1, 3)):
        cost = _money(rng, 5)
        covered = round(cost * rng.choice((1, 0.4, rng.uniform(0.1, 1))), 6)
        used.append(_covered(rng, cost, "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE", covered) | {"sku_id": sku, "sku_description": sku.title()})
    labels = {"goog-originating-sku-id": sku, "goog-originating-service-id": "152E-C115-5142"}
    fees = []
    for project, rows in _by_project(used) if rng.random() < 0.5 else [(None, used)]:
        amount = round(pays * math.fsum(row["covered"] for row in rows), 6)
        fees.append(_fee(amount, project) | {rng.choice(("labels", "system_labels")): labels})
    fees += [_fee(_money(rng, 1), None)] if rng.random() < 0.5 else []
    about = {
        "sku_id": "DOLLARS",
        "sku_description": "Commitment - dollar based v1: Cloud Run for 1 Year",
        "subscription_instance_id": f"d-{sku}",
    }
    return [{**fee, **about} for fee in fees], used


def _resource_based(rng: Random, region: str, runs: str, committed: str, unit: str) -> tuple[list[Row], list[Row]]:
    """Usage at its full cost, with a credit that does not say where it comes from; fees for a number of cores or gibibytes in a region."""
    full, pays = rng.choice(((0.031611, 0.019915), (0.25, 0.1575)))
    used: list[Row] = []
    for _ in range(rng.randint(0, 3)):
        quantity = rng.randrange(1, 40) / 4
        cost = round(quantity * full, 6)
        covered = round(cost * rng.choice((1, 1, 0.5, rng.uniform(0.1, 1))), 6)
        row = _covered(rng, cost, "COMMITTED_USAGE_DISCOUNT", covered, quantity)
        used.append(row | {"sku_id": runs, "sku_description": runs, "region": region, "usage_pricing_unit": unit})
    bought: list[tuple[str | None, float]] = []
    if used and rng.random() < 0.4:
        shares = [(project, math.fsum(row["covered"] / full for row in rows)) for project, rows in _by_project(used)]
        bought += [(project, math.floor(share * 2) / 4) for project, share in shares]
    covered_quantity = math.fsum(row["covered"] / full for row in used)
    left = covered_quantity - math.fsum(quantity for _, quantity in bought)
    bought.append((None, round(left * rng.choice((1, 1, 0.75)), 6) + rng.choice((0, 0, 2.5, 10)) + (0 if used else 4)))
    subscriptions = rng.choice((("res-1",), ("res-1", "res-2")))
    fees = [
        {
            **_priced(round(quantity * pays / len(subscriptions), 6)),
            "usage_amount_in_pricing_units": quantity / len(subscriptions),
            "usage_pricing_unit": unit,
            "project_id": project,
            "subscription_instance_id": subscription,
            "sku_id": committed,
            "sku_description": committed,
            "region": region,
        }
        for project, quantity in bought
        for subscription in subscriptions
        if quantity > 0
    ]
    return fees, used


def _others(rng: Random, *, complete: bool) -> Iterator[Row]:
    """Rows of no commitment: what else a day has, and, unless it is complete, what looks like one."""
    cost = _money(rng, 20)
    documented: Sequence[Row] = (
        _priced(cost, round(cost * 1.25, 6)),
        {**_priced(cost), **DEFAULT, "credits": _credits(PROMOTION=-round(cost / 3, 6), SUSTAINED_USAGE_DISCOUNT=-round(cost / 4, 6))},
        {**_priced(cost), "credits": _credits(PROMOTION=-cost)},
        {**_priced(0.0), "usage_amount": None, "usage_amount_in_pricing_units": None, "credits": _credits(PROMOTION=-cost)},
        {**_priced(cost), "cost_type": "tax", "project_id": None},
        {**_priced(-0.000003), "cost_type": "rounding_error", "project_id": None},
        {**_priced(-cost), "cost_type": "adjustment", "adjustment_info_id": "a", "invoice_month": "202512"},
        {**_priced(cost), "service_id": "2062-016F-44A2", "service_description": "Support", "sku_description": "Enhanced Support"},
    )
    odd: Sequence[Row] = (
        {**_priced(-cost), "credits": _credits(COMMITTED_USAGE_DISCOUNT=cost)},
        {**_priced(cost), "cost_type": "adjustment", "credits": _credits(COMMITTED_USAGE_DISCOUNT=-cost, PROMOTION=-1)},
        {**_priced(cost), "cost_type": "tax", "credits": _credits(FEE_UTILIZATION_OFFSET=-cost)},
        {**_priced(cost), "adjustment_info_type": "USAGE_CORRECTION", "credits": _credits(COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE=-cost)},
        {**_priced(cost), "region": "us-central1", "credits": _credits(COMMITTED_USAGE_DISCOUNT=-1.5 * cost)},
        {**_priced(cost), "region": "us-central1", "usage_pricing_unit": "month", "credits": _credits(COMMITTED_USAGE_DISCOUNT=-cost)},
        {**_priced(cost), "usage_amount_in_pricing_units": None, "region": "us-east4", "credits": _credits(COMMITTED_USAGE_DISCOUNT=-cost)},
        {**_priced(cost), "region": None, "project_id": None, "credits": _credits(COMMITTED_USAGE_DISCOUNT=-cost / 2)},
        {
            **_priced(cost),
            "region": "us-central1",
            "sku_id": SKUS[0],
            "credits": _credits(COMMITTED_USAGE_DISCOUNT=-cost / 4, COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE=-cost / 2),
        },
        {**_priced(cost), **FLEXIBLE, "subscription_instance_id": "flex-1", "credits": _credits(DISCOUNT=-cost / 8)},
        {**_priced(0.0), **FLEXIBLE, "subscription_instance_id": "flex-2"},
        {**_fee(cost, None, FEE_UTILIZATION_OFFSET=-cost, DISCOUNT=-cost / 10), "subscription_instance_id": "flex-2"},
        {**_fee(0.0, None), "sku_description": MACHINES[0][1], "region": "us-central1"},
        {**_fee(cost, rng.choice(PROJECTS), DISCOUNT=-1.5 * cost), "sku_description": MACHINES[0][1], "region": "us-central1"},
        {**_fee(cost, None), "usage_amount_in_pricing_units": None, "sku_description": MACHINES[1][1], "region": "us-central1"},
        {**_fee(cost / 10**7, None), "sku_description": MACHINES[1][1], "region": "us-central1", "subscription_instance_id": "res-1"},
        {**_fee(cost * 10**4, None, FEE_UTILIZATION_OFFSET=-cost * 10**4), "subscription_instance_id": "flex-1"},
        {**_fee(-cost, None), "sku_description": MACHINES[0][1], "region": "us-central1", "subscription_instance_id": "res-1"},
        {**_fee(cost, "lab", DISCOUNT=-2 * cost), "labels": {"goog-originating-sku-id": SKUS[1]}, "subscription_instance_id": "d-1"},
        {**_fee(cost, None, DISCOUNT=-2 * cost), "subscription_instance_id": "flex-1"},
        {**_priced(cost), "usage_amount_in_pricing_units": -1.0, "region": "us-east4", "credits": _credits(COMMITTED_USAGE_DISCOUNT=-cost)},
        {**_priced(cost), "region": "us-central1", "credits": _credits(COMMITTED_USAGE_DISCOUNT=cost / 3)},
        {**_priced(cost / 10**7), "region": "us-central1", "credits": _credits(COMMITTED_USAGE_DISCOUNT=-cost / 10**7)},
        {**_priced(cost), "sku_id": SKUS[1], "project_id": None, "credits": _credits(COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE=-cost / 10**7)},
        {**_priced(cost * 10**4), "sku_id": SKUS[2], "credits": _credits(COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE=-cost * 10**4)},
        {**_priced(cost), "invoice_month": None, "cost_at_list": None},
    )
    yield from rng.sample(documented, 3)
    yield from [] if complete else rng.sample(odd, 4)


def _money(rng: Random, most: int) -> float:
    return rng.randrange(1, most * 10**6) / 10**6


def _priced(cost: float, listed: float | None = None) -> Row:
    return {"cost": cost, "cost_at_list": cost if listed is None else listed}


def _fee(cost: float, project: str | None, **amounts: float) -> Row:
    quantity = {"usage_amount": cost, "usage_amount_in_pricing_units": cost, "usage_unit": "count", "usage_pricing_unit": "count"}
    return {**_priced(cost), **quantity, "project_id": project, "credits": _credits(**amounts)}


def _covered(rng: Random, cost: float, kind: str, covered: float, quantity: float = 1.0) -> Row:
    """Usage of which a credit covers a part. `covered` is no column, and is for the fees."""
    others = _promotion(rng, cost)
    if covered < cost and rng.random() < 0.3:
        others["SUSTAINED_USAGE_DISCOUNT"] = -round((cost - covered) / 5, 6)
    return {
        **_priced(cost, round(cost * rng.choice((1, 1.25)), 6)),
        "usage_amount": quantity * 3600,
        "usage_amount_in_pricing_units": quantity,
        "project_id": rng.choice(PROJECTS),
        "credits": _credits(**{kind: -covered}, **others),
        "covered": covered,
    }


def _promotion(rng: Random, cost: float) -> dict[str, float]:
    return {"PROMOTION": -round(cost / 10, 6)} if rng.random() < 0.15 else {}


def _credits(**amounts: float) -> list[Row]:
    return [{"name": kind, "id": kind, "full_name": kind, "type": kind, "amount": amount} for kind, amount in amounts.items()]


def _by_project(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    return [(project, [row for row in rows if row["project_id"] == project]) for project in sorted({row["project_id"] for row in rows})]
