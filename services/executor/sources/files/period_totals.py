"""What the rows of one billing period come to, counted and summed from the source's own values as they are read."""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from services.executor.errors import StepError
from services.executor.sources.files.manifest import Dataset

FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2100
"""No cloud has billed before; what lies outside is no time."""
MOST_DAYS: Final = 400
"""Days of one billing period. Credits and refunds may be of months before; a published day is one that each later run replaces."""
_UNIT: Final = Decimal("1e-9")
_EXACT: Final = Context(prec=80)


@dataclass(frozen=True, kw_only=True, slots=True)
class TotalColumns:
    """The staging columns that are summed; of several the first with a value in the row counts."""

    day: tuple[str, ...]
    currency: tuple[str, ...]
    billed: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    """Empty: the dataset has no such cost, or it is derived from many columns."""


_AZURE_DAYS: Final = ("date", "usage_date", "usage_date_time")
_AZURE_CURRENCIES: Final = ("billing_currency", "billing_currency_code", "currency", "currency_code")
_AZURE_COSTS: Final = ("cost_in_billing_currency", "cost", "pre_tax_cost")
_CUR: Final = TotalColumns(day=("line_item_usage_start_date",), currency=("line_item_currency_code",), billed=("line_item_unblended_cost",))
TOTALS: Final = {
    Dataset.FOCUS: TotalColumns(day=("x_UsageDate",), currency=("BillingCurrency",), billed=("BilledCost",), effective=("EffectiveCost",)),
    Dataset.CUR: _CUR,
    Dataset.CUR2: _CUR,
    Dataset.ACTUAL: TotalColumns(day=_AZURE_DAYS, currency=_AZURE_CURRENCIES, billed=_AZURE_COSTS),
    Dataset.AMORTIZED: TotalColumns(day=_AZURE_DAYS, currency=_AZURE_CURRENCIES, effective=_AZURE_COSTS),
}


@dataclass(slots=True)
class CurrencyTotal:
    """The rows of one currency."""

    row_count: int = 0
    billed: list[Decimal] = field(default_factory=list)
    effective: list[Decimal] = field(default_factory=list)


@dataclass(slots=True)
class PeriodTotals:
    """The rows of one billing period so far."""

    row_count: int = 0
    byte_count: int = 0
    decoded_bytes: int = 0
    """Of the rows, as they are staged, in memory."""
    days: set[date] = field(default_factory=set)
    currencies: dict[str | None, CurrencyTotal] = field(default_factory=lambda: defaultdict(CurrencyTotal))

    def add(self, dataset: Dataset, read: pa.RecordBatch, staged: pa.Table, file: str) -> None:
        """Adds rows of a file as they were read, and as they are staged. Costs are summed as they were read, if they are numbers there.
        Raises StepError for days that no billing period has.
        """
        columns = TOTALS[dataset]
        self.row_count += staged.num_rows
        self.decoded_bytes += staged.nbytes
        days = _first(staged, columns.day)
        if days is not None:
            self._add_days(_as_day(days), file)
        currencies = _first(staged, columns.currency)
        billed, effective = _costs(read, staged, columns.billed), _costs(read, staged, columns.effective)
        for currency, mask in _masks(currencies):
            total = self.currencies[currency]
            total.row_count += staged.num_rows if mask is None else pc.sum(mask).as_py()
            total.billed += _sum(billed, mask)
            total.effective += _sum(effective, mask)

    def _add_days(self, days: pa.Array, file: str) -> None:
        years = pc.year(days)
        odd = days.filter(pc.or_(pc.less(years, FIRST_YEAR), pc.greater(years, LAST_YEAR)))
        if len(odd):
            raise StepError(
                f"{len(odd):,} rows of {file} are dated before {FIRST_YEAR} or after {LAST_YEAR}, such as"
                f" {odd[0].cast(pa.string()).as_py()}. No cloud charges for such a day. Export the month anew."
            )
        self.days.update(one for one in pc.unique(days).to_pylist() if one)
        if len(self.days) > MOST_DAYS:
            raise StepError(
                f"The rows up to {file} are of {len(self.days):,} days, from {min(self.days)} to {max(self.days)}; a billing period has at"
                f" most {MOST_DAYS}. Check that the export's dates are right, and export the month anew."
            )


def total_of(amounts: list[Decimal]) -> Decimal | None:
    """The sum with nine decimals; None of nothing."""
    return sum(amounts, Decimal()).quantize(_UNIT, rounding=ROUND_HALF_EVEN, context=_EXACT) if amounts else None


def _first(staged: pa.Table, names: tuple[str, ...]) -> pa.Array | None:
    found = [staged[name].combine_chunks() for name in names if name in staged.column_names]
    return pc.coalesce(*found) if len(found) > 1 else found[0] if found else None


def _as_day(values: pa.Array) -> pa.Array:
    return values if pa.types.is_date(values.type) else values.cast(pa.timestamp("us")).cast(pa.date32(), safe=False)


def _costs(read: pa.RecordBatch, staged: pa.Table, names: tuple[str, ...]) -> pa.Array | None:
    if len(names) == 1:  # else each row has its own column
        own = [place for place, name in enumerate(read.schema.names) if name.lower() == names[0].lower()]
        if own and (pa.types.is_floating(read.schema.types[own[0]]) or pa.types.is_decimal(read.schema.types[own[0]])):
            return read.column(own[0])
    return _first(staged, names)


def _masks(currencies: pa.Array | None) -> Iterator[tuple[str | None, pa.Array | None]]:
    """Each currency with its rows; None: all rows."""
    if currencies is None:
        yield None, None
        return
    found = pc.unique(currencies).to_pylist()
    for currency in found:
        if len(found) == 1:
            yield currency, None
        else:
            yield currency, currencies.is_null() if currency is None else pc.equal(currencies, currency).fill_null(False)  # noqa: FBT003


def _sum(costs: pa.Array | None, mask: pa.Array | None) -> list[Decimal]:
    if costs is None:
        return []
    taken = costs if mask is None else costs.filter(mask)
    if pa.types.is_decimal(taken.type):
        found = pc.sum(taken.cast(pa.decimal256(76, taken.type.scale))).as_py()
        return [Decimal() if found is None else found]
    return [Decimal(repr(math.fsum(filter(None, taken.to_pylist()))))]
