"""Two of everything: what is exact with one process is exact with two."""

import asyncio
from collections import Counter

import grpc
import pytest
from convergence.executor.v1 import pipeline_service_pb2 as messages
from convergence.executor.v1.pipeline_service_pb2_grpc import PipelineServiceStub

from localcloud.rest import until
from tests.credentials.samples import Rsa
from tests.e2e.tenants import Suite

pytestmark = [pytest.mark.xdist_group("outages"), pytest.mark.timeout(240)]


async def test_sixty_calls_to_two_executors_and_two_auths_admit_exactly_25(replicated: tuple[Suite, list[str]], private_key: Rsa) -> None:
    suite, executors = replicated
    tenant = await asyncio.to_thread(suite.tenant, private_key, project="no-billing-export", daily_limit=25)
    assert (await asyncio.to_thread(tenant.set_credentials)).status == 200
    certs = suite.local.certs_dir
    identity = grpc.ssl_channel_credentials(
        (certs / "ca.pem").read_bytes(), (certs / "gateway.key").read_bytes(), (certs / "gateway.pem").read_bytes()
    )
    request = messages.RunPipelineRequest(tenant_id=tenant.tenant_id, provider="gcp", domain="cost", template="billing")
    request.parameters.update({"date": "2025-11-17"})

    async def run(channel: grpc.aio.Channel) -> str:
        try:
            await PipelineServiceStub(channel).RunPipeline(request, metadata=[("x-api-key", tenant.rest.headers["X-API-Key"])], timeout=60)
        except grpc.aio.AioRpcError as refused:
            return str(refused.code().name)
        return "OK"

    options = [("grpc.ssl_target_name_override", "executor.convergence.internal")]
    channels = [grpc.aio.secure_channel(address, identity, options=options) for address in executors]
    answers = await asyncio.gather(*(run(channels[call % 2]) for call in range(60)))
    for channel in channels:
        await channel.close()

    assert Counter(answers) == {"OK": 25, "RESOURCE_EXHAUSTED": 35}
    quota = await asyncio.to_thread(until, tenant.quota, lambda quota: quota["pipelines_failed_today"] == 25, seconds=90)
    assert (quota["pipelines_run_today"], quota["concurrent_pipelines_running"]) == (25, 0)
