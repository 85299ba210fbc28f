"""The queue's tables: one typed method a statement. The SQL, with the reasons why it is safe, is in `queries.sql`."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import load_blocks
from services.scheduler.queue.claims import Claim
from services.scheduler.queue.outcomes import ClaimOutcome, End, Refusal
from services.scheduler.queue.position import QueuePosition
from services.scheduler.queue.rules import QueueRules
from services.scheduler.queue.scheduled_runs import QueueEntry, RunFilter, ScheduledRun
from services.scheduler.queue.span import Span
from services.scheduler.queue.trigger_plan import DueSchedule, FirstFireTime, Plan

BLOCKS = load_blocks(Path(__file__).with_name("queries.sql"))
MAX_DUE = 10_000
"""The most schedules, and the most runs, of one trigger: they fit into a request to BigQuery (10 MB). The others stay due."""
SCRIPT_SECONDS = 45.0
"""Deadline of a script of up to seven statements, a second or two each, with retries: of two transactions on a table one is cancelled."""
CLAIM_SECONDS = 30.0
"""Deadline of the script of two statements that claims. Together with the deadline of the look before it, it is shorter than the gateway's.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Queued:
    """What a trigger did, as counted by its transaction."""

    triggered: int
    queued: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """An attempt that the executor has begun."""

    claim: Claim
    started_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What a process-queue call could do now."""

    ready: int
    """QUEUED runs that a claim may find, those of tenants that may not run included."""
    claimed: int
    """PROCESSING runs, of any process."""
    lapsed: int
    """Those whose lease has expired."""
    released: int
    """Those among `lapsed` whose lease a scheduler released when it stopped."""
    ready_since: datetime | None
    """Since when the first of the ready runs could have been claimed; None: there are none."""
    span: Span | None
    """The fire times of all these; None: there are no such runs."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row."""
        first, last = row["first_time"], row["last_time"]
        span = Span(first=first, last=last) if first is not None and last is not None else None
        counts = {name: row[name] for name in ("ready", "claimed", "lapsed", "released", "ready_since")}
        return cls(**counts, span=span)


