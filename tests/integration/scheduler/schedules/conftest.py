"""Schedules through a real server on a BigQuery emulator, with an executor that only checks."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import grpc
import pytest
from convergence.executor.v1 import run_service_pb2, run_service_pb2_grpc
from convergence.scheduler.v1 import schedule_pb2, schedule_service_pb2, schedule_service_pb2_grpc
from google.protobuf import json_format

from services.platform.access.key_holder import KeyHolder
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.errors import InvalidArgument, NotFound
from services.platform.plan import DEFAULT_PLAN, PlanLimits
from services.platform.rpc.peers import peer_channel
from services.platform.server import Served
from services.platform.settings import ServiceSettings
from services.scheduler.service import schedule_served
from tests.conftest import channel_as, serving

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
PIPELINE = {"provider": "GCP", "domain": "cost", "pipeline_template": "billing"}


@dataclass
class SetClock:
    """Goes on by a microsecond whenever it is asked, so that no two calls come at the same moment."""

    time: datetime = NOON

    def now(self) -> datetime:
        self.time += timedelta(microseconds=1)
        return self.time


class TenantIsKey:
    """An authenticator for which every key is its tenant's name."""

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        return KeyHolder(
            tenant_id=self.tenant_id, api_key_id="k", scopes=(), tenant_active=True, subscription_active=True, limits=self.limits
        )

    tenant_id = ""
    limits: PlanLimits = DEFAULT_PLAN


PARAMETERS: Final = {"billing": {"date", "note"}, "dateless": {"note"}, "monthly": {"month", "note"}}


class Checking(run_service_pb2_grpc.RunServiceServicer):
    """An executor that knows the pipelines of PARAMETERS."""

    async def CheckPipeline(self, request: run_service_pb2.CheckPipelineRequest, context: Any) -> run_service_pb2.CheckPipelineResponse:
        if (request.provider, request.domain) != ("gcp", "cost") or request.template not in PARAMETERS:
            raise NotFound("TEMPLATE_NOT_FOUND", "There is no such template.")
        for name in json_format.MessageToDict(request.parameters):
            if name not in PARAMETERS[request.template]:
                raise InvalidArgument(f"parameters.{name}", "this pipeline has no such parameter.")
        dates = ["date"] if request.template == "billing" else []
        return run_service_pb2.CheckPipelineResponse(
            pipeline_id=f"gcp-cost-{request.template}", date_parameters=dates, covers_months=request.template == "monthly"
        )

    StartRun = GetRunStates = CancelTenantRuns = ReconcileRuns = None  # type: ignore[assignment]


@dataclass
class Api:
    """The RPCs, as a tenant calls them through the gateway."""

    stub: schedule_service_pb2_grpc.ScheduleServiceStub
    clock: SetClock
    tenants: TenantIsKey
    bq: BigQuery
    metadata: list[tuple[str, str]] = field(default_factory=list)
    """In addition to the key and the user."""

    async def create(self, **fields: Any) -> schedule_pb2.Schedule:
        request = {"tenant_id": self.tenants.tenant_id, "schedule_cron": "30 2 * * *", "timezone": "Europe/Berlin", **PIPELINE, **fields}
        made: schedule_pb2.Schedule = await self._call(
            self.stub.CreateSchedule, json_format.ParseDict(request, schedule_service_pb2.CreateScheduleRequest())
        )
        return made

    async def get(self, config_id: str) -> schedule_pb2.Schedule:
        read: schedule_pb2.Schedule = await self._call(
            self.stub.GetSchedule, schedule_service_pb2.GetScheduleRequest(**self._key(config_id))
        )
        return read

    async def page(self, size: int = 0, token: str = "") -> schedule_service_pb2.ListSchedulesResponse:
        request = schedule_service_pb2.ListSchedulesRequest(tenant_id=self.tenants.tenant_id, page_size=size, page_token=token)
        page: schedule_service_pb2.ListSchedulesResponse = await self._call(self.stub.ListSchedules, request)
        return page

    async def all(self) -> list[schedule_pb2.Schedule]:
        return list((await self.page()).schedules)

    async def patch(self, config_id: str, **fields: Any) -> schedule_pb2.Schedule:
        request = json_format.ParseDict({**self._key(config_id), **fields}, schedule_service_pb2.UpdateScheduleRequest())
        changed: schedule_pb2.Schedule = await self._call(self.stub.UpdateSchedule, request)
        return changed

    async def delete(self, config_id: str) -> Any:
        return await self._call(self.stub.DeleteSchedule, schedule_service_pb2.DeleteScheduleRequest(**self._key(config_id)))

    async def backfill(self, config_id: str, start: str, end: str) -> tuple[int, int]:
        request = schedule_service_pb2.BackfillScheduleRequest(**self._key(config_id), start_date=start, end_date=end)
        answer = await self._call(self.stub.BackfillSchedule, request)
        return answer.enqueued_count, answer.skipped_count

    async def rows(self, sql: str, **params: str) -> list[dict[str, Any]]:
        block = make_block("look", sql, dict.fromkeys(["tenant", *params], "STRING"))
        return (await self.bq.query(block, {"tenant": self.tenants.tenant_id, **params}, dataset=self.bq.control())).rows

    def _key(self, config_id: str) -> dict[str, str]:
        return {"tenant_id": self.tenants.tenant_id, "config_id": config_id}

    async def _call(self, method: Any, request: Any) -> Any:
        return await method(request, metadata=[("x-api-key", self.tenants.tenant_id), ("x-user-id", "alice"), *self.metadata])


@pytest.fixture
async def api(service_settings: ServiceSettings, bq: BigQuery, tenant_id: str) -> AsyncIterator[Api]:
    settings = service_settings.model_copy(update={"key_cache_seconds": 0.0})
    tenants, clock = TenantIsKey(), SetClock()
    tenants.tenant_id = tenant_id
    checking = Served(
        name="convergence.executor.v1.RunService", add=run_service_pb2_grpc.add_RunServiceServicer_to_server, servicer=Checking()
    )
    async with (
        serving(settings, name="executor", authenticator=tenants, served=[checking]) as executor,
        peer_channel(settings, caller="scheduler", peer="executor", address=executor) as channel,
        serving(settings, name="scheduler", authenticator=tenants, served=[schedule_served(bq, channel, clock)]) as address,
        channel_as(settings, caller="gateway", peer="scheduler", address=address) as gateway,
    ):
        yield Api(stub=schedule_service_pb2_grpc.ScheduleServiceStub(gateway), clock=clock, tenants=tenants, bq=bq)


async def refusal(call: Any) -> tuple[str, str]:
    """The code a call is refused with, and its message up to the first colon: the field, for bad input."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code().name, (refused.value.details() or "").partition(":")[0]
