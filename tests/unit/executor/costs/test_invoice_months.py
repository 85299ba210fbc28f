"""The step `dq.invoices`: which months a run's days may be invoiced in, and how differences are named."""

from datetime import date

import pytest

from services.executor.records import Period
from services.executor.steps.invoice_check import months_of


@pytest.mark.parametrize(
    ("first", "last", "months"),
    [
        ("2025-11-17", "2025-11-17", ("2025-11-01", "2025-12-01")),
        ("2025-10-31", "2025-11-30", ("2025-10-01", "2025-12-01")),
        ("2025-12-31", "2025-12-31", ("2025-12-01", "2026-01-01")),
        ("2024-02-29", "2024-02-29", ("2024-02-01", "2024-03-01")),
    ],
)
def test_days_are_invoiced_in_their_month_or_late_in_the_next(first: str, last: str, months: tuple[str, str]) -> None:
    period = Period(first=date.fromisoformat(first), last=date.fromisoformat(last))
    assert tuple(map(str, months_of(period))) == months
