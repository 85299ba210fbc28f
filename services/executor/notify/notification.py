"""What is told about a run, and to whom."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.executor.records import RunStatus


class NotificationKind(StrEnum):
    """How it travels. The first two are credentials providers, too: a tenant's target is a secret."""

    SLACK = "SLACK"
    WEBHOOK = "WEBHOOK"
    EMAIL = "EMAIL"


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """How a run stands."""

    tenant_id: str
    pipeline: str
    """`gcp-cost-billing`."""
    pipeline_logging_id: str
    attempt: int
    status: RunStatus
    dates: Mapping[str, str]
    """The run's parameters that are dates, YYYY-MM-DD."""
    rows_processed: int | None
    error_message: str | None
    """In words for the tenant; cut."""
    started_at: datetime
    reported_at: datetime

    @property
    def summary(self) -> str:
        """One sentence for people."""
        days = f" for {', '.join(self.dates.values())}" if self.dates else ""
        rows = "" if self.rows_processed is None else f", {self.rows_processed} rows"
        seconds = (self.reported_at - self.started_at).total_seconds()
        why = f": {self.error_message}" if self.error_message else ""
        return f"{self.pipeline}{days} {self.status}{rows} after {seconds:.0f} s{why}"

    def payload(self) -> dict[str, Any]:
        """As JSON: an event as Standard Webhooks shapes them."""
        return {
            "type": f"run.{self.status.lower()}",
            "timestamp": self.reported_at.isoformat(),
            "data": {
                "tenant_id": self.tenant_id,
                "pipeline": self.pipeline,
                "pipeline_logging_id": self.pipeline_logging_id,
                "attempt": self.attempt,
                "status": self.status,
                "parameters": dict(self.dates),
                "rows_processed": self.rows_processed,
                "error_message": self.error_message,
                "started_at": self.started_at.isoformat(),
                "reported_at": self.reported_at.isoformat(),
            },
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Notification:
    """One message for one target."""

    id: str
    """The same for all tries, so that a receiver can tell a second try from a second message. Holds no full stop."""
    kind: NotificationKind
    report: Report
    text: str = field(repr=False)
    to: str = field(default="", repr=False)
    """EMAIL: one address."""
    subject: str = field(default="", repr=False)
    """EMAIL: one line."""
