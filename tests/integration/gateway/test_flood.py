"""What a flood costs the gateway: real connections that hold what they can. `make flood` does the same with thousands."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.flood import STREAMS, grpc_requests, held, rest_request
from benchmarks.memory import peak_memory
from tests.integration.gateway.conftest import KEYS, Gateway, envoy
from tests.integration.gateway.test_refusals import refusal
from tests.integration.gateway.upstream import Upstream

KIB = 1024
QUOTA = "/api/v1/tenants/acme/quota"
RPC = "/convergence.executor.v1.PipelineService/RunPipeline"
CREDENTIALS = "/api/v1/tenants/acme/credentials"
NUMBER = 320
FLOODS = {
    "silent": (b"", 0.02),
    "keyless": (rest_request({}, declared=1024 * KIB, sent=1000 * KIB), 0.06),
    "too large": (rest_request(KEYS, declared=1024 * KIB, sent=1000 * KIB), 0.06),
    "large": (rest_request(KEYS, declared=128 * KIB, sent=127 * KIB, path=CREDENTIALS), 0.08),
    "small": (rest_request(KEYS, declared=16 * KIB, sent=15 * KIB), 0.09),
    "native": (grpc_requests(KEYS, sent=15 * KIB, path=RPC), 0.09),
    "documents": (b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n", 0.12),
    "crowded": (grpc_requests(KEYS, sent=15 * KIB, path=RPC, streams=100), 0.12),
}
"""And the MiB that one call of each may cost: of the large ones, few are let in."""


@pytest.fixture
async def fresh(tmp_path: Path, tls_dir: Path, all_upstreams: dict[str, Upstream]) -> AsyncIterator[Gateway]:
    """A gateway that has not yet been large, with a small heap."""
    limits = {"max_heap_mib": 64, "large_bodies_per_minute": 20}
    with envoy(tmp_path, tls_dir, {name: one.port for name, one in all_upstreams.items()}, **limits) as gateway:
        await gateway.ready()
        yield gateway


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_call_that_does_not_end_costs_little_and_others_are_served(fresh: Gateway, flood: str) -> None:
    request, each = FLOODS[flood]
    connections = NUMBER // STREAMS if flood in ("native", "crowded") else NUMBER
    assert (await fresh.call("GET", QUOTA)).status_code == 200
    with peak_memory(fresh.pid) as before:
        pass
    with peak_memory(fresh.pid) as peak:
        async with held(fresh.port, request, connections) as opened:
            assert {(await fresh.call("GET", QUOTA)).status_code for _ in range(5)} == {200}
            assert len(opened) == connections
    assert peak.own - before.own < NUMBER * each


async def test_beyond_the_heap_calls_are_refused_until_it_is_over(fresh: Gateway) -> None:
    """By its own reason and with a wait; the refused cost nothing."""
    with peak_memory(fresh.pid) as before:
        pass
    with peak_memory(fresh.pid) as peak:
        async with held(fresh.port, FLOODS["small"][0], 1500):
            answer = await until(fresh, 503)
            assert refusal(answer)[:3] == (503, 14, "GATEWAY_OVERLOADED")
            assert answer.headers["retry-after"] == "5"
        await until(fresh, 200)
    assert peak.own - before.own < 100  # the heap may have 64 MiB, with what the gateway has at its start


async def until(gateway: Gateway, status: int) -> Any:
    """Asks until the answer has this status. Raises TimeoutError."""
    async with asyncio.timeout(10):
        while (answer := await gateway.call("GET", QUOTA)).status_code != status:
            await asyncio.sleep(0.05)
    return answer
