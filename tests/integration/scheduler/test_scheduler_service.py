"""The queue's RPCs through a real server: the documented responses, who may call, and what a tenant sees of its runs."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import grpc
import pytest
from convergence.scheduler.v1 import (
    scheduled_run_service_pb2,
    scheduled_run_service_pb2_grpc,
    scheduler_service_pb2,
    scheduler_service_pb2_grpc,
)
from google.protobuf import json_format
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from services.platform.access.key_holder import KeyHolder
from services.platform.bigquery.client import BigQuery
from services.platform.plan import DEFAULT_PLAN, PlanLimits
from services.platform.settings import AdminKey
from services.scheduler.service import queue_service
from services.scheduler.settings import SchedulerSettings
from tests.conftest import channel_as, serving
from tests.integration.scheduler.conftest import Scheduler, Tables, full_hour
from tests.integration.scheduler.stub_executor import StubExecutor
from tests.support.set_clock import SetClock

PROVISIONER, SCHEDULER = "admin-provisioner", "admin-scheduler"
TRIGGER, PROCESS = scheduler_service_pb2.TriggerDuePipelinesRequest, scheduler_service_pb2.ProcessQueueRequest
ADMIN = [("x-admin-key", SCHEDULER)]
TENANT = [("x-api-key", "a key")]


class TenantIsKey:
    """Every key is the tenant's own."""

    tenant_id = ""
    limits = DEFAULT_PLAN

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        return KeyHolder(
            tenant_id=self.tenant_id, api_key_id="k", scopes=(), tenant_active=True, subscription_active=True, limits=self.limits
        )


@dataclass
class Service:
    """Stubs as the gateway has them."""

    jobs: scheduler_service_pb2_grpc.SchedulerServiceStub
    runs: scheduled_run_service_pb2_grpc.ScheduledRunServiceStub
    keys: TenantIsKey


@pytest.fixture
async def service(
    bq: BigQuery, clock: SetClock, tables: Tables, scheduler_settings: SchedulerSettings, to_executor: grpc.aio.Channel
) -> AsyncIterator[Service]:
    """Polls the executor ten times a second."""
    pairs = (("provisioner", PROVISIONER), ("scheduler", SCHEDULER))
    keys = tuple(AdminKey(role=role, sha256=sha256(key.encode()).hexdigest()) for role, key in pairs)
    settings = scheduler_settings.model_copy(update={"admin_keys": keys, "poll_seconds": 0.1, "key_cache_seconds": 0.0})
    tenant = TenantIsKey()
    async with (
        queue_service(settings, bq=bq, executor=to_executor, clock=clock) as served,
        serving(settings, name="scheduler", authenticator=tenant, served=served) as address,
        channel_as(settings, caller="gateway", peer="scheduler", address=address) as gateway,
    ):
        yield Service(
            jobs=scheduler_service_pb2_grpc.SchedulerServiceStub(gateway),
            runs=scheduled_run_service_pb2_grpc.ScheduledRunServiceStub(gateway),
            keys=tenant,
        )


async def refusal(call: Any) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    status, info = rpc_status.from_call(refused.value), error_details_pb2.ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    return refused.value.code().name, info.reason


