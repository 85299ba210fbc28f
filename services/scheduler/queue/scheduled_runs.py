"""Scheduled runs as tenants see them, and the filter to list them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from services.platform.errors import InvalidArgument

STATES = ("PENDING", "COMPLETED", "FAILED")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduledRun:
    """A row of `scheduled_pipeline_runs`, with its place in the queue."""

    run_id: str
    config_id: str
    tenant_id: str
    pipeline_id: str
    state: str
    queue_state: str | None
    """None: it has left the queue."""
    scheduled_time: datetime | None
    priority: int
    parameters: Mapping[str, Any]
    pipeline_logging_id: str | None
    retry_count: int
    max_retries: int
    error_message: str | None
    created_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    not_before: datetime | None
    added_at: datetime | None
    """When it was last queued."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row."""
        parameters = row["parameters"] if isinstance(row["parameters"], Mapping) else {}
        return cls(**{**row, "pipeline_id": row["pipeline_id"] or "", "state": row["state"] or "PENDING", "parameters": dict(parameters)})


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueEntry:
    """A row of `pipeline_execution_queue`, as operators see it."""

    run_id: str
    tenant_id: str
    config_id: str
    pipeline_id: str
    state: str
    priority: int
    scheduled_time: datetime | None
    added_at: datetime
    """When it was last queued."""
    not_before: datetime | None
    processing_started_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFilter:
    """Which runs to list."""

    tenant_id: str
    state: str | None
    config_id: str | None
    size: int
    after: tuple[datetime, str] | None
    """Fire time and id of the previous page's last run."""

    def __post_init__(self) -> None:
        """Raises InvalidArgument for an unknown state."""
        if self.state is not None and self.state not in STATES:
            raise InvalidArgument("state", f"use one of {', '.join(STATES)}.")
