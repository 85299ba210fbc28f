"""The table `tenant_pipeline_configs`, as tenants write it, and the runs that a backfill queues: one method a statement."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.result import QueryResult
from services.platform.bigquery.sql import load_blocks
from services.scheduler.queue.outcomes import SCHEDULE_GONE
from services.scheduler.queue.span import Span
from services.scheduler.queue.store import SCRIPT_SECONDS
from services.scheduler.schedules.backfills import PRIORITY, BackfillRun
from services.scheduler.schedules.schedule import Change, Schedule

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Backfilled:
    """The result of a backfill."""

    queued: int
    """Runs queued by this call."""
    known: int
    """Runs queued by this call or an earlier one."""
    is_full: bool
    """Nothing was queued: more runs of the tenant would wait than its plan allows."""
    is_offboarded: bool
    """True if the tenant is offboarded: what was queued must be taken back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inserted:
    """The result of creating a schedule."""

    schedules: int
    """Of the tenant, afterwards."""
    copies: int
    """Rows of the id; 0: the tenant has as many schedules as it may."""
    is_new: bool
    """True if this call created it; False if one of the same id existed."""
    request_sha256: str | None
    """The request that created it, if that had an idempotency key."""
    is_offboarded: bool
    """True if the tenant is offboarded: what was created must be taken back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownRequest:
    """A schedule that an idempotency key has created."""

    created_at: datetime
    request_sha256: str | None


class ScheduleStore:
    """Reads and writes through the statements of `queries.sql`. All methods raise Unavailable if BigQuery does not answer in time."""

    def __init__(self, bq: BigQuery) -> None:
        self._bq = bq
        self._blocks = load_blocks(Path(__file__).with_name("queries.sql"))

    async def insert(self, schedule: Schedule, *, request_sha256: str | None, max_schedules: int) -> Inserted:
        """Stores a new schedule, unless its id exists or the tenant has `max_schedules`. One statement; a second one if concurrent calls
        created too many of a tenant's first schedules.
        """
        values = {
            **asdict(schedule),
            "request_sha256": request_sha256,
            "created_by_call": str(uuid.uuid4()),
            "max_schedules": max_schedules,
        }
        inserted = await self._inserted("insert_schedule", values)
        is_surplus = inserted.schedules > max_schedules or inserted.copies > 1
        return await self._inserted("drop_surplus_schedule", values) if inserted.is_new and is_surplus else inserted

    async def _inserted(self, block: str, values: Mapping[str, object]) -> Inserted:
        params = {name: values[name] for name in self._blocks[block].params}
        return Inserted(**(await self._run(block, params, seconds=SCRIPT_SECONDS)).rows[0])

    async def known_requests(self, tenant_id: str, config_ids: Sequence[str]) -> dict[str, KnownRequest]:
        """Those of the ids that are schedules of the tenant."""
        found = await self._run("known_requests", {"tenant_id": tenant_id, "config_ids": list(config_ids)})
        return {
            row["config_id"]: KnownRequest(created_at=row["created_at"] or _LONG_AGO, request_sha256=row["request_sha256"])
            for row in found.rows
        }

    async def find(self, tenant_id: str, config_id: str) -> Schedule | None:
        """The schedule; None if the tenant has none of this id."""
        found = await self._run("get_schedule", {"tenant_id": tenant_id, "config_id": config_id})
        return Schedule.from_row(found.rows[0]) if found.rows else None

    async def page(self, tenant_id: str, after: str, limit: int) -> list[tuple[str, Schedule]]:
        """A page of a tenant's schedules by pipeline, then by config_id: those after the key `after` (empty: from the first), with their
        keys.
        """
        found = await self._run("list_schedules", {"tenant_id": tenant_id, "after_key": after, "row_limit": limit})
        return [(row["page_key"], Schedule.from_row(row)) for row in found.rows]

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

    async def backfill(self, schedule: Schedule, runs: Sequence[BackfillRun], now: datetime, *, max_queued_runs: int) -> Backfilled:
        """Queues those of `runs` that were never queued, all or none. Does nothing if the schedule is gone."""
        params = {
            "tenant_id": schedule.tenant_id,
            "config_id": schedule.config_id,
            "pipeline_id": schedule.pipeline_id,
            "priority": PRIORITY,
            "max_retries": schedule.max_retries,
            "max_queued_runs": max_queued_runs,
            "runs": [{**asdict(run), "parameters": json.dumps(run.parameters)} for run in runs],
            "now": now,
            **Span.of(run.scheduled_time for run in runs).params,
        }
        counted = (await self._run("backfill", params, seconds=SCRIPT_SECONDS)).rows[0]
        return Backfilled(**counted)

    async def _run(self, block: str, params: Mapping[str, object], *, seconds: float | None = None) -> QueryResult:
        return await self._bq.query(self._blocks[block], params, dataset=self._bq.control(), seconds=seconds)
