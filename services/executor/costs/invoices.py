"""Invoices: the published sums of a month, compared with the amounts that the tenant has entered."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Self

from services.executor.costs.changes import read_name
from services.executor.costs.question import read_day
from services.executor.records import Period
from services.executor.templates.parameters import ParameterType, parse
from services.platform.errors import InvalidArgument

MOST_MONTHS: Final = 24
CENT: Final = Decimal("0.01")
EARLIEST: Final = date(2000, 1, 1)
AFTER_MONTH: Final = timedelta(days=1)
"""A provider's month may end, and its last usage begin, some hours into the next month in UTC."""
AMOUNT_LENGTH: Final = 40

_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_AMOUNT = re.compile(r"[+-]?\d{1,29}(\.\d{1,9})?", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class InvoiceQuestion:
    """The filter of a request for invoices. Equal questions have the same sums."""

    first_month: date
    """Its first day."""
    last_month: date
    billing_account_id: str | None = None
    used_from: date | None = None

    @property
    def months(self) -> Period:
        """The days of the months."""
        return Period(first=self.first_month, last=month_end(self.last_month))

    @property
    def read(self) -> Period:
        """The days of usage that are read."""
        last = self.months.last + AFTER_MONTH
        return Period(first=min(self.used_from or EARLIEST, last), last=last)

    @property
    def params(self) -> dict[str, object]:
        """The parameters of invoice_sums but for its limit."""
        return {
            "first_month": month_text(self.first_month),
            "last_month": month_text(self.last_month),
            "used_from": self.read.first,
            "used_to": self.read.last,
            "billing_account_id": self.billing_account_id,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class InvoiceSums:
    """The published sums of one invoice: charges, credits, taxes, adjustments and rounding add up to the total."""

    invoice_month: str
    provider: str
    billing_account_id: str
    currency: str
    charges: Decimal
    credits: Decimal
    taxes: Decimal
    adjustments: Decimal
    rounding: Decimal
    total: Decimal
    used_in_other_months: Decimal

    @property
    def key(self) -> tuple[str, str, str]:
        """Identifies the invoice; an entered amount of this invoice has the same key."""
        return (self.invoice_month, self.billing_account_id, self.currency)


@dataclass(frozen=True, kw_only=True, slots=True)
class EnteredAmount:
    """The amount of an invoice document, as the tenant has entered it."""

    invoice_month: str
    billing_account_id: str
    currency: str
    amount: Decimal | None
    """None: the tenant has removed the amount."""
    entered_by_user_id: str | None
    entered_at: datetime

    @property
    def key(self) -> tuple[str, str, str]:
        """Identifies the invoice, as InvoiceSums.key does."""
        return (self.invoice_month, self.billing_account_id, self.currency)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedInvoice:
    """An invoice with the amount of its document."""

    sums: InvoiceSums
    entered: EnteredAmount | None

    @property
    def difference(self) -> Decimal | None:
        """The published amount minus the entered one; None if none was entered."""
        return None if self.entered is None or self.entered.amount is None else self.sums.total - self.entered.amount

    @property
    def agrees(self) -> bool:
        """True if an amount was entered and differs by at most one cent."""
        return self.difference is not None and abs(self.difference) <= CENT


def read_invoice_question(*, start_month: str, end_month: str, billing_account_id: str, used_from: str) -> InvoiceQuestion:
    """The question of a request. Raises InvalidArgument, naming the field and what it takes."""
    first, last = read_month("start_month", start_month), read_month("end_month", end_month)
    if last < first:
        raise InvalidArgument("end_month", "use start_month or a later month.")
    if (last.year - first.year) * 12 + last.month - first.month >= MOST_MONTHS:
        raise InvalidArgument("end_month", f"ask for at most {MOST_MONTHS} months at once, start_month and end_month included.")
    question = InvoiceQuestion(
        first_month=first,
        last_month=last,
        billing_account_id=read_name("billing_account_id", billing_account_id),
        used_from=read_day("used_from", used_from) if used_from else None,
    )
    if question.used_from and question.used_from > question.months.last:
        raise InvalidArgument("used_from", "use a day before the end of end_month.")
    return question


def read_month(field: str, text: str) -> date:
    """The first day of a month, YYYY-MM. Raises InvalidArgument."""
    try:
        parse(ParameterType.MONTH, text)
    except ValueError as error:
        raise InvalidArgument(field, str(error)) from error
    return date(int(text[:4]), int(text[5:]), 1)


def read_currency(text: str) -> str:
    """A currency. Raises InvalidArgument."""
    if not _CURRENCY.fullmatch(text):
        raise InvalidArgument("currency", "use three capital letters, e.g. USD.")
    return text


def read_amount(text: str) -> Decimal:
    """An amount, exactly as it was written. Raises InvalidArgument."""
    try:
        amount = Decimal(text) if len(text) <= AMOUNT_LENGTH and _AMOUNT.fullmatch(text) else None
    except InvalidOperation:
        amount = None
    if amount is None:
        raise InvalidArgument("amount", "use a decimal number with at most nine places, e.g. 1234.56.")
    return amount


def month_text(first: date) -> str:
    """YYYY-MM."""
    return f"{first:%Y-%m}"


def month_end(first: date) -> date:
    """The last day of the month of `first`."""
    return (first.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def to_sums(rows: Iterable[Mapping[str, Any]]) -> tuple[InvoiceSums, ...]:
    """The newest month first, then by provider, billing account and currency."""
    found = [InvoiceSums(**{name: row[name] for name in InvoiceSums.__dataclass_fields__}) for row in rows]
    found.sort(key=lambda one: (one.provider, one.billing_account_id, one.currency))
    return tuple(sorted(found, key=lambda one: one.invoice_month, reverse=True))


def compare(
    question: InvoiceQuestion, sums: Sequence[InvoiceSums], entered: Iterable[EnteredAmount]
) -> tuple[tuple[ComparedInvoice, ...], tuple[EnteredAmount, ...]]:
    """Each invoice with the amount that was entered for it, and the entered amounts of the question for which there is no invoice. An id of
    a billing account is of one provider.
    """
    first, last = month_text(question.first_month), month_text(question.last_month)
    asked = {
        one.key: one
        for one in entered
        if one.amount is not None and first <= one.invoice_month <= last and question.billing_account_id in {None, one.billing_account_id}
    }
    published = {one.key for one in sums}
    invoices = tuple(ComparedInvoice(sums=one, entered=asked.get(one.key)) for one in sums)
    return invoices, tuple(asked[key] for key in sorted(asked.keys() - published))
