"""Rows in FOCUS 1.2's columns that others have made, with the types that the specification gives them; and what they add up to."""

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from services.platform.settings import REPOSITORY

DATA = REPOSITORY / "tests" / "data"
TOOLKIT, SAMPLE = DATA / "focus_toolkit", DATA / "focus_sample" / "focus_1_2_rows.csv"
COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "PricingCurrencyEffectiveCost")
NUMBERS = (
    *("CommitmentDiscountQuantity", "ConsumedQuantity", "ContractedUnitPrice", "ListUnitPrice", "PricingQuantity"),
    *("PricingCurrencyContractedUnitPrice", "PricingCurrencyListUnitPrice"),
)
TIMES = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
MAPS = ("Tags", "SkuPriceDetails")
SINCE_1_0 = (
    *("CapacityReservationId", "CapacityReservationStatus", "CommitmentDiscountQuantity", "CommitmentDiscountUnit", "ServiceSubcategory"),
    *(
        "SkuMeter",
        "SkuPriceDetails",
        "BillingAccountType",
        "SubAccountType",
        "InvoiceId",
        "PricingCurrency",
        "PricingCurrencyEffectiveCost",
    ),
    *("PricingCurrencyContractedUnitPrice", "PricingCurrencyListUnitPrice"),
)
"""Columns that FOCUS 1.1 and 1.2 have added."""
PROVIDERS = {"aws": "AWS", "azure": "Microsoft"}
"""ProviderName in the Foundation's sample."""

type Row = dict[str, Any]
type Group = tuple[str, str, str]
"""ServiceName, SubAccountId, BillingCurrency."""


def toolkit_rows(cloud: str) -> list[Row]:
    """240 rows of May 2026, by focus-data-toolkit. `cloud`: aws or azure."""
    with gzip.open(TOOLKIT / f"focus_1_2_cost_and_usage_{cloud}.csv.gz", "rt", encoding="utf-8") as file:
        return [typed(row) for row in csv.DictReader(file)]


def sample_rows(cloud: str) -> list[Row]:
    """The rows of September 2024 of the FinOps Foundation's sample."""
    with SAMPLE.open(encoding="utf-8") as file:
        return [row for row in map(typed, csv.DictReader(file)) if row["ProviderName"] == PROVIDERS[cloud]]


def typed(row: Mapping[str, str]) -> Row:
    """A row of text: numbers in decimals, times in UTC, maps parsed; None for an empty text and for the word NULL."""
    return {name: _value(name, text) for name, text in row.items()}


def _value(name: str, text: str) -> Any:
    if text in {"", "NULL"}:
        return None
    if name in COSTS or name in NUMBERS:
        return Decimal(text)
    if name in TIMES:
        return datetime.fromisoformat(text)
    return json.loads(text) if name in MAPS else text


def moved(rows: Iterable[Row], month: date) -> list[Row]:
    """The rows in another month: each time on the day and hour that it has, as far into the month as it was into its own."""

    def shift(at: datetime, start: datetime) -> datetime:
        return at - start + datetime(month.year, month.month, 1, tzinfo=start.tzinfo)

    after = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    found = list[Row]()
    for row in rows:
        start, end = row["BillingPeriodStart"], row["BillingPeriodEnd"]
        last = datetime(after.year, after.month, 1, tzinfo=start.tzinfo)
        times = {name: min(shift(row[name], start), last) for name in ("ChargePeriodStart", "ChargePeriodEnd")}
        times |= {"BillingPeriodStart": shift(start, start), "BillingPeriodEnd": last}
        times |= {"ChargePeriodEnd": last} if row["ChargePeriodEnd"] == end else {}
        found.append(row | times)
    return found


def sums(rows: Iterable[Mapping[str, Any]]) -> dict[Group, tuple[int, Decimal, Decimal]]:
    """Rows, BilledCost and EffectiveCost of each service, account and currency, added up exactly."""
    found = defaultdict[Group, list[Any]](lambda: [0, Decimal(), Decimal()])
    for row in rows:
        group = found[row["ServiceName"], row["SubAccountId"], row["BillingCurrency"]]
        group[0] += 1
        group[1] += Decimal(row["BilledCost"])
        group[2] += Decimal(row["EffectiveCost"])
    return {group: (count, billed, effective) for group, (count, billed, effective) in found.items()}


def days_of(rows: Iterable[Mapping[str, Any]]) -> set[date]:
    """The UTC days on which charges begin."""
    return {row["ChargePeriodStart"].date() for row in rows}


def parts(rows: Sequence[Row], count: int) -> list[Sequence[Row]]:
    """The rows in `count` files, none of them empty."""
    assert len(rows) >= count
    return [rows[index::count] for index in range(count)]


def read_text(path: Path) -> bytes:
    """A file of the third parties' data, unpacked if it is compressed."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