@dataclass(frozen=True, kw_only=True, slots=True)
class Retried:
    """The tenant after a retry."""

    waiting: int
    """QUEUED runs."""
    is_offboarded: bool
    """True: the run must be taken back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueStatus:
    """Counts of the queue."""

    due_count: int
    queued_count: int
    processing_count: int
    failed_today_count: int
    oldest_queued_time: datetime | None


class QueueStore:
    """Every method raises Unavailable when BigQuery does not answer; the write may have happened all the same."""

    def __init__(self, bq: BigQuery, rules: QueueRules | None = None) -> None:
        self._bq, self._rules = bq, rules or QueueRules()

    async def due_schedules(self, now: datetime) -> list[DueSchedule]:
        """Active schedules that are due, of tenants that may run, at most `MAX_DUE`; tenants take turns."""
        rows = await self._rows("due_schedules", {"now": now, "row_limit": MAX_DUE, **self._rules.bounds})
        return await asyncio.to_thread(lambda: [DueSchedule.from_row(row) for row in rows])

    async def set_first_fire_times(self, schedules: Sequence[FirstFireTime]) -> None:
        """Sets the fire time of schedules without one."""
        rows = [{"config_id": one.config_id, "next_run_time": one.next_run_time} for one in schedules]
        await self._change("set_first_fire_times", {"schedules": rows})

    async def enqueue(self, plan: Plan, now: datetime) -> Queued:
        """Queues the plan's runs, for those schedules whose `next_run_time` is unchanged."""
        params = await asyncio.to_thread(_to_enqueue, plan, now)
        rows = await self._rows("enqueue", params, seconds=SCRIPT_SECONDS)
        return Queued(**rows[0])

    async def look(self, now: datetime) -> Look:
        """What there is to claim and to take over."""
        return Look.from_row((await self._rows("look", {"now": now}))[0])

    async def claim(self, claimed_by: str, max_runs: int, span: Span, now: datetime, lease_expires_at: datetime) -> list[Claim]:
        """Claims the best runs of the span under the id `claimed_by`; returns all runs of that claim, the best first."""
        params = {"claimed_by": claimed_by, "max_runs": max_runs, "now": now, "lease_expires_at": lease_expires_at, **span.params}
        params |= self._rules.order
        return [Claim.from_row(row) for row in await self._rows("claim_runs", params, seconds=CLAIM_SECONDS)]

    async def take_over(self, claimed_by: str, span: Span, now: datetime, lease_expires_at: datetime) -> list[Claim]:
        """Claims runs of the span whose lease has expired under the id `claimed_by`; returns them, the best first."""
        params = {"claimed_by": claimed_by, "now": now, "lease_expires_at": lease_expires_at, **span.params}
        if not await self._change("take_over", params):
            return []
        return await self.claimed(claimed_by, span)

    async def claimed(self, claimed_by: str, span: Span) -> list[Claim]:
        """The runs of a claim, the best first."""
        return [Claim.from_row(row) for row in await self._rows("claimed_runs", {"claimed_by": claimed_by, **span.params})]

    async def record_started(self, started: Sequence[Started]) -> None:
        """Records that attempts have begun, where the claim still holds."""
        rows = [
            {
                "run_id": one.claim.run_id,
                "claimed_by": one.claim.claimed_by,
                "pipeline_logging_id": one.claim.pipeline_logging_id,
                "started_at": one.started_at,
            }
            for one in started
        ]
        await self._change("record_started", {"started": rows, **_span_of(one.claim for one in started).params})

    async def renew(self, claims: Sequence[str], lease_expires_at: datetime) -> None:
        """Extends the leases of all runs that these claims still hold."""
        await self._change("renew_claims", {"claims": claims, "lease_expires_at": lease_expires_at})

    async def release(self, claims: Sequence[str]) -> None:
        """Gives these claims back, so that another process takes them over at once."""
        await self._change("release_claims", {"claims": claims})

    async def put_back(self, refusals: Sequence[Refusal]) -> None:
        """Returns refused runs to the queue, where the claim still holds."""
        rows = [{"run_id": one.claim.run_id, "claimed_by": one.claim.claimed_by, "not_before": one.not_before} for one in refusals]
        await self._change("put_back", {"refusals": rows})

    async def settle(self, ends: Sequence[End], now: datetime) -> None:
        """Records the ends of attempts, where the claim still holds; others are skipped. Runs to be queued again are few. They have a
        script of their own, so that the script for the others has one statement a table. After an error the same ends may be written again,
        even if a part of them has been written.
        """
        rows = [
            {
                "run_id": one.claim.run_id,
                "claimed_by": one.claim.claimed_by,
                "config_id": one.claim.config_id,
                "outcome": one.outcome,
                "pipeline_logging_id": one.pipeline_logging_id,
                "error_message": one.error_message,
                "not_before": one.not_before,
                "seq": seq,
            }
            for seq, one in enumerate(ends)
        ]
        span = _span_of(one.claim for one in ends)
        for block, some in (
            ("requeue", [row for row in rows if row["outcome"] is ClaimOutcome.RETRY]),
            ("settle", [row for row in rows if row["outcome"] is not ClaimOutcome.RETRY]),
        ):
            if some:
                await self._change(block, {"ends": some, "now": now, **span.params}, seconds=SCRIPT_SECONDS)

    async def status(self, now: datetime) -> QueueStatus:
        """Counts of the queue; failures since midnight UTC."""
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return QueueStatus(**(await self._rows("scheduler_status", {"now": now, "today": today}))[0])

    async def list_queue(self, tenant_id: str | None, after: tuple[datetime, str] | None, limit: int) -> list[QueueEntry]:
        """What is in the queue, of one tenant or of all, the longest there first. `after`: the previous page's last `added_at` and id."""
        since, since_id = after or (None, None)
        params = {"tenant_id": tenant_id, "after": since, "after_id": since_id, "row_limit": limit}
        return [QueueEntry(**row) for row in await self._rows("list_queue", params)]

    async def knows(self, tenant_id: str) -> bool:
        """Whether there is such a tenant, ended ones included."""
        return bool(await self._rows("knows_tenant", {"tenant_id": tenant_id}))

    async def list_runs(self, wanted: RunFilter, limit: int) -> list[ScheduledRun]:
        """A tenant's runs, the latest fire time first."""
        before, before_id = wanted.after or (None, None)
        params = {
            "tenant_id": wanted.tenant_id,
            "state": wanted.state,
            "config_id": wanted.config_id,
            "before": before,
            "before_id": before_id,
            "row_limit": limit,
        }
        return [ScheduledRun.from_row(row) for row in await self._rows("list_scheduled_runs", params)]

    async def find_run(self, tenant_id: str, run_id: str) -> ScheduledRun | None:
        """One run of the tenant."""
        rows = await self._rows("get_scheduled_run", {"tenant_id": tenant_id, "run_id": run_id})
        return ScheduledRun.from_row(rows[0]) if rows else None

    async def position(self, tenant_id: str, run_id: str, now: datetime) -> QueuePosition | None:
        """The run's place in the queue; None: it has left the queue."""
        rows = await self._rows("queue_position", {"tenant_id": tenant_id, "run_id": run_id, "now": now, **self._rules.order})
        return QueuePosition(**rows[0]) if rows else None

    async def retry_run(self, tenant_id: str, run_id: str, now: datetime, *, max_queued_runs: int) -> Retried:
        """Queues a finally FAILED run again, unless `max_queued_runs` of the tenant's runs already wait. If this call queued it, `find_run`
        returns it with `now` as its `added_at`.
        """
        params = {"tenant_id": tenant_id, "run_id": run_id, "now": now, "max_queued_runs": max_queued_runs}
        return Retried(**(await self._rows("retry_run", params, seconds=SCRIPT_SECONDS))[0])

    async def _rows(self, block: str, params: Mapping[str, object], *, seconds: float | None = None) -> list[dict[str, Any]]:
        return (await self._bq.query(BLOCKS[block], params, dataset=self._bq.control(), seconds=seconds)).rows

    async def _change(self, block: str, params: Mapping[str, object], *, seconds: float | None = None) -> int:
        return (await self._bq.query(BLOCKS[block], params, dataset=self._bq.control(), seconds=seconds)).affected


def _span_of(claims: Iterable[Claim]) -> Span:
    return Span.of(claim.scheduled_time for claim in claims)


def _to_enqueue(plan: Plan, now: datetime) -> dict[str, object]:
    firings = [{"config_id": one.config_id, "seen": one.seen, "next_run_time": one.next_run_time} for one in plan.firings]
    runs = [
        {"run_id": run.run_id, "config_id": one.config_id, "next_run_time": one.next_run_time, "scheduled_time": run.scheduled_time}
        for one in plan.firings
        for run in one.runs
    ]
    span = Span.of(run.scheduled_time for one in plan.firings for run in one.runs)
    return {"firings": firings, "runs": runs, "now": now, **span.params}