def as_json(message: Any) -> dict[str, Any]:
    """As the gateway prints it."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


async def test_the_documented_answers(service: Service, tables: Tables, executor: StubExecutor) -> None:
    """Trigger, process, and the bookkeeping that goes on behind the answer until the queue is empty."""
    tenants = await tables.tenants(2)
    await tables.schedules(tenants)

    triggered = await service.jobs.TriggerDuePipelines(TRIGGER(), metadata=ADMIN)
    waiting = await service.jobs.GetSchedulerStatus(scheduler_service_pb2.GetSchedulerStatusRequest(), metadata=ADMIN)
    processed = as_json(await service.jobs.ProcessQueue(PROCESS(), metadata=ADMIN))
    await service.jobs.ProcessQueue(PROCESS(max_runs=500), metadata=ADMIN)
    idle = as_json(await service.jobs.ProcessQueue(PROCESS(), metadata=ADMIN))

    following = (full_hour(tables.clock.now()) + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    assert as_json(triggered) == {"triggered_count": 2, "queued_count": 2, "skipped_count": 0, "next_trigger_time": following}
    assert (waiting.due_count, waiting.queued_count, waiting.processing_count, waiting.failed_today_count) == (0, 2, 0, 0)
    (taken,) = processed.pop("runs")
    run_id = taken.pop("run_id")
    assert processed == {
        "processed": True,
        "pipeline_logging_id": taken["pipeline_logging_id"],
        "tenant_id": taken["tenant_id"],
        "pipeline_id": "gcp-cost-billing",
        "status": "PROCESSING",
        "message": f"Pipeline started processing for tenant {taken['tenant_id']}",
    }
    assert taken.items() < processed.items()
    assert run_id in {run["run_id"] for run in await tables.runs()}
    assert (idle["processed"], idle["status"], idle["pipeline_logging_id"], idle["runs"]) == (False, "IDLE", "", [])
    states = set[str]()
    while states != {"COMPLETED"}:
        executor.end_all()
        states = {run["state"] for run in await tables.runs()}
    assert executor.reconciled >= 1


@pytest.mark.parametrize("key", [None, "guess", PROVISIONER])
async def test_another_key_is_refused_and_nothing_happens(service: Service, tables: Tables, key: str | None) -> None:
    await tables.schedules(await tables.tenants())
    metadata = [("x-admin-key", key)] if key else []
    expected = {
        None: ("UNAUTHENTICATED", "ADMIN_KEY_MISSING"),
        "guess": ("UNAUTHENTICATED", "ADMIN_KEY_INVALID"),
        PROVISIONER: ("PERMISSION_DENIED", "ADMIN_ROLE_DENIED"),
    }[key]
    status = scheduler_service_pb2.GetSchedulerStatusRequest()
    for call in (
        service.jobs.TriggerDuePipelines(TRIGGER(), metadata=metadata),
        service.jobs.ProcessQueue(PROCESS(), metadata=metadata),
        service.jobs.GetSchedulerStatus(status, metadata=metadata),
    ):
        assert await refusal(call) == expected
    assert await tables.runs() == []


async def test_a_bad_max_runs_names_its_field(service: Service) -> None:
    for wrong in (-1, 501):
        assert await refusal(service.jobs.ProcessQueue(PROCESS(max_runs=wrong), metadata=ADMIN)) == ("INVALID_ARGUMENT", "BAD_FIELD")


async def test_a_tenant_sees_its_runs_and_puts_a_failed_one_back(
    service: Service, tables: Tables, scheduler: Scheduler, executor: StubExecutor
) -> None:
    """Attempts go on being counted, so that the new one has an id of its own; it has its retries anew."""
    mine, others = await tables.tenants(2)
    service.keys.tenant_id = mine
    await tables.schedules([mine] * 3 + [others], max_retries=1)
    await scheduler.trigger.fire()
    await scheduler.process(4)
    executor.end_all("FAILED", error_message="No rows.")
    await scheduler.poll()
    run_id = next(asked.run_id for asked in executor.asked if asked.tenant_id == mine)

    def listed(**fields: Any) -> Any:
        return service.runs.ListScheduledRuns(scheduled_run_service_pb2.ListScheduledRunsRequest(tenant_id=mine, **fields), metadata=TENANT)

    def retried(of: str) -> Any:
        return service.runs.RetryScheduledRun(
            scheduled_run_service_pb2.RetryScheduledRunRequest(tenant_id=mine, run_id=of), metadata=TENANT
        )

    page = await listed(page_size=2)
    rest = await listed(page_size=2, page_token=page.next_page_token)
    everything = [*page.scheduled_runs, *rest.scheduled_runs]
    assert (len(everything), rest.next_page_token, {run.state for run in everything}) == (3, "", {"FAILED"})
    assert {(run.retry_count, run.error_message, run.HasField("queue_state")) for run in everything} == {(1, "No rows.", False)}
    assert (await listed(state="COMPLETED")).scheduled_runs == []
    assert await refusal(listed(state="SOME")) == ("INVALID_ARGUMENT", "BAD_FIELD")

    again = await retried(run_id)
    assert (again.state, again.queue_state, again.retry_count, again.max_retries) == ("PENDING", "QUEUED", 1, 2)
    tables.clock.time += timedelta(seconds=1)
    assert await refusal(retried(run_id)) == ("FAILED_PRECONDITION", "RUN_NOT_RETRYABLE")
    service.keys.limits = PlanLimits(max_queued_runs=1)
    another = next(run.run_id for run in everything if run.run_id != run_id)
    assert await refusal(retried(another)) == ("RESOURCE_EXHAUSTED", "QUEUE_LIMIT_REACHED")
    assert await refusal(retried(run_id)) == ("FAILED_PRECONDITION", "RUN_NOT_RETRYABLE")
    assert await refusal(retried(str(uuid4()))) == ("NOT_FOUND", "SCHEDULED_RUN_NOT_FOUND")
    theirs = next(run["run_id"] for run in await tables.runs() if run["tenant_id"] == others)
    assert await refusal(retried(theirs)) == ("NOT_FOUND", "SCHEDULED_RUN_NOT_FOUND")
    await scheduler.process()
    executor.end_all()
    await scheduler.poll()
    assert [asked.attempt for asked in executor.asked if asked.run_id == run_id] == [1, 2]
    assert [run.run_id for run in (await listed(state="COMPLETED")).scheduled_runs] == [run_id]
    assert (await retried(another)).queue_state == "QUEUED", "the one that waited has left the queue"


async def test_a_tenant_learns_why_its_run_is_not_running_yet(service: Service, tables: Tables, executor: StubExecutor) -> None:
    """Behind another's run, then claimed and running, then ended; somebody else's run is not to be found."""
    first, tenant_id = await tables.tenants(2, max_priority=100)
    await tables.schedules([first], priority=90)
    await tables.schedules([tenant_id])
    service.keys.tenant_id = tenant_id
    await service.jobs.TriggerDuePipelines(TRIGGER(), metadata=ADMIN)
    runs = {run["tenant_id"]: run["run_id"] for run in await tables.runs()}

    async def asked(run_id: str) -> Any:
        request = scheduled_run_service_pb2.GetScheduledRunRequest(tenant_id=tenant_id, run_id=run_id)
        return await service.runs.GetScheduledRun(request, metadata=TENANT)

    waits = await asked(runs[tenant_id])
    assert (waits.state, waits.queue_state, waits.waiting_for) == ("PENDING", "QUEUED", "TURN")
    assert waits.waiting_message.startswith("1 ready run is before it")
    await tables.run("UPDATE tenant_profiles SET status = 'SUSPENDED' WHERE tenant_id = @t", {"t": ("STRING", tenant_id)})
    assert (await asked(runs[tenant_id])).waiting_for == "TENANT_NOT_ACTIVE"
    await tables.run("UPDATE tenant_profiles SET status = 'ACTIVE' WHERE tenant_id = @t", {"t": ("STRING", tenant_id)})
    assert await refusal(asked(runs[first])) == ("NOT_FOUND", "SCHEDULED_RUN_NOT_FOUND")

    await service.jobs.ProcessQueue(PROCESS(max_runs=2), metadata=ADMIN)
    while (done := await asked(runs[tenant_id])).queue_state:
        assert done.waiting_for in {"STARTING", ""}
        executor.end_all()
    assert (done.state, done.waiting_for, done.waiting_message) == ("COMPLETED", "", "")


async def test_the_queue_of_a_tenant_without_runs_is_empty_and_that_of_no_tenant_is_refused(service: Service, tables: Tables) -> None:
    """As an operator's other views of one tenant."""
    (tenant_id,) = await tables.tenants()
    listed = scheduler_service_pb2.ListQueueRequest
    assert not (await service.jobs.ListQueue(listed(tenant_id=tenant_id), metadata=ADMIN)).runs
    assert await refusal(service.jobs.ListQueue(listed(tenant_id="t_no_such"), metadata=ADMIN)) == ("NOT_FOUND", "TENANT_NOT_FOUND")
    assert not (await service.jobs.ListQueue(listed(), metadata=ADMIN)).runs
