"""What is known of costs to proto messages. Amounts are decimal texts."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from convergence.executor.v1 import cost_pb2

from services.executor.costs.answer import CostRow, decimal_text
from services.executor.costs.coverage import CountedAs, Coverage, SourceCoverage
from services.executor.costs.invoices import ComparedInvoice, EnteredAmount
from services.executor.costs.question import Question
from services.platform.timestamps import to_timestamp


def to_cost(question: Question, row: CostRow) -> cost_pb2.Cost:
    """One row of an answer."""
    names = (dimension.name for dimension in question.group_by)
    return cost_pb2.Cost(
        period=row.period,
        currency=row.currency,
        group={} if row.is_rest else dict(zip(names, row.values, strict=True)),
        cost=decimal_text(row.amount),
        is_rest=row.is_rest,
        groups=row.groups,
    )


def to_totals(totals: Mapping[str, Decimal]) -> list[cost_pb2.CurrencyAmount]:
    """Sums by currency."""
    return [cost_pb2.CurrencyAmount(currency=currency, amount=decimal_text(amount)) for currency, amount in totals.items()]


def to_summary(covered: Coverage) -> cost_pb2.CostDaysSummary:
    """How settled the days of a range are."""
    return cost_pb2.CostDaysSummary(
        open=covered.states[CountedAs.OPEN],
        settling=covered.states[CountedAs.SETTLING],
        final=covered.states[CountedAs.FINAL],
        unknown=covered.states[CountedAs.UNKNOWN],
        holes=[day.isoformat() for day in covered.holes],
        behind=covered.behind,
        as_of=to_timestamp(covered.as_of),
    )


def to_source(source: SourceCoverage) -> cost_pb2.CostSource:
    """One source's days."""
    return cost_pb2.CostSource(
        source=source.source,
        first_day=source.first_day.isoformat(),
        open=source.states[CountedAs.OPEN],
        settling=source.states[CountedAs.SETTLING],
        final=source.states[CountedAs.FINAL],
        holes=[day.isoformat() for day in source.holes],
    )


def to_day(row: Mapping[str, Any]) -> cost_pb2.CostDay:
    """A row of the ledger of days; any column but source and day may be NULL."""
    return cost_pb2.CostDay(
        source=row["source"],
        date=row["usage_date"].isoformat(),
        state=row["state"],
        state_rule=row["state_rule"],
        row_count=row["row_count"],
        sums=to_totals({one["currency"] or "": one["net_cost"] or Decimal() for one in row["sums"] or ()}),
        version=row["version"],
        focus_version=row["focus_version"],
        first_loaded_at=to_timestamp(row["first_loaded_at"]),
        last_loaded_at=to_timestamp(row["last_loaded_at"]),
        changed_at=to_timestamp(row["changed_at"]),
        source_table=row["source_table"],
        pipeline_logging_id=row["pipeline_logging_id"],
    )


def to_change(row: Mapping[str, Any]) -> cost_pb2.CostChange:
    """A row of the changes; any column but source and day may be NULL."""
    return cost_pb2.CostChange(
        source=row["source"],
        date=row["usage_date"].isoformat(),
        service=row["service"],
        currency=row["currency"],
        cost_before=decimal_text(row["cost_before"] or Decimal()),
        cost_after=decimal_text(row["cost_after"] or Decimal()),
        delta=decimal_text(row["delta"] or Decimal()),
        is_first_load=row["is_first_load"],
        after_final=row["after_final"],
        pipeline_logging_id=row["pipeline_logging_id"],
        changed_at=to_timestamp(row["changed_at"]),
    )


def to_invoice(invoice: ComparedInvoice) -> cost_pb2.Invoice:
    """An invoice beside the amount that was entered."""
    sums, difference = invoice.sums, invoice.difference
    return cost_pb2.Invoice(
        invoice_month=sums.invoice_month,
        provider=sums.provider,
        billing_account_id=sums.billing_account_id,
        currency=sums.currency,
        charges=decimal_text(sums.charges),
        credits=decimal_text(sums.credits),
        taxes=decimal_text(sums.taxes),
        adjustments=decimal_text(sums.adjustments),
        rounding=decimal_text(sums.rounding),
        total=decimal_text(sums.total),
        used_in_other_months=decimal_text(sums.used_in_other_months),
        entered=to_amount(invoice.entered) if invoice.entered else None,
        difference="" if difference is None else decimal_text(difference),
        agrees=invoice.agrees,
    )


def to_amount(entered: EnteredAmount) -> cost_pb2.InvoiceAmount:
    """An entered amount."""
    return cost_pb2.InvoiceAmount(
        invoice_month=entered.invoice_month,
        billing_account_id=entered.billing_account_id,
        currency=entered.currency,
        amount="" if entered.amount is None else decimal_text(entered.amount),
        entered_by_user_id=entered.entered_by_user_id,
        entered_at=to_timestamp(entered.entered_at),
    )
