"""What a month's commitments cost, saved and wasted, computed from rows of billing_cost_daily in decimals, apart from any SQL of ours.

It follows what Google documents of its export, for commitments of which both ends are in it:

- At a consumption model other than Default, `cost` is what usage costs with the commitment, `cost_at_effective_price_default` without; of
  the fee, FEE_UTILIZATION_OFFSET has been used. (https://docs.cloud.google.com/docs/cuds-multiprice-datamodel)
- COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE takes off what usage would have cost; the fee names in `goog-originating-sku-id` what it pays for,
  and a fee that names nothing is unused. (https://docs.cloud.google.com/docs/cuds-attribution)
- COMMITTED_USAGE_DISCOUNT takes off the whole cost of the cores and gibibytes that a commitment covers in its region; the fee is for those
  that were bought, used or not. A project's own fee pays for that project's first.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any, Final

type Row = Mapping[str, Any]
type Pool = tuple[str, str, str, str]
"""Rule, billing account, currency, and the commitment's name: its subscription, the SKU it pays for, or its region and kind of machine."""

PRICE, DOLLARS, RESOURCES = "consumption_model", "spend_based", "resource_based"
ZERO: Final = Decimal(0)


@dataclass(kw_only=True, slots=True)
class Commitment:
    """Amounts of one commitment, in its currency."""

    fees: Decimal = ZERO
    """What was paid for it."""
    contracted: Decimal = ZERO
    """What the usage it covered would have cost without it."""
    effective: Decimal = ZERO
    """What was paid for what was used of it."""
    waste: Decimal = ZERO
    """What was paid for what was not."""

    @property
    def savings(self) -> Decimal:
        return self.contracted - self.effective

    @property
    def utilization(self) -> Decimal:
        return self.effective / self.fees if self.fees else ZERO


def as_billed(row: Row) -> Row:
    """A row of the export in the columns of billing_cost_daily, those that the other functions read."""
    return {
        **{name: row[name] for name in ("billing_account_id", "usage_start_time", "currency", "cost", "credits", "cost_type")},
        "usage_date": row["usage_start_time"].date(),
        "net_cost": row["cost"] + sum(credit["amount"] for credit in row["credits"]),
        "cost_at_effective_price_default": float(row["cost_at_effective_price_default"]),
        "invoice_month": row["invoice"]["month"],
        "sku_id": row["sku"]["id"],
        "sku_description": row["sku"]["description"],
        "project_id": (row["project"] or {}).get("id"),
        "region": row.get("location", {}).get("region"),
        "labels": {label["key"]: label["value"] for label in row["labels"]},
        "system_labels": {},
        "usage_amount_in_pricing_units": row.get("usage", {}).get("amount_in_pricing_units"),
        "consumption_model_description": row.get("consumption_model", {}).get("description"),
        "subscription_instance_id": (row.get("subscription") or {}).get("instance_id"),
    }


def net_costs(rows: Iterable[Row]) -> dict[tuple[date, str, str | None], Decimal]:
    """Costs after credits by day, currency and invoice month."""
    found: dict[tuple[date, str, str | None], Decimal] = defaultdict(Decimal)
    for row in rows:
        found[row["usage_date"], row["currency"], row["invoice_month"]] += _decimal(row["net_cost"])
    return dict(found)


