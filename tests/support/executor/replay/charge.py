"""One row of a billing export in a replayed month: what of it is compared, and the row as the export has it."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tests.support.executor.billing_export import row

PACIFIC = ZoneInfo("America/Los_Angeles")
SERVICES = {"6F81-5844-456A": "Compute Engine", "24E6-581D-38E5": "BigQuery", "95FF-2EF5-5EA1": "Cloud Storage"}
INVOICE = "2062-016F-44A2"
"""The service of taxes and roundings."""
NAMES = SERVICES | {INVOICE: "Invoice"}
KEY = "row"
"""The label that holds the key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Charge:
    """One row. Amounts have at most six digits after the point, so that sums are exact in decimals."""

    key: str
    """Unique in the month: an export that is made anew has the same keys again, under other export times."""
    usage_start: datetime
    """UTC, a full hour; the day of it is the row's day."""
    service: str
    """The service's id."""
    currency: str
    cost: Decimal
    credits: tuple[Decimal, ...] = ()
    cost_type: str = "regular"
    invoice_month: str
    """`YYYYMM`."""
    export_time: datetime
    arrived: datetime
    """When a reader of the export sees the row, some minutes after export_time; its partition is that moment's day."""

    @property
    def day(self) -> date:
        """The UTC day of the usage."""
        return self.usage_start.date()

    @property
    def net(self) -> Decimal:
        """The cost after credits."""
        return self.cost + sum(self.credits, Decimal(0))

    def record(self) -> dict[str, Any]:
        """The row as `billing_export.DETAILED` has it."""
        is_usage = self.service != INVOICE
        measured: dict[str, Any] = {} if is_usage else {"project": None, "resource": None, "location": None, "usage": None}
        return row(
            self.day,
            self.usage_start.hour,
            usage_end_time=self.usage_start + timedelta(hours=1),
            service={"id": self.service, "description": NAMES[self.service]},
            sku={"id": f"SKU-{self.service[:4]}", "description": f"{NAMES[self.service]} in Americas"},
            labels=[{"key": KEY, "value": self.key}],
            export_time=self.export_time,
            cost=float(self.cost),
            cost_at_list=float(self.cost),
            currency=self.currency,
            currency_conversion_rate=1.0 if self.currency == "USD" else 0.92,
            credits=[{"name": "c", "amount": float(amount), "full_name": "A credit", "id": "c-1"} for amount in self.credits],
            cost_type=self.cost_type,
            invoice={"month": self.invoice_month},
            **measured,
        )


def invoice_month(moment: datetime) -> str:
    """The month of the invoice for usage at `moment`: months begin at midnight in California."""
    return f"{moment.astimezone(PACIFIC):%Y%m}"
