"""A run as operators see it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Self

from services.executor.all_runs.for_operators import for_operators
from services.executor.records import Run, RunOutcome, RunStatus

DAYS: Final = 7
"""How far back a list goes that names no day."""
CLOCKS: Final = timedelta(hours=1)
"""More than the clocks of two executors differ. Of two that try to start the same run, each notes its own time as the run's start."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TenantRun:
    """A run without what only its tenant may see: its parameters, steps and rows."""

    tenant_id: str
    pipeline_logging_id: str
    pipeline_id: str
    """Without the tenant, e.g. `gcp-cost-billing`."""
    status: RunStatus
    trigger_type: str
    started_at: datetime
    completed_at: datetime | None = None
    error_message: str | None = None
    """Why it FAILED, without the tenant's figures; None otherwise."""
    cost_usd: float | None = None

    @classmethod
    def of(cls, run: Run) -> Self:
        """From the run's row, or what is about to become that."""
        return cls.from_row(run.tenant_id, {name: getattr(run, name) for name in COLUMNS})

    @classmethod
    def from_row(cls, tenant_id: str, row: Mapping[str, Any]) -> Self:
        """From COLUMNS of a row of x_meta_pipeline_runs; those that the documented flow's own INSERT does not write may be NULL."""
        status = RunStatus(row["status"])
        return cls(
            tenant_id=tenant_id,
            pipeline_logging_id=row["pipeline_logging_id"],
            pipeline_id=(row["pipeline_id"] or "").removeprefix(f"{tenant_id}-"),
            status=status,
            trigger_type=row["trigger_type"] or "api",
            started_at=row["started_at"],
            completed_at=row["completed_at"],
            error_message=for_operators(row["error_message"]) if status is RunStatus.FAILED else None,
            cost_usd=row["cost_usd"],
        )

    def ended(self, outcome: RunOutcome, at: datetime) -> Self:
        """The run when it has ended so."""
        return replace(
            self,
            status=outcome.status,
            completed_at=at,
            error_message=for_operators(outcome.error_message) if outcome.status is RunStatus.FAILED else None,
            cost_usd=outcome.cost.cost_usd if outcome.cost else None,
        )

    def entry(self, written_at: datetime) -> dict[str, Any]:
        """The row of tenant_runs. What is known of a run has one id in every process, so that a repeated row is recognised."""
        known = [self.pipeline_logging_id, self.status, *(["cost"] if self.cost_usd is not None else [])]
        row = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(self).items()}
        return row | {"entry_id": ":".join(known), "written_at": written_at.isoformat()}


COLUMNS: Final = (
    "pipeline_logging_id",
    "pipeline_id",
    "status",
    "trigger_type",
    "started_at",
    "completed_at",
    "error_message",
    "cost_usd",
)

type RecordRun = Callable[[TenantRun], None]
"""Keeps a run to be written; returns at once, and never raises."""


def unrecorded(run: TenantRun) -> None:
    """Keeps nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AllRunsFilter:
    """Which runs to list; None: all."""

    tenant_id: str | None = None
    status: RunStatus | None = None
    pipeline_id: str | None = None
    began_from: datetime
    began_before: datetime
    after: tuple[datetime, str] | None = None
    """`started_at` and id of the previous page's last run."""

    @property
    def params(self) -> dict[str, object]:
        """The parameters of the statement. `read_from` and `read_before` bound the partitions that it reads, with room for CLOCKS."""
        after = self.after or (None, None)
        last = min(self.began_before, after[0]) if after[0] else self.began_before
        return {
            "tenant_id": self.tenant_id,
            "status": self.status,
            "pipeline_id": self.pipeline_id,
            "began_from": self.began_from,
            "began_before": self.began_before,
            "read_from": self.began_from - CLOCKS,
            "read_before": last + CLOCKS,
            "after_started_at": after[0],
            "after_id": after[1],
        }


def last_days(now: datetime) -> tuple[datetime, datetime]:
    """The bounds of a list that names no day: the last DAYS UTC days, today among them."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=DAYS - 1), midnight + timedelta(days=1)
