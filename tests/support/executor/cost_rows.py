"""Rows of `focus_cost_daily` as any provider may have them, questions about them, and what the answers have to be: reckoned here apart, row
by row, with Python's decimals.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

FIRST, DAYS = date(2025, 9, 1), 91
COLUMNS = {
    "provider": "ProviderName",
    "service": "ServiceName",
    "category": "ServiceCategory",
    "account": "SubAccountId",
    "billing_account": "BillingAccountId",
    "region": "RegionId",
    "charge_category": "ChargeCategory",
    "pricing_category": "PricingCategory",
}
CLOUDS = {"Google Cloud": None, "Amazon Web Services": "AWS"}
"""ProviderName to x_Provider."""
METRICS = {"billed": "BilledCost", "effective": "EffectiveCost", "contracted": "ContractedCost", "list": "ListCost"}
CHOICES: dict[str, list[str | None]] = {
    "ProviderName": ["Google Cloud", "Amazon Web Services"],
    "ServiceName": ["Compute Engine", "Cloud Storage", "BigQuery", "Amazon EC2", 'a=b, "c"', "Ünïcode ☂"],
    "ServiceCategory": ["Compute", "Storage", "Analytics"],
    "SubAccountId": ["acme-prod", "acme-dev", None],
    "BillingAccountId": ["000000-AAAAAA", "000000-BBBBBB"],
    "RegionId": ["europe-west1", "us-central1", None, ""],
    "ChargeCategory": ["Usage", "Usage", "Purchase", "Credit"],
    "PricingCategory": ["Standard", "Committed", None],
}
TAGS: dict[str, list[str | None]] = {
    "team": ["core", "web", ""],
    "env": ["prod", None],
    "project/cost center": ["42"],
    'a,"b"=c': ["x", "y"],
}


def tag_name(key: str, *, quoted: bool) -> str:
    """The tag as a request names it."""
    return f"tag:{json.dumps(key)}" if quoted or set(key) & set(',="') else f"tag:{key}"


def cost_rows(random: Random, count: int) -> list[dict[str, Any]]:
    """Rows as a load job takes them; costs of both signs, with nine decimals, and sums that come to equal amounts."""
    rows = []
    for _ in range(count):
        day = FIRST + timedelta(days=random.randrange(DAYS))
        row: dict[str, Any] = {column: random.choice(choices) for column, choices in CHOICES.items()}
        row["x_Provider"] = CLOUDS[row["ProviderName"]]
        for column in METRICS.values():
            row[column] = f"{Decimal(random.randrange(-(10**10), 10**12)) / 10**9 if random.random() < 0.7 else random.choice((1, 2))}"
        tags = {key: random.choice(values) for key, values in TAGS.items() if random.random() < 0.6}
        rows.append(
            row | _rest(day) | {"BillingCurrency": random.choice(("USD", "EUR", "JPY")), "Tags": json.dumps(tags) if tags else None}
        )
    return rows


def _rest(day: date) -> dict[str, Any]:
    """The other columns that may not be NULL."""
    month = day.replace(day=1)
    following = (month + timedelta(days=32)).replace(day=1)
    return {
        "x_UsageDate": day.isoformat(),
        "BillingAccountType": "Billing Account",
        "BillingPeriodStart": f"{month}T00:00:00Z",
        "BillingPeriodEnd": f"{following}T00:00:00Z",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": f"{day}T00:00:00Z",
        "ChargePeriodEnd": f"{day}T01:00:00Z",
        "InvoiceIssuerName": "Google Cloud",
        "PublisherName": "Google Cloud",
        "ServiceSubcategory": "Other",
    }


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question as a request has it, with names and values apart."""

    first: date
    last: date
    group_by: tuple[str, ...]
    """Dimensions; of a tag `tag:` and its bare key."""
    filters: tuple[tuple[str, str], ...]
    granularity: str
    metric: str
    top: int


