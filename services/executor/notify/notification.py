"""A notification: the report on a run, and its target."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.executor.records import RunStatus


class NotificationKind(StrEnum):
    """The channel. SLACK and WEBHOOK are credential providers, too: a tenant's target is a secret."""

    SLACK = "SLACK"
    WEBHOOK = "WEBHOOK"
    EMAIL = "EMAIL"


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The state of a run that a notification reports."""

    tenant_id: str
    pipeline: str
    """`gcp-cost-billing`."""
    pipeline_logging_id: str
    attempt: int
    status: RunStatus
    dates: Mapping[str, str]
    """The run's date parameters, YYYY-MM-DD."""
    rows_processed: int | None
    error_message: str | None
    """Worded for the tenant; cut."""
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
        """A JSON event in the format of Standard Webhooks."""
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
class Trial:
    """A test message with which a tenant tries its target. It reports no run."""

    tenant_id: str
    reported_at: datetime

    def payload(self) -> dict[str, Any]:
        """A JSON event in the format of Standard Webhooks."""
        return {"type": "notification.test", "timestamp": self.reported_at.isoformat(), "data": {"tenant_id": self.tenant_id}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Notification:
    """One message to one target."""

    id: str
    """The same for all tries, so that a receiver can recognise a repeated delivery. Contains no full stop."""
    kind: NotificationKind
    report: Report | Trial
    text: str = field(repr=False)
    to: str = field(default="", repr=False)
    """For EMAIL: one address."""
    subject: str = field(default="", repr=False)
    """For EMAIL: one line."""
