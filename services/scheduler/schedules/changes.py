"""Creates, changes, backfills and deletes schedules."""

import asyncio
import uuid
from dataclasses import replace
from datetime import timedelta

from services.platform.clock import Clock, utc_day
from services.platform.errors import NotFound, ResourceExhausted, Unavailable
from services.platform.plan import PlanLimits
from services.scheduler.offboarding.store import OffboardingStore
from services.scheduler.schedules.backfills import PARAMETER, check_takes_a_day, days_between, for_day, runs_of
from services.scheduler.schedules.pipeline_check import PipelineCheck
from services.scheduler.schedules.schedule import Change, Schedule, is_rescheduled
from services.scheduler.schedules.store import Inserted, ScheduleStore

_TRIES = 5
"""How often a change is tried: a try fails if a concurrent PATCH has changed the same schedule's timing."""
QUEUE_WAIT = timedelta(minutes=5)
"""The time after which a full queue may have room: process-queue takes runs at this interval."""


class ScheduleChanges:
    """The parameters of a schedule are checked by the executor when they are saved."""

    def __init__(self, store: ScheduleStore, pipelines: PipelineCheck, offboarding: OffboardingStore, clock: Clock) -> None:
        self._store, self._offboarding = store, offboarding
        self._pipelines = pipelines
        self._clock = clock

    async def prepare(self, blank: Schedule, requested: Change, *, user_id: str | None, limits: PlanLimits) -> Schedule:
        """A new schedule that is not stored yet; its first fire time is after now. Without a priority it gets the usual one, or the plan's
        ceiling if that is lower. Raises InvalidArgument, NotFound if there is no such template.
        """
        now = self._clock.now()
        usual = replace(blank, priority=min(blank.priority, limits.max_priority))
        schedule = requested.checked(limits.max_priority).applied_to(usual)
        pipeline = await self._pipelines.check(schedule, schedule.parameters)
        return replace(
            schedule,
            # For a pipeline that does not run for days, missed runs would only repeat each other. Otherwise it follows the parameters, also
            # after changes.
            catch_up=requested.catch_up or (None if PARAMETER in pipeline.dates else "latest"),
            config_id=str(uuid.uuid4()),
            next_run_time=await asyncio.to_thread(schedule.next_fire_time, now),
            created_by_user_id=user_id,
            created_at=now,
            updated_at=now,
        )

    async def insert(self, schedule: Schedule, *, request_sha256: str | None, max_schedules: int) -> Inserted:
        """Stores a new schedule, see `ScheduleStore.insert`. Raises FailedPrecondition if the tenant is offboarded by now."""
        inserted = await self._store.insert(schedule, request_sha256=request_sha256, max_schedules=max_schedules)
        if inserted.is_offboarded:
            await self._offboarding.refuse(schedule.tenant_id, self._clock.now())
        return inserted

    async def get(self, tenant_id: str, config_id: str) -> Schedule:
        """Raises NotFound."""
        schedule = await self._store.find(tenant_id, config_id)
        if schedule is None:
            raise _not_found(tenant_id, config_id)
        return schedule

    async def change(self, tenant_id: str, config_id: str, requested: Change, *, limits: PlanLimits) -> Schedule:
        """The schedule after the change. Two statements; more only if the timing is changed concurrently. Raises InvalidArgument,
        NotFound.
        """
        change, now = requested.checked(limits.max_priority), self._clock.now()
        for attempt in range(_TRIES):
            seen = await self.get(tenant_id, config_id)
            changed = change.applied_to(seen)
            if change.parameters is not None and attempt == 0:
                await self._pipelines.check(changed, change.parameters)
            next_run_time = await asyncio.to_thread(changed.next_fire_time, now) if is_rescheduled(seen, changed) else None
            if await self._store.update(seen, change, next_run_time=next_run_time, now=now):
                return replace(changed, next_run_time=next_run_time or seen.next_run_time, updated_at=now)
        raise Unavailable(
            "SERVICE_UNAVAILABLE", "Others are changing this schedule right now. Try again in a moment.", retry_after=timedelta(seconds=2)
        )

    async def delete(self, tenant_id: str, config_id: str) -> None:
        """Raises NotFound; also if an earlier try of this call deleted it and the response was lost."""
        if not await self._store.delete(tenant_id, config_id, self._clock.now()):
            raise _not_found(tenant_id, config_id)

    async def backfill(self, tenant_id: str, config_id: str, start_date: str, end_date: str, *, limits: PlanLimits) -> tuple[int, int]:
        """Returns how many days were queued now, and how many before. Raises InvalidArgument, NotFound, and ResourceExhausted if more runs
        of the tenant would wait than its plan allows; nothing was queued then.
        """
        now = self._clock.now()
        schedule = await self.get(tenant_id, config_id)
        days = days_between(start_date, end_date, utc_day(now))
        # Checked without a day first. Otherwise the executor's error would name a day that the caller has not sent.
        pipeline = await self._pipelines.check(schedule, schedule.parameters)
        check_takes_a_day(pipeline.dates, covers_months=pipeline.covers_months)
        await self._pipelines.check(schedule, for_day(schedule.parameters, days[0]))
        runs = await asyncio.to_thread(lambda: list(runs_of(schedule, days, utc_day(now))))
        done = await self._store.backfill(schedule, runs, now, max_queued_runs=limits.max_queued_runs)
        if done.is_offboarded:
            await self._offboarding.refuse(tenant_id, now)
        if done.is_full:
            raise queue_full(limits)
        if done.known < len(days):  # it was deleted after it was read
            raise _not_found(tenant_id, config_id)
        return done.queued, len(days) - done.queued


def queue_full(limits: PlanLimits) -> ResourceExhausted:
    """The error of a call that would queue more runs than the plan allows. It says when to retry, because process-queue takes runs from the
    queue.
    """
    return ResourceExhausted(
        "QUEUE_LIMIT_REACHED",
        f"More of your runs would wait in the queue than the {limits.max_queued_runs} that your plan allows; nothing was queued. Retry when"
        " some have been taken, or queue fewer at once.",
        metadata={"max_queued_runs": str(limits.max_queued_runs)},
        retry_after=QUEUE_WAIT,
    )


def _not_found(tenant_id: str, config_id: str) -> NotFound:
    return NotFound("SCHEDULE_NOT_FOUND", f"Tenant {tenant_id} has no schedule {config_id[:100]!r}. List its schedules to find it.")