def promotions(rows: Iterable[Row]) -> dict[str, Decimal]:
    """By currency what promotions paid of usage and purchases, or gave without any. Those on taxes and adjustments are a part of these."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        if row["cost_type"] == "regular":
            found[row["currency"]] += _credit(row, "PROMOTION")
    return dict(found)


def commitments(rows: Iterable[Row]) -> dict[Pool, Commitment]:
    """Each commitment that has a fee, over all hours. What pays and what is paid for lie in the same hour."""

    def hour(row: Row) -> tuple[Any, ...]:
        return row["billing_account_id"], row["currency"], row["invoice_month"] or "", row["usage_start_time"]

    found: dict[Pool, Commitment] = defaultdict(Commitment)
    regular = [row for row in rows if row["cost_type"] == "regular"]
    for (account, currency, *_), some in groupby(sorted(regular, key=hour), hour):
        quota = list(some)
        for rule, amounts in ((PRICE, _by_price(quota)), (DOLLARS, _by_dollars(quota)), (RESOURCES, _by_resources(quota))):
            for name, one in amounts.items():
                total = found[rule, account, currency, name]
                total.fees += one.fees
                total.contracted += one.contracted
                total.effective += one.effective
                total.waste += one.waste
    return {pool: one for pool, one in found.items() if one.fees}


def _by_price(quota: list[Row]) -> dict[str, Commitment]:
    found: dict[str, Commitment] = defaultdict(Commitment)
    for row in quota:
        one, cost = found[row.get("subscription_instance_id") or ""], _decimal(row["cost"])
        if row.get("consumption_model_description") not in {None, "Default"}:
            one.contracted += _decimal(row["cost_at_effective_price_default"])
            one.effective += cost
        elif _is_fee_of_money(row) and _originating_sku(row) is None:
            one.fees += cost
            one.waste += cost + _credit(row, "FEE_UTILIZATION_OFFSET")
    return found


def _by_dollars(quota: list[Row]) -> dict[str, Commitment]:
    found: dict[str, Commitment] = defaultdict(Commitment)
    for row in quota:
        originating = _originating_sku(row)
        if originating is not None:
            found[originating].fees += _decimal(row["cost"])
            found[originating].effective += _decimal(row["cost"])
        found[row["sku_id"]].contracted -= _credit(row, "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE")
    return found


def _by_resources(quota: list[Row]) -> dict[str, Commitment]:
    """Bought and covered are quantities in pricing units. Without a project, both ends are the whole account's."""
    bought: dict[tuple[str, str | None], list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
    covered: dict[tuple[str, str | None], Decimal] = defaultdict(Decimal)
    found: dict[str, Commitment] = defaultdict(Commitment)
    for row in quota:
        credit, quantity = -_credit(row, "COMMITTED_USAGE_DISCOUNT"), row["usage_amount_in_pricing_units"]
        if row["sku_description"].startswith("Commitment v1: "):
            own = bought[_machine(row), row["project_id"]]
            own[0] += _decimal(quantity)
            own[1] += _decimal(row["cost"])
        elif credit:
            covered[_machine(row), row["project_id"]] += _decimal(quantity) * credit / _decimal(row["cost"])
            found[_machine(row)].contracted += credit
    for machine in {machine for machine, _ in bought}:
        left = sum((quantity for (one, _), quantity in covered.items() if one == machine), ZERO)
        own_fees = [(project, quantity, paid) for (one, project), (quantity, paid) in bought.items() if one == machine]
        # A project's own fees come first: the account's cover what these have left over.
        for project, quantity, paid in sorted(own_fees, key=lambda fee: fee[0] is None):
            used = min(quantity, left if project is None else covered[machine, project])
            left -= used
            found[machine].fees += paid
            found[machine].effective += paid * used / quantity
            found[machine].waste += paid * (1 - used / quantity)
    return found


def _machine(row: Row) -> str:
    """`us-central1/n2 core`; machines without a series in their text are N1, whose fees have none."""
    text = row["sku_description"].lower().removeprefix("commitment v1: ")
    [series] = re.findall(r"^((?!n1)[a-z]\d[a-z]?) ", text) or [""]
    [kind] = re.findall(r"\b(core|cpu|ram)\b", text)
    return f"{row['region']}/{series} {kind}".replace("cpu", "core").replace("/ ", "/")


def _is_fee_of_money(row: Row) -> bool:
    text = row["sku_description"]
    return (text.startswith("Commitment") and not text.startswith("Commitment v1: ")) or row["sku_id"] == "5515-81A8-03A2"


def _originating_sku(row: Row) -> str | None:
    found: str | None = {**(row["system_labels"] or {}), **(row["labels"] or {})}.get("goog-originating-sku-id")
    return found


def _credit(row: Row, kind: str) -> Decimal:
    return sum((_decimal(credit["amount"]) for credit in row["credits"] or [] if credit["type"] == kind), ZERO)


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value))
