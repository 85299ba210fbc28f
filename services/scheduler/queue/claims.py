"""A claimed run: what its holder may work on until the lease expires."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from services.platform.clock import utc_day
from services.scheduler.ids import is_backfill, pipeline_logging_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Pipeline:
    """What a schedule runs."""

    provider: str
    domain: str
    template: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A queue row with its claim, its run and its schedule."""

    run_id: str
    config_id: str
    tenant_id: str
    pipeline_id: str
    claimed_by: str
    """The fence: the id of the claim, shared by all runs that were claimed together."""
    attempt: int
    """From 1. Never repeated for a run: the number of failures so far plus one."""
    scheduled_time: datetime
    retry_count: int
    max_retries: int
    parameters: Mapping[str, Any]
    pipeline: Pipeline | None
    """None: the schedule was deleted."""
    is_new: bool = False
    """No process has asked for this attempt before: this claim is the run's first, and its holder has not started it yet."""

    @property
    def pipeline_logging_id(self) -> str:
        """The id of this attempt: a process that takes the claim over derives the same one."""
        return pipeline_logging_id(self.run_id, self.attempt)

    @property
    def trigger_type(self) -> str:
        """The trigger type that the executor records."""
        return "backfill" if is_backfill(self.config_id, self.run_id, self.parameters.get("date")) else "scheduler"

    def as_of_date(self) -> str:
        """The UTC day of the fire time. `yesterday` is the day before it, in any timezone of the schedule: runs load UTC days."""
        return utc_day(self.scheduled_time).isoformat()

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row."""
        values = {name: row[name] for name in cls.__dataclass_fields__ if name in row}
        pipeline = None
        if row["provider"] and row["domain"] and row["pipeline_template"]:
            pipeline = Pipeline(provider=row["provider"], domain=row["domain"], template=row["pipeline_template"])
        parameters = row["parameters"] if isinstance(row["parameters"], Mapping) else {}
        return cls(**{**values, "pipeline_id": row["pipeline_id"] or "", "parameters": dict(parameters), "pipeline": pipeline})