def questions(random: Random, count: int, shapes: int) -> list[Asked]:
    """Questions of so many shapes, which the emulator translates once each."""
    names = [*COLUMNS, *(f"tag:{key}" for key in TAGS)]
    made = []
    for number in range(count):
        shape = Random(number % shapes)
        group_by = tuple(shape.sample(names, shape.choice((0, 1, 1, 2, 3, 4))))
        granularity, metric = shape.choice(("", "day", "month")), shape.choice(list(METRICS))
        filtered = shape.sample(names, shape.choice((0, 0, 1, 2)))
        none_too = {name: shape.random() < 0.3 for name in filtered}
        has_top = bool(group_by) and shape.random() < 0.5
        filters = []
        for name in filtered:
            values = {value for value in _values_of(name) if value}
            some = random.sample(sorted(values), random.randint(1, min(2, len(values)))) + ([""] if none_too[name] else [])
            filters += [(name, value) for value in some]
        first = FIRST + timedelta(days=random.randrange(-10, DAYS))
        made.append(
            Asked(
                first=first,
                last=first + timedelta(days=random.choice((0, 6, 30, 100))),
                group_by=group_by,
                filters=tuple(filters),
                granularity=granularity,
                metric=metric,
                top=random.randint(1, 5) if has_top else 0,
            )
        )
    return made


def _values_of(name: str) -> Sequence[str | None]:
    return TAGS[name.removeprefix("tag:")] if name.startswith("tag:") else CHOICES[COLUMNS[name]]


type Expected = list[tuple[str, str, bool, tuple[str, ...], Decimal, int]]


def expected(asked: Asked, rows: Sequence[dict[str, Any]]) -> Expected:
    """Period, currency, is_rest, values, amount, groups: in the order of the answer."""
    sums = defaultdict[tuple[str, str, tuple[str, ...]], Decimal](Decimal)
    for row in rows:
        if not asked.first.isoformat() <= row["x_UsageDate"] <= asked.last.isoformat():
            continue
        wanted = defaultdict[str, set[str]](set)
        for name, value in asked.filters:
            wanted[name].add(value)
        if any(_value_of(row, name) not in values for name, values in wanted.items()):
            continue
        period = {"": "", "day": row["x_UsageDate"], "month": row["x_UsageDate"][:7]}[asked.granularity]
        group = tuple(_value_of(row, name) for name in asked.group_by)
        sums[period, row["BillingCurrency"], group] += Decimal(row[METRICS[asked.metric]])
    if asked.top:
        return _in_order(_cut_off(sums, asked.top))
    return _in_order({(period, currency, False, group): (amount, 1) for (period, currency, group), amount in sums.items()})


def _value_of(row: dict[str, Any], name: str) -> str:
    if name.startswith("tag:"):
        tags = json.loads(row["Tags"]) if row["Tags"] else {}
        return tags.get(name.removeprefix("tag:")) or ""
    return row[COLUMNS[name]] or ""


type Grouped = dict[tuple[str, str, bool, tuple[str, ...]], tuple[Decimal, int]]


def _cut_off(sums: dict[tuple[str, str, tuple[str, ...]], Decimal], top: int) -> Grouped:
    whole = defaultdict[tuple[str, tuple[str, ...]], Decimal](Decimal)
    for (_, currency, group), amount in sums.items():
        whole[currency, group] += amount
    best: set[tuple[str, tuple[str, ...]]] = set()
    for currency in {currency for currency, _ in whole}:
        ranked = sorted((-amount, group) for (one, group), amount in whole.items() if one == currency)
        best |= {(currency, group) for _, group in ranked[:top]}
    found = defaultdict[tuple[str, str, bool, tuple[str, ...]], tuple[Decimal, int]](lambda: (Decimal(), 0))
    for (period, currency, group), amount in sums.items():
        key = (period, currency, False, group) if (currency, group) in best else (period, currency, True, ())
        before, groups = found[key]
        found[key] = (before + amount, groups + 1)
    return dict(found)


def _in_order(found: Grouped) -> Expected:
    rows = [(*key, amount, groups) for key, (amount, groups) in found.items()]
    return sorted(rows, key=lambda row: (row[0], row[1], row[2], -row[4], row[3]))
