"""Judges what the processes report. Pure; time is passed in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self

from services.platform.reporting.events import EventKind

INTERVALS: Final = {
    "trigger": timedelta(hours=1),
    "process-queue": timedelta(minutes=5),
    "reset-daily-quotas": timedelta(days=1),
    "check-credentials": timedelta(days=1),  # it is called every five minutes, in the night only
}
"""The jobs, with the time between two calls in configs/cloud_scheduler/jobs.yaml."""
MISSED: Final = 2
"""A job is overdue if it has not succeeded for this many intervals."""
JOBS_KNOWN: Final = timedelta(days=7)
LOSSES_COUNTED: Final = timedelta(days=1)
BUDGETS_SHOWN: Final = timedelta(hours=1)
LOSSES: Final = (EventKind.SLOT_LOST, EventKind.RUN_OVERDUE, EventKind.CLAIMS_LOST)


@dataclass(frozen=True, kw_only=True, slots=True)
class EventSummary:
    """Events of one kind, and of one name where that is a job or a table."""

    kind: str
    name: str
    first_time: datetime
    last_time: datetime
    most: float
    """The greatest value."""
    total: float
    """The sum of all values, each event counted once."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """The state of a job of Cloud Scheduler."""

    name: str
    last_success_at: datetime | None
    """None: not within JOBS_KNOWN."""
    interval: timedelta
    is_overdue: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetState:
    """The state of the installation, besides the queue."""

    jobs: tuple[Job, ...]
    leases_lost: int
    budgets: dict[str, float]
    """Busy control tables: the part of the budget that was used, 0 to 1."""

    @classmethod
    def of(cls, events: Iterable[EventSummary], *, now: datetime, since: datetime) -> Self:
        """`since`: the start of this process. A job without a known success is overdue only if it had the time to succeed: since then, or
        since the first event.
        """
        events = list(events)
        known_since = min([since, *(event.first_time for event in events)])
        succeeded = {event.name: event.last_time for event in events if event.kind == EventKind.JOB_SUCCEEDED}
        return cls(
            jobs=tuple(_job(name, succeeded.get(name), known_since, now) for name in INTERVALS),
            leases_lost=round(sum(event.total for event in events if event.kind in LOSSES)),
            budgets={event.name: event.most for event in events if event.kind == EventKind.DML_BUDGET},
        )


def _job(name: str, last_success_at: datetime | None, known_since: datetime, now: datetime) -> Job:
    interval = INTERVALS[name]
    is_overdue = now - (last_success_at or known_since) > MISSED * interval
    return Job(name=name, last_success_at=last_success_at, interval=interval, is_overdue=is_overdue)
