"""What is written where an export leaves a column empty that FOCUS allows no NULL in. Each filled column is named in x_SourceChanges.

AWS and Azure say themselves that their exports leave some of these empty. What is left empty and cannot be derived is an error: a charge
without its cost, currency, account or time cannot be published.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from services.executor.sources.exported_months import months_before
from services.executor.sources.files.rows.values import TIMESTAMP, month_start

REQUIRED: Final = (
    "BilledCost",
    "BillingAccountId",
    "BillingCurrency",
    "ChargeCategory",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "EffectiveCost",
)
"""Never filled."""
PROVIDERS: Final = {"AWS": "AWS", "AZURE": "Microsoft"}
"""What the clouds call themselves in ProviderName."""
BILLING_ACCOUNTS: Final = {"AWS": "Payer Account", "AZURE": "Billing Account"}
"""What they call the account that gets the invoice; before 1.2 they do not say it."""
SUB_ACCOUNTS: Final = {"AWS": "Linked Account", "AZURE": "Subscription"}
"""What they call the accounts below it; likewise."""


@dataclass(slots=True)
class Filled:
    """The columns of some rows, and which of them were filled where."""

    columns: dict[str, pa.Array]
    provider: str
    month: date
    changes: dict[str, pa.Array] = field(default_factory=dict)
    """By column, true in the rows in which it was filled."""

    def fill(self, name: str, value: pa.Array | pa.Scalar) -> None:
        """Fills NULLs of a column."""
        values = self.columns[name]
        if values.null_count == 0:
            return
        filled = pc.coalesce(values, value)
        if filled.null_count < values.null_count:
            self.changes[name] = pc.and_(values.is_null(), filled.is_valid())
            self.columns[name] = filled


def _same_currency(rows: Filled) -> pa.Array:
    """EffectiveCost, where prices are in the currency of the invoice; NULL elsewhere."""
    is_same = pc.equal(rows.columns["PricingCurrency"], rows.columns["BillingCurrency"])
    return pc.if_else(is_same, rows.columns["EffectiveCost"], None)


def _frequency(rows: Filled) -> pa.Array:
    return pc.if_else(pc.equal(rows.columns["ChargeCategory"], "Usage"), "Usage-Based", "One-Time")


def _subcategory(rows: Filled) -> pa.Array:
    """Each category has a subcategory for the rest of it (FOCUS 1.2, ServiceSubcategory, allowed values)."""
    return pc.binary_join_element_wise("Other (", rows.columns["ServiceCategory"], ")", "")


def _column(name: str) -> Callable[[Filled], pa.Array]:
    return lambda rows: rows.columns[name]


def _text(value: str) -> Callable[[Filled], pa.Scalar]:
    return lambda _: pa.scalar(value)


def _instant(value: datetime) -> pa.Scalar:
    return pa.scalar(value, TIMESTAMP)


FILLS: Final[Mapping[str, Callable[[Filled], Any]]] = {
    "ProviderName": lambda rows: pa.scalar(PROVIDERS[rows.provider]),
    "PublisherName": _column("ProviderName"),
    "InvoiceIssuerName": _column("ProviderName"),
    "BillingAccountType": lambda rows: pa.scalar(BILLING_ACCOUNTS[rows.provider]),
    "SubAccountType": lambda rows: pc.if_else(rows.columns["SubAccountId"].is_valid(), SUB_ACCOUNTS[rows.provider], None),
    "BillingPeriodStart": lambda rows: _instant(month_start(rows.month)),
    "BillingPeriodEnd": lambda rows: _instant(month_start(months_before(rows.month, -1))),
    "ChargeFrequency": _frequency,
    "ServiceName": _text("Unspecified"),
    "ServiceCategory": _text("Other"),
    "ServiceSubcategory": _subcategory,
    # Without a list or contract price nothing was saved. Azure's 0 where it does not know the price stays: it is a value.
    "ListCost": _column("BilledCost"),
    "ContractedCost": _column("BilledCost"),
    "PricingCurrency": _column("BillingCurrency"),
    "PricingCurrencyEffectiveCost": _same_currency,
}
"""By column, in the order in which they are filled: a later one may take an earlier one's value."""


def fill_all(rows: Filled) -> pa.Array:
    """Fills all columns; per row the names of those that were filled, in alphabetical order with commas between them, NULL if none."""
    for name, value in FILLS.items():
        if rows.columns[name].null_count:
            rows.fill(name, value(rows))
    names = [pc.if_else(rows.changes[name], f",{name}", "") for name in sorted(rows.changes)]
    count = len(next(iter(rows.columns.values())))
    if not names:
        return pa.nulls(count, pa.string())
    joined = pc.binary_join_element_wise(*names, "")
    return pc.if_else(pc.equal(joined, ""), None, pc.utf8_slice_codeunits(joined, 1))
