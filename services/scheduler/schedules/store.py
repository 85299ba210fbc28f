"""The table `tenant_pipeline_configs`, as tenants write it, and the runs that a backfill queues: one method a statement."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.result import QueryResult
from services.platform.bigquery.sql import load_blocks
from services.scheduler.queue.outcomes import SCHEDULE_GONE
from services.scheduler.queue.span import Span
from services.scheduler.queue.store import SCRIPT_SECONDS
from services.scheduler.schedules.backfills import PRIORITY, BackfillRun
from services.scheduler.schedules.schedule import Change, Schedule


@dataclass(frozen=True, kw_only=True, slots=True)
class Backfilled:
    """The result of a backfill."""

    queued: int
    """Runs queued by this call."""
    known: int
    """Runs queued by this call or an earlier one."""


class ScheduleStore:
    """Reads and writes through the statements of `queries.sql`. All methods raise Unavailable if BigQuery does not answer in time."""

    def __init__(self, bq: BigQuery) -> None:
        self._bq = bq
        self._blocks = load_blocks(Path(__file__).with_name("queries.sql"))

    async def insert(self, schedule: Schedule) -> None:
        """Stores a new schedule."""
        values = asdict(schedule)
        await self._run("insert_schedule", {name: values[name] for name in self._blocks["insert_schedule"].params})

    async def find(self, tenant_id: str, config_id: str) -> Schedule | None:
        """The schedule; None if the tenant has none of this id."""
        found = await self._run("get_schedule", {"tenant_id": tenant_id, "config_id": config_id})
        return Schedule.from_row(found.rows[0]) if found.rows else None

    async def list_all(self, tenant_id: str) -> list[Schedule]:
        """All schedules of a tenant, by pipeline, then by config_id."""
        found = await self._run("list_schedules", {"tenant_id": tenant_id})
        return [Schedule.from_row(row) for row in found.rows]

    async def update(self, seen: Schedule, change: Change, *, next_run_time: datetime | None, now: datetime) -> bool:
        """Writes the fields of `change`, and `next_run_time` unless it is None. False if the timing is no longer as it was `seen`."""
        params = {
            **asdict(change),
            "parameters": json.dumps(change.parameters) if change.parameters is not None else None,
            "tenant_id": seen.tenant_id,
            "config_id": seen.config_id,
            "seen_cron": seen.schedule_cron,
            "seen_timezone": seen.timezone,
            "seen_is_active": seen.is_active,
            "next_run_time": next_run_time,
            "now": now,
        }
        return (await self._run("update_schedule", params)).affected > 0

    async def delete(self, tenant_id: str, config_id: str, now: datetime) -> bool:
        """Deletes the schedule and its runs in the queue; False if there is none."""
        params = {"tenant_id": tenant_id, "config_id": config_id, "error_message": SCHEDULE_GONE, "now": now}
        return bool((await self._run("delete_schedule", params, seconds=SCRIPT_SECONDS)).rows[0]["gone"])

    async def backfill(self, schedule: Schedule, runs: Sequence[BackfillRun], now: datetime) -> Backfilled:
        """Queues those of `runs` that were never queued. Does nothing if the schedule is gone."""
        params = {
            "tenant_id": schedule.tenant_id,
            "config_id": schedule.config_id,
            "pipeline_id": schedule.pipeline_id,
            "priority": PRIORITY,
            "max_retries": schedule.max_retries,
            "runs": [{**asdict(run), "parameters": json.dumps(run.parameters)} for run in runs],
            "now": now,
            **Span.of(run.scheduled_time for run in runs).params,
        }
        counted = (await self._run("backfill", params, seconds=SCRIPT_SECONDS)).rows[0]
        return Backfilled(queued=counted["queued"], known=counted["known"])

    async def _run(self, block: str, params: Mapping[str, object], *, seconds: float | None = None) -> QueryResult:
        return await self._bq.query(self._blocks[block], params, dataset=self._bq.control(), seconds=seconds)
