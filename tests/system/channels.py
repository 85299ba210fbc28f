"""Calls past the gateway, with the gateway's own certificate."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
from convergence.executor.v1 import pipeline_service_pb2 as messages

from tests.system.tenants import Suite, Tenant


def billing(tenant: Tenant) -> messages.RunPipelineRequest:
    request = messages.RunPipelineRequest(tenant_id=tenant.tenant_id, provider="gcp", domain="cost", template="billing")
    request.parameters.update({"date": "2025-11-17"})
    return request


@asynccontextmanager
async def as_the_gateway(suite: Suite, executors: Sequence[str]) -> AsyncIterator[list[grpc.aio.Channel]]:
    """A channel to each executor, as the gateway has them."""
    certs = suite.local.certs_dir
    identity = grpc.ssl_channel_credentials(
        (certs / "ca.pem").read_bytes(), (certs / "gateway.key").read_bytes(), (certs / "gateway.pem").read_bytes()
    )
    options = [("grpc.ssl_target_name_override", "executor.convergence.internal")]
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(grpc.aio.secure_channel(address, identity, options=options)) for address in executors]
