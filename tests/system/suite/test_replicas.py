"""Two processes of each service: what is exact with one is exact with two."""

import asyncio
from collections import Counter
from dataclasses import replace

import grpc
import pytest
from convergence.executor.v1 import pipeline_service_pb2 as messages
from convergence.executor.v1.pipeline_service_pb2_grpc import PipelineServiceStub
from convergence.executor.v1.watch_service_pb2 import RunEvent, WatchRunRequest
from convergence.executor.v1.watch_service_pb2_grpc import WatchServiceStub

from tests.support.credentials.samples import Rsa
from tests.system.channels import as_the_gateway, billing
from tests.system.tenants import Suite, until

pytestmark = pytest.mark.timeout(240)


async def test_sixty_calls_to_two_executors_and_two_auths_admit_exactly_25(replicated: tuple[Suite, list[str]], private_key: Rsa) -> None:
    suite, executors = replicated
    tenant = await asyncio.to_thread(suite.tenant, private_key, project="no-billing-export", daily_limit=25)
    assert (await asyncio.to_thread(tenant.set_credentials)).status == 200
    request = billing(tenant)

    async def run(channel: grpc.aio.Channel) -> str:
        try:
            await PipelineServiceStub(channel).RunPipeline(request, metadata=[("x-api-key", tenant.rest.headers["X-API-Key"])], timeout=60)
        except grpc.aio.AioRpcError as refused:
            return str(refused.code().name)
        return "OK"

    async with as_the_gateway(suite, executors) as channels:
        answers = await asyncio.gather(*(run(channels[call % 2]) for call in range(60)))

    assert Counter(answers) == {"OK": 25, "RESOURCE_EXHAUSTED": 35}
    quota = await asyncio.to_thread(until, tenant.quota, lambda quota: quota["pipelines_failed_today"] == 25, seconds=90)
    assert (quota["pipelines_run_today"], quota["concurrent_pipelines_running"]) == (25, 0)


async def test_the_same_idempotency_key_twenty_times_at_once_is_one_run(replicated: tuple[Suite, list[str]], private_key: Rsa) -> None:
    """Over two executor processes; through the gateway the header means the same run, and it has taken one unit."""
    suite, executors = replicated
    tenant = await asyncio.to_thread(suite.tenant, private_key, project="no-billing-export")
    assert (await asyncio.to_thread(tenant.set_credentials)).status == 200
    metadata = [("x-api-key", tenant.rest.headers["X-API-Key"]), ("idempotency-key", "order-1")]
    async with as_the_gateway(suite, executors) as channels:
        calls = (PipelineServiceStub(channels[call % 2]).RunPipeline(billing(tenant), metadata=metadata, timeout=60) for call in range(20))
        answers = await asyncio.gather(*calls)
    idempotent_starts = replace(tenant, rest=tenant.rest.but(Idempotency_Key="order-1"))
    again = await asyncio.to_thread(idempotent_starts.start, "2025-11-17")
    assert {answer.pipeline_logging_id for answer in answers} == {again.body["pipeline_logging_id"]}
    assert {(answer.status, answer.message) for answer in answers} == {(again.body["status"], again.body["message"])}
    rows = await asyncio.to_thread(tenant.rows, "SELECT pipeline_logging_id FROM {}.x_meta_pipeline_runs")
    assert len(rows) == 1
    assert (await asyncio.to_thread(tenant.quota))["pipelines_run_today"] == 1
    assert (await asyncio.to_thread(idempotent_starts.start, "2025-11-16")).status == 400


async def test_a_run_is_watched_through_either_executor(replicated: tuple[Suite, list[str]], private_key: Rsa) -> None:
    """The same events, in the same order, by whichever of them it is executed."""
    suite, executors = replicated
    tenant = await asyncio.to_thread(suite.tenant, private_key, project="no-billing-export")
    assert (await asyncio.to_thread(tenant.set_credentials)).status == 200
    metadata = [("x-api-key", tenant.rest.headers["X-API-Key"])]

    async def watch(channel: grpc.aio.Channel, run: str) -> list[RunEvent]:
        request = WatchRunRequest(tenant_id=tenant.tenant_id, pipeline_logging_id=run)
        events = WatchServiceStub(channel).WatchRun(request, metadata=metadata, timeout=90)
        return [event async for event in events if event.event != "WAITING"]

    async with as_the_gateway(suite, executors) as channels:
        run = (await PipelineServiceStub(channels[0]).RunPipeline(billing(tenant), metadata=metadata, timeout=60)).pipeline_logging_id
        at_the_leader, elsewhere = await asyncio.gather(*(watch(channel, run) for channel in channels))
        afterwards = await watch(channels[1], run)

    assert [event.event for event in at_the_leader][:: len(at_the_leader) - 1] == ["RUN", "RUN"]
    assert (at_the_leader[-1].run.status, len(at_the_leader)) == ("FAILED", len(afterwards))
    assert at_the_leader[1:] == elsewhere[1:] == afterwards[1:]


@pytest.mark.parametrize(
    ("by_hand", "refusal"),
    [
        (None, "UNAUTHENTICATED"),
        ("UPDATE {}.tenant_api_keys SET is_active = FALSE WHERE tenant_id = '{}'", "UNAUTHENTICATED"),
        ("UPDATE {}.tenant_subscriptions SET status = 'EXPIRED' WHERE tenant_id = '{}'", "PERMISSION_DENIED"),
    ],
    ids=["through the other auth", "key, in BigQuery", "subscription, in BigQuery"],
)
async def test_a_key_dies_within_five_seconds_where_no_push_arrives(
    replicated: tuple[Suite, list[str]], private_key: Rsa, by_hand: str | None, refusal: str
) -> None:
    """The second executor asks the second auth and is subscribed to it alone, so neither gets a push of these changes."""
    suite, (_, second) = replicated
    tenant = await asyncio.to_thread(suite.tenant, private_key)
    keys = f"/api/v1/tenants/{tenant.tenant_id}/api-keys"
    [key] = (await asyncio.to_thread(suite.admin.call, "GET", keys)).body["api_keys"]

    async with as_the_gateway(suite, [second]) as [channel]:

        async def answer() -> str:
            header = [("x-api-key", tenant.rest.headers["X-API-Key"])]
            try:
                await PipelineServiceStub(channel).ListTemplates(messages.ListTemplatesRequest(), metadata=header, timeout=60)
            except grpc.aio.AioRpcError as refused:
                return str(refused.code().name)
            return "OK"

        assert await answer() == "OK"
        if by_hand is None:
            revoked = await asyncio.to_thread(suite.admin.call, "DELETE", f"{keys}/{key['api_key_id']}")
            assert revoked.status == 200
        else:
            await asyncio.to_thread(suite.query, by_hand.format(suite.local.control_dataset, tenant.tenant_id))

        async with asyncio.timeout(5):
            while await answer() == "OK":
                await asyncio.sleep(0.05)
        assert await answer() == refusal
