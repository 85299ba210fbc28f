"""ScheduleService: decode, call the domain, encode."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
from convergence.scheduler.v1 import schedule_pb2, schedule_service_pb2, schedule_service_pb2_grpc
from google.protobuf.struct_pb2 import Struct

from services.platform.access.caller import current_caller
from services.platform.clock import Clock
from services.platform.rpc.idempotency import key_of
from services.platform.rpc.paging import from_key_token, page_size, to_key_token
from services.platform.rpc.structs import to_mapping
from services.platform.timestamps import to_timestamp
from services.scheduler.schedules.changes import ScheduleChanges
from services.scheduler.schedules.creation import Creator, ScheduleCreation
from services.scheduler.schedules.firing import NextFirings
from services.scheduler.schedules.schedule import Change, Schedule
from services.scheduler.schedules.store import ScheduleStore

type Context = grpc.aio.ServicerContext[Any, Any]


class ScheduleServicer(schedule_service_pb2_grpc.ScheduleServiceServicer):
    """ScheduleService, as the proto describes it."""

    def __init__(self, changes: ScheduleChanges, store: ScheduleStore, clock: Clock, *, trigger_cron: str) -> None:
        """`trigger_cron`: when the trigger comes, in UTC."""
        self._changes, self._store, self._clock, self._trigger_cron = changes, store, clock, trigger_cron
        self._creation = ScheduleCreation(changes, store, clock)

    async def CreateSchedule(self, request: schedule_service_pb2.CreateScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        """Raises InvalidArgument, NotFound, FailedPrecondition."""
        blank = Schedule.blank(
            config_id="",
            tenant_id=request.tenant_id,
            provider=request.provider,
            domain=request.domain,
            pipeline_template=request.pipeline_template,
        )
        requested = Change(
            schedule_cron=request.schedule_cron,
            timezone=request.timezone or None,
            is_active=_given(request, "is_active"),
            priority=_given(request, "priority"),
            parameters=_given(request, "parameters", _to_mapping),
            max_retries=_given(request, "max_retries"),
            catch_up=request.catch_up or None,
        )
        caller = current_caller()
        creator = Creator(user_id=caller.user_id, limits=caller.limits, key=key_of(context))
        return await self._shown(await self._creation.create(blank, requested, creator))

    async def ListSchedules(
        self, request: schedule_service_pb2.ListSchedulesRequest, context: Context
    ) -> schedule_service_pb2.ListSchedulesResponse:
        """Ordered by pipeline, then by config_id. Raises InvalidArgument."""
        size, after = page_size(request.page_size), from_key_token(request.page_token)
        # One more than requested, to know whether there is a next page.
        found = await self._store.page(request.tenant_id, after, size + 1)
        token = to_key_token(found[size - 1][0]) if len(found) > size else ""
        schedules = await asyncio.to_thread(lambda: [_to_proto(schedule) for _, schedule in found[:size]])
        return schedule_service_pb2.ListSchedulesResponse(schedules=schedules, next_page_token=token)

    async def GetSchedule(self, request: schedule_service_pb2.GetScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        """Raises NotFound."""
        return await self._shown(await self._changes.get(request.tenant_id, request.config_id))

    async def UpdateSchedule(self, request: schedule_service_pb2.UpdateScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        """Raises InvalidArgument, NotFound."""
        requested = Change(
            schedule_cron=_given(request, "schedule_cron"),
            timezone=_given(request, "timezone"),
            is_active=_given(request, "is_active"),
            priority=_given(request, "priority"),
            parameters=_given(request, "parameters", _to_mapping),
            max_retries=_given(request, "max_retries"),
            catch_up=_given(request, "catch_up"),
        )
        limits = current_caller().limits
        return await self._shown(await self._changes.change(request.tenant_id, request.config_id, requested, limits=limits))

    async def DeleteSchedule(
        self, request: schedule_service_pb2.DeleteScheduleRequest, context: Context
    ) -> schedule_service_pb2.DeleteScheduleResponse:
        """Raises NotFound."""
        await self._changes.delete(request.tenant_id, request.config_id)
        return schedule_service_pb2.DeleteScheduleResponse(config_id=request.config_id, action="DELETED")

    async def BackfillSchedule(
        self, request: schedule_service_pb2.BackfillScheduleRequest, context: Context
    ) -> schedule_service_pb2.BackfillScheduleResponse:
        """Raises InvalidArgument, NotFound, ResourceExhausted."""
        enqueued, skipped = await self._changes.backfill(
            request.tenant_id, request.config_id, request.start_date, request.end_date, limits=current_caller().limits
        )
        return schedule_service_pb2.BackfillScheduleResponse(config_id=request.config_id, enqueued_count=enqueued, skipped_count=skipped)

    async def _shown(self, schedule: Schedule) -> schedule_pb2.Schedule:
        """With its next fire times, which take a while to find."""
        firing = await asyncio.to_thread(NextFirings.of, schedule, self._trigger_cron, self._clock.now())
        shown = schedule_pb2.Schedule(
            next_fire_times=[
                schedule_pb2.FireTime(
                    local=one.fire.local.isoformat(),
                    utc=to_timestamp(one.fire.utc),
                    note=one.fire.note,
                    queued_at_earliest=to_timestamp(one.queued_at_earliest),
                )
                for one in firing.shown
            ],
            queued_at_earliest=to_timestamp(firing.queued_at_earliest),
            passed_over_count=firing.passed_over,
        )
        answer = _to_proto(schedule)
        answer.MergeFrom(shown)
        return answer


def _to_proto(schedule: Schedule) -> schedule_pb2.Schedule:
    answer = schedule_pb2.Schedule(
        config_id=schedule.config_id,
        tenant_id=schedule.tenant_id,
        provider=schedule.provider,
        domain=schedule.domain,
        pipeline_template=schedule.pipeline_template,
        schedule_cron=schedule.schedule_cron,
        timezone=schedule.timezone,
        is_active=schedule.is_active,
        priority=schedule.priority,
        max_retries=schedule.max_retries,
        catch_up=schedule.effective_catch_up,
        next_run_time=to_timestamp(schedule.next_run_time),
        last_run_time=to_timestamp(schedule.last_run_time),
        last_run_status=schedule.last_run_status,
        created_by_user_id=schedule.created_by_user_id,
        created_at=to_timestamp(schedule.created_at),
        updated_at=to_timestamp(schedule.updated_at),
        problem=schedule.problem,
    )
    answer.parameters.update(schedule.parameters)
    return answer


def _given(request: Any, field: str, decode: Callable[[Any], Any] = lambda value: value) -> Any:
    return decode(getattr(request, field)) if request.HasField(field) else None


def _to_mapping(parameters: Struct) -> dict[str, Any]:
    values = to_mapping(parameters, "parameters")
    # A Struct's numbers are doubles; whole numbers are stored as integers.
    return {name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in values.items()}
