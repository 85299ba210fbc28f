"""A scheduled run as tenants see it, and the pages they come in."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from services.platform.errors import InvalidArgument

STATES = ("PENDING", "COMPLETED", "FAILED")
DEFAULT_SIZE, MOST = 50, 200


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
    """When it was put into the queue for the last time."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The only door from a row to a run."""
        parameters = row["parameters"] if isinstance(row["parameters"], Mapping) else {}
        return cls(**{**row, "pipeline_id": row["pipeline_id"] or "", "state": row["state"] or "PENDING", "parameters": dict(parameters)})


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFilter:
    """Which runs to list."""

    tenant_id: str
    state: str | None
    config_id: str | None
    size: int
    after: tuple[datetime, str] | None
    """Slot and id of the last run of the page before."""

    def __post_init__(self) -> None:
        """Raises InvalidArgument for a state that does not exist, and a size beyond 1 to 200."""
        if self.state is not None and self.state not in STATES:
            raise InvalidArgument("state", f"use one of {', '.join(STATES)}.")
        if not 1 <= self.size <= MOST:
            raise InvalidArgument("page_size", f"use 1 to {MOST}; 0 means {DEFAULT_SIZE}.")


def to_token(run: ScheduledRun) -> str:
    """The token of the page that begins after this run."""
    assert run.scheduled_time is not None  # noqa: S101 - every row of ours has one
    return base64.urlsafe_b64encode(json.dumps([run.scheduled_time.isoformat(), run.run_id]).encode()).decode()


def from_token(token: str) -> tuple[datetime, str] | None:
    """Where the page begins; None for the first. Raises InvalidArgument for what is no token of ours."""
    if not token:
        return None
    try:
        scheduled_time, run_id = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
        moment = datetime.fromisoformat(scheduled_time)
        if moment.tzinfo is None or not isinstance(run_id, str):
            raise ValueError("not ours")
    except (ValueError, TypeError) as error:
        raise InvalidArgument("page_token", "use next_page_token of the page before, unchanged.") from error
    return moment, run_id
