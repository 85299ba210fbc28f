"""Services that are down or fail. These tests have a gateway of their own, because they stop its services."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from convergence.auth.v1 import quota_service_pb2, quota_service_pb2_grpc
from google.protobuf.message import Message

from localcloud.ports import free_ports
from localcloud.settings import SERVICES
from tests.integration.gateway.conftest import METADATA, Gateway, envoy
from tests.integration.gateway.upstream import Upstream

QUOTA = "/api/v1/tenants/acme/quota"


@pytest.fixture
async def all_up(tmp_path: Path, tls_dir: Path) -> AsyncIterator[tuple[Gateway, dict[str, Upstream]]]:
    ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
    upstreams = {name: Upstream(name=name, port=port, tls_dir=tls_dir) for name, port in ports.items()}
    with envoy(tmp_path, tls_dir, ports) as gateway:
        # The services come up after the gateway, as they may in a container.
        for upstream in upstreams.values():
            await upstream.start()
        await gateway.ready()
        yield gateway, upstreams
    for upstream in upstreams.values():
        await upstream.stop()


async def test_a_service_that_is_down_is_503_and_back_within_a_second(all_up: tuple[Gateway, dict[str, Upstream]]) -> None:
    """For both kinds of client; the others are not touched; /readyz tells, and /healthz is the gateway's own."""
    gateway, upstreams = all_up
    await upstreams["auth"].stop()

    answer = await gateway.call("GET", QUOTA)
    assert (answer.status_code, answer.json()["code"], answer.json()["details"][0]["reason"]) == (503, 14, "SERVICE_UNAVAILABLE")
    assert int(answer.headers["retry-after"]) >= 1
    async with grpc.aio.insecure_channel(gateway.target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await quota_service_pb2_grpc.QuotaServiceStub(channel).GetQuota(
                quota_service_pb2.GetQuotaRequest(tenant_id="acme"), metadata=METADATA
            )
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert not refused.value.details().startswith("{")
    assert (await gateway.call("GET", "/api/v1/tenants/acme/credentials")).status_code == 200
    unready = await until(gateway, "/readyz", 503)
    assert unready.json()["code"] == 14
    assert int(unready.headers["retry-after"]) >= 1
    assert (await gateway.call("GET", "/healthz")).json() == {"status": "ok"}

    await upstreams["auth"].start()
    began = time.monotonic()
    await until(gateway, QUOTA, 200)
    assert time.monotonic() - began < 1.5


async def test_a_service_that_passes_on_unavailable_stays_in(all_up: tuple[Gateway, dict[str, Upstream]]) -> None:
    """A BigQuery outage shows as the service's own answers, and is over when it is over."""
    gateway, upstreams = all_up

    upstreams["auth"].answer = ending(grpc.StatusCode.UNAVAILABLE, "BigQuery does not answer.")
    answers = [await gateway.call("GET", QUOTA) for _ in range(30)]
    assert {(answer.status_code, answer.json()["message"]) for answer in answers} == {(503, "BigQuery does not answer.")}
    assert len(upstreams["auth"].seen) == 30, "refused calls were sent again"

    upstreams["auth"].answer = None
    assert (await gateway.call("GET", QUOTA)).status_code == 200


async def test_a_call_that_a_service_drops_as_it_stops_may_be_made_again(all_up: tuple[Gateway, dict[str, Upstream]]) -> None:
    """The answer of gRPC itself is CANCELLED, which is 499 over REST: that the client has gone."""
    gateway, upstreams = all_up

    upstreams["auth"].answer = ending(grpc.StatusCode.CANCELLED, "CANCELLED")
    answer = await gateway.call("GET", QUOTA)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, 14, "2")
    assert "may have been done" in answer.json()["message"]
    details = {one["@type"].rpartition(".")[2]: one for one in answer.json()["details"]}
    assert details["ErrorInfo"]["reason"] == "SERVICE_UNAVAILABLE"
    assert details["RequestInfo"]["request_id"] == answer.headers["x-request-id"]


async def test_the_services_certificate_must_name_it(all_up: tuple[Gateway, dict[str, Upstream]]) -> None:
    """Another service of the suite cannot stand in for auth, though the same authority signed for it."""
    gateway, upstreams = all_up
    auth = upstreams["auth"]
    await auth.stop()
    auth.identity = "executor"
    await auth.start()

    assert (await gateway.call("GET", QUOTA)).status_code == 503
    assert auth.seen == []


async def test_services_are_called_with_mutual_tls_1_3(all_up: tuple[Gateway, dict[str, Upstream]]) -> None:
    """The service sees the gateway's own name."""
    gateway, upstreams = all_up
    names: list[bytes] = []

    async def look(_: object, context: grpc.aio.ServicerContext[Any, Any]) -> Message:
        names.extend(context.auth_context()["x509_subject_alternative_name"])
        return quota_service_pb2.GetQuotaResponse()

    upstreams["auth"].answer = look
    await gateway.call("GET", QUOTA)
    assert names == [b"gateway.convergence.internal"]
    url = f"http://127.0.0.1:{gateway.admin_port}/stats?filter=cluster.*ssl.versions"
    stats = (await asyncio.to_thread(requests.get, url, timeout=5)).text
    assert stats
    assert all(".TLSv1.3:" in line for line in stats.splitlines())


def ending(code: grpc.StatusCode, details: str) -> Callable[[object, grpc.aio.ServicerContext[Any, Any]], Awaitable[Message]]:
    """The answer of a service that ends each call so."""

    async def answer(_: object, context: grpc.aio.ServicerContext[Any, Any]) -> Message:
        await context.abort(code, details)
        raise AssertionError

    return answer


async def until(gateway: Gateway, path: str, status: int) -> requests.Response:
    """Asks until the gateway answers so. Raises TimeoutError."""
    async with asyncio.timeout(10):
        while (answer := await gateway.call("GET", path)).status_code != status:
            await asyncio.sleep(0.02)
    return answer
