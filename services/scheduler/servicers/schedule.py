"""ScheduleService: decode, call the domain, encode."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import grpc
from convergence.scheduler.v1 import schedule_pb2, schedule_service_pb2, schedule_service_pb2_grpc
from google.protobuf.struct_pb2 import Struct

from services.platform.access.caller import current_caller
from services.platform.clock import Clock
from services.platform.rpc.structs import to_mapping
from services.platform.timestamps import to_timestamp
from services.scheduler.schedules.changes import ScheduleChanges
from services.scheduler.schedules.schedule import Change, Schedule
from services.scheduler.schedules.store import ScheduleStore

type Context = grpc.aio.ServicerContext[Any, Any]


class ScheduleServicer(schedule_service_pb2_grpc.ScheduleServiceServicer):
    """ScheduleService, as the proto describes it."""

    def __init__(self, changes: ScheduleChanges, store: ScheduleStore, clock: Clock) -> None:
        self._changes = changes
        self._store = store
        self._clock = clock

    async def CreateSchedule(self, request: schedule_service_pb2.CreateScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        """Raises InvalidArgument, NotFound."""
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
        return self._to_proto(await self._changes.create(blank, requested, user_id=current_caller().user_id), self._clock.now())

    async def ListSchedules(
        self, request: schedule_service_pb2.ListSchedulesRequest, context: Context
    ) -> schedule_service_pb2.ListSchedulesResponse:
        """Ordered by pipeline, then by config_id."""
        schedules, now = await self._store.list_all(request.tenant_id), self._clock.now()
        return schedule_service_pb2.ListSchedulesResponse(schedules=[self._to_proto(schedule, now) for schedule in schedules])

    async def GetSchedule(self, request: schedule_service_pb2.GetScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        """Raises NotFound."""
        return self._to_proto(await self._changes.get(request.tenant_id, request.config_id), self._clock.now())

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
        return self._to_proto(await self._changes.change(request.tenant_id, request.config_id, requested), self._clock.now())

    async def DeleteSchedule(
        self, request: schedule_service_pb2.DeleteScheduleRequest, context: Context
    ) -> schedule_service_pb2.DeleteScheduleResponse:
        """Raises NotFound."""
        await self._changes.delete(request.tenant_id, request.config_id)
        return schedule_service_pb2.DeleteScheduleResponse(config_id=request.config_id, action="DELETED")

    async def BackfillSchedule(
        self, request: schedule_service_pb2.BackfillScheduleRequest, context: Context
    ) -> schedule_service_pb2.BackfillScheduleResponse:
        """Raises InvalidArgument, NotFound."""
        enqueued, skipped = await self._changes.backfill(request.tenant_id, request.config_id, request.start_date, request.end_date)
        return schedule_service_pb2.BackfillScheduleResponse(config_id=request.config_id, enqueued_count=enqueued, skipped_count=skipped)

    @staticmethod
    def _to_proto(schedule: Schedule, now: datetime) -> schedule_pb2.Schedule:
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
            next_fire_times=[
                schedule_pb2.FireTime(local=fire.local.isoformat(), utc=to_timestamp(fire.utc), note=fire.note)
                for fire in schedule.shown_fire_times(now)
            ],
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
