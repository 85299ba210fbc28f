"""Records in the tenant's dataset: runs, their step logs, and the results of their checks."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from services.platform.clock import utc_day


class RunStatus(StrEnum):
    """RUNNING changes once, into one of the others."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class StepStatus(StrEnum):
    """The state of one step."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"

    @property
    def action(self) -> str:
        """The value of x_meta_step_logs.action, e.g. STEP_STARTED."""
        return "STEP_STARTED" if self is StepStatus.RUNNING else f"STEP_{self.value}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """A range of days, both ends included, but for those in `without`."""

    first: date
    last: date
    without: frozenset[date] = frozenset()
    """Days in between that do not belong to it."""

    @classmethod
    def of(cls, days: Iterable[date]) -> Self:
        """Exactly these days, at least one."""
        ordered = sorted(days)
        whole = cls(first=ordered[0], last=ordered[-1])
        return replace(whole, without=frozenset(whole.days).difference(ordered))

    @property
    def days(self) -> list[date]:
        """In order, at least one."""
        every = (self.first + timedelta(days=day) for day in range((self.last - self.first).days + 1))
        return [day for day in every if day not in self.without]

    @property
    def stretches(self) -> list[tuple[date, date]]:
        """First and last day of each run of consecutive days, in order."""
        # For consecutive days, ordinal minus position is constant.
        runs = itertools.groupby(enumerate(self.days), key=lambda one: one[1].toordinal() - one[0])
        spans = ([day for _, day in run] for _, run in runs)
        return [(span[0], span[-1]) for span in spans]

    @property
    def params(self) -> dict[str, object]:
        """The query parameters @first_day, @last_day and @run_days."""
        return {"first_day": self.first, "last_day": self.last, "run_days": self.days}

    def not_over(self, now: datetime) -> list[date]:
        """The days that are not over at `now`."""
        return [day for day in self.days if day >= utc_day(now)]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunCost:
    """What a run, or a part of it, has used. Columns of x_meta_pipeline_runs, where it is said whose bill each is."""

    bytes_billed: int = 0
    slot_ms: int = 0
    bytes_read: int = 0
    cost_usd: float = 0.0

    def __add__(self, other: "RunCost") -> "RunCost":
        """Both together."""
        return RunCost(
            bytes_billed=self.bytes_billed + other.bytes_billed,
            slot_ms=self.slot_ms + other.slot_ms,
            bytes_read=self.bytes_read + other.bytes_read,
            cost_usd=self.cost_usd + other.cost_usd,
        )

    def __sub__(self, other: "RunCost") -> "RunCost":
        """Without `other`."""
        return RunCost(
            bytes_billed=self.bytes_billed - other.bytes_billed,
            slot_ms=self.slot_ms - other.slot_ms,
            bytes_read=self.bytes_read - other.bytes_read,
            cost_usd=self.cost_usd - other.cost_usd,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A row of x_meta_pipeline_runs."""

    pipeline_logging_id: str
    tenant_id: str
    pipeline_id: str
    """`{tenant_id}-gcp-cost-billing`."""
    user_id: str | None = None
    """From X-User-ID; None for scheduled runs."""
    status: RunStatus = RunStatus.RUNNING
    trigger_type: str = "api"
    trigger_by: str = "api"
    run_id: str | None = None
    """The scheduled run of which this is an attempt."""
    attempt: int = 1
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """JSON values, defaults filled in."""
    started_at: datetime
    deadline_at: datetime
    completed_at: datetime | None = None
    duration_ms: int | None = None
    rows_processed: int | None = None
    error_message: str | None = None
    bytes_billed: int | None = None
    """This and the next three: its RunCost; None: it is RUNNING, or unknown."""
    slot_ms: int | None = None
    bytes_read: int | None = None
    cost_usd: float | None = None
    trace_id: str | None = None
    """Of the trace of its execution, 32 lower-case hex digits; None: it was not traced."""
    claimed_by: str | None = None
    """The id of the claim on this run, known only to the process that executes it; None: this process does not."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row. Columns that the documented flow's own INSERT does not write may be NULL."""
        values = {name: row[name] for name in cls.__dataclass_fields__ if name != "claimed_by"}
        values["status"] = RunStatus(row["status"])
        values["parameters"] = as_mapping(row["parameters"])
        values["deadline_at"] = row["deadline_at"] or row["started_at"]
        for name, default in (("pipeline_id", ""), ("trigger_type", "api"), ("trigger_by", "api"), ("attempt", 1)):
            values[name] = row[name] if row[name] is not None else default
        return cls(**values)

    def ended(self, outcome: "RunOutcome", at: datetime) -> Self:
        """A RUNNING run as its row says once this end is recorded."""
        return replace(
            self,
            claimed_by=None,
            status=outcome.status,
            completed_at=at,
            duration_ms=(at - self.started_at) // timedelta(milliseconds=1),
            rows_processed=outcome.rows_processed if outcome.status is RunStatus.COMPLETED else None,
            error_message=None if outcome.status is RunStatus.COMPLETED else outcome.error_message,
        ).costing(outcome.cost)

    def costing(self, cost: RunCost | None) -> Self:
        """With what it has used, if that is known."""
        return self if cost is None else replace(self, **asdict(cost))


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOutcome:
    """The end of a run, or the end it is about to have."""

    status: RunStatus
    rows_processed: int | None = None
    """For COMPLETED, if a step has reported a number."""
    error_message: str | None = None
    """For the others, worded for the tenant."""
    is_final: bool = False
    """It FAILED and another attempt would fail, too."""
    cost: RunCost | None = None
    """What it has used; None: only the process that executes it knows."""
    ended_at: datetime | None = None
    """When the last step has recorded this end; None: it has yet to be recorded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunState:
    """The status of a run, with the fields needed to settle its reservation."""

    status: RunStatus
    started_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEnd:
    """The status of a run, for the scheduler's decision whether to retry."""

    status: RunStatus
    error_message: str | None
    is_final: bool
    """It FAILED and another attempt would fail, too."""
    is_overdue: bool
    """It is RUNNING although its deadline passed long ago."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row."""
        return cls(
            status=RunStatus(row["status"]),
            error_message=row["error_message"],
            is_final=row["is_final"],
            is_overdue=bool(row["is_overdue"]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StepLog:
    """A row of x_meta_step_logs: the start or the end of a step."""

    log_id: str
    tenant_id: str
    user_id: str | None
    pipeline_logging_id: str
    step_id: str
    step_type: str
    step_index: int
    attempt: int
    action: str
    provider: str | None
    status: str
    rows_processed: int | None = None
    duration_ms: int | None = None
    error_message: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    timestamp: datetime

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row."""
        values = {name: row[name] for name in cls.__dataclass_fields__}
        return cls(**{**values, "metadata": as_mapping(row["metadata"])})


@dataclass(frozen=True, kw_only=True, slots=True)
class DqResult:
    """A row of x_meta_dq_results: the verdict of one check."""

    dq_result_id: str
    tenant_id: str
    user_id: str | None
    pipeline_logging_id: str
    step_id: str
    table_name: str
    check_name: str
    severity: str
    status: str
    observed_value: str | None
    threshold: str | None
    failing_rows: int
    sample_rows: Sequence[Mapping[str, str | None]] = ()
    """Some of the rows that break the rule, with declared columns only."""
    executed_at: datetime

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row."""
        values = {name: row[name] for name in cls.__dataclass_fields__}
        return cls(**{**values, "sample_rows": row["sample_rows"] or ()})


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFilter:
    """Which runs to list; None: all."""

    status: RunStatus | None = None
    pipeline_id: str | None = None
    began_from: datetime | None = None
    began_before: datetime | None = None
    after: tuple[datetime, str] | None = None
    """`started_at` and id of the previous page's last run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimResult:
    """The result of claiming a run that several processes may try to start."""

    is_ours: bool
    """This process holds the claim."""
    status: RunStatus | None
    """The run's status; None: it was not admitted."""
    other: str | None = None
    """The id of the overlapping run because of which it was not admitted."""


def as_mapping(value: object) -> dict[str, Any]:
    """A JSON column, parsed by the client, as a mapping. Empty for NULL and for a value that is no object."""
    return dict(value) if isinstance(value, Mapping) else {}
