"""OPEN, SETTLING and FINAL as the rule says, worked out apart. Pure."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

OPEN_FOR = timedelta(days=5)
"""After the end of a day."""
QUIET_FOR = timedelta(days=14)
"""With the invoice out, and without a change of the month."""
INVOICE_DAY = 5
"""Of the next month: the invoice is out."""


def state_of(day: date, changed_at: Mapping[date, datetime], now: datetime) -> str:
    """`changed_at`: when rows or sums of each day last changed."""
    over = datetime.combine(day + timedelta(days=1), time(), UTC)
    if now < over + OPEN_FOR:
        return "OPEN"
    next_month = (day.replace(day=1) + timedelta(days=31)).replace(day=1)
    invoiced = datetime.combine(next_month.replace(day=INVOICE_DAY), time(), UTC)
    of_the_month = [moment for one, moment in changed_at.items() if (one.year, one.month) == (day.year, day.month)]
    return "FINAL" if max(invoiced, *of_the_month, invoiced) + QUIET_FOR <= now else "SETTLING"
