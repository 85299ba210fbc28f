"""A whole day of the sample tenant's billing export: its usage, its commitments, and what closes an invoice."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from localcloud.sample.commitments import AT_MOST, commitments_of_day
from localcloud.sample.rows import HOUR, Row, base_row, costs, usage_of_day

TAX = 0.08
"""Of the day's cost."""
CLOSING = 2
"""Rows of a day that are neither usage nor fees: a rounding, a tax."""


def rows_of_day(day: date, count: int) -> Iterator[Row]:
    """`count` rows, whose usage started on the UTC day. The last is the day's tax. Commitments have at most half of them: in a small day
    fewer hours, and none in one of less than 32 rows.
    """
    committed = list(commitments_of_day(day, min(24, count // 2 // AT_MOST)))
    usage = [*committed, *usage_of_day(day, max(count - len(committed) - CLOSING, 0))]
    rounding = _invoice_row(day, "rounding_error", {"id": "AAB9-81F1-9E24", "description": "Rounding error"}, -0.000003)
    tax = _invoice_row(day, "tax", {"id": "AAB9-81F1-9E23", "description": "Tax"}, round(sum(row["cost"] for row in usage) * TAX, 6))
    yield from usage
    yield from [rounding, tax][CLOSING - min(count, CLOSING) :]


def _invoice_row(day: date, kind: str, sku: Row, cost: float) -> Row:
    start = datetime.combine(day, time(), UTC)
    return {
        **base_row(start, start + 24 * HOUR),
        **costs(cost, cost),
        "service": {"id": "2062-016F-44A2", "description": "Invoice"},
        "sku": sku,
        "project": None,
        "export_time": start + timedelta(hours=36),
        "cost_type": kind,
    }
