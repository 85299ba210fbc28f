"""What a run leaves in the tenant's dataset: the run itself, its story, and the verdicts of its checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from services.platform.clock import utc_day


class RunStatus(StrEnum):
    """RUNNING becomes one of the others, once."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class StepStatus(StrEnum):
    """How one step stands."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"

    @property
    def action(self) -> str:
        """The word in x_meta_step_logs.action, e.g. STEP_STARTED."""
        return "STEP_STARTED" if self is StepStatus.RUNNING else f"STEP_{self.value}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """From one day to another, both included."""

    first: date
    last: date

    @property
    def days(self) -> list[date]:
        """At least one."""
        return [self.first + timedelta(days=day) for day in range((self.last - self.first).days + 1)]

    @property
    def params(self) -> dict[str, date]:
        """As every SQL block sees them that declares them."""
        return {"first_day": self.first, "last_day": self.last}

    def not_over(self, now: datetime) -> list[date]:
        """Its days that are not over at `now`."""
        return [day for day in self.days if day >= utc_day(now)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A row of x_meta_pipeline_runs."""

    pipeline_logging_id: str
    tenant_id: str
    pipeline_id: str
    """`{tenant_id}-gcp-cost-billing`."""
    user_id: str | None = None
    """What X-User-ID said; None for scheduled runs."""
    status: RunStatus = RunStatus.RUNNING
    trigger_type: str = "api"
    trigger_by: str = "api"
    run_id: str | None = None
    """The scheduled run that this is an attempt of."""
    attempt: int = 1
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """JSON values, defaults filled in."""
    started_at: datetime
    deadline_at: datetime
    completed_at: datetime | None = None
    duration_ms: int | None = None
    rows_processed: int | None = None
    error_message: str | None = None
    claimed_by: str | None = None
    """The fence of who leads it: opaque, and known to the leader alone; None: the run is not led from here."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The only door from a row to a run. Rows that the flow's own INSERT wrote may lack what is ours."""
        values = {name: row[name] for name in cls.__dataclass_fields__ if name != "claimed_by"}
        values["status"] = RunStatus(row["status"])
        values["parameters"] = as_mapping(row["parameters"])
        values["deadline_at"] = row["deadline_at"] or row["started_at"]
        for name, default in (("pipeline_id", ""), ("trigger_type", "api"), ("trigger_by", "api"), ("attempt", 1)):
            values[name] = row[name] if row[name] is not None else default
        return cls(**values)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOutcome:
    """How a run ended, or is about to end."""

    status: RunStatus
    rows_processed: int | None = None
    """Of a run that COMPLETED, if a step has told."""
    error_message: str | None = None
    """Of one that did not, in words for the tenant."""
    is_final: bool = False
    """It FAILED in a way that another attempt cannot heal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunState:
    """How a run stands."""

    status: RunStatus
    started_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEnd:
    """How a run stands, for whoever decides whether to try again."""

    status: RunStatus
    error_message: str | None
    is_final: bool
    """It FAILED in a way that another attempt cannot heal."""
    is_overdue: bool
    """It is RUNNING though its deadline has long passed."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The only door from a row to how a run stands."""
        return cls(
            status=RunStatus(row["status"]),
            error_message=row["error_message"],
            is_final=row["is_final"],
            is_overdue=bool(row["is_overdue"]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StepLog:
    """A row of x_meta_step_logs: one line of a run's story."""

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
        """The only door from a row to a line."""
        values = {name: row[name] for name in cls.__dataclass_fields__}
        return cls(**{**values, "metadata": as_mapping(row["metadata"])})


@dataclass(frozen=True, kw_only=True, slots=True)
class DqResult:
    """A row of x_meta_dq_results: one check's verdict."""

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
        """The only door from a row to a verdict."""
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
    """`started_at` and id of the last run of the page before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimResult:
    """Who leads a run that several may have been told to start."""

    is_ours: bool
    """The caller does."""
    status: RunStatus | None
    """How the run stands; None: it was not let in."""
    other: str | None = None
    """The id of the run that keeps it out."""


def as_mapping(value: object) -> dict[str, Any]:
    """A JSON column, which the client hands out parsed, as a mapping. Empty for NULL and for what is no object."""
    return dict(value) if isinstance(value, Mapping) else {}
