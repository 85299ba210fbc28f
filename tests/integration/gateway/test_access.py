"""Calls without a credential are refused by their headers alone, in the words of the services."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from gateway.public_rpcs import PublicRpc, public_rpcs
from gateway.settings import GatewaySettings
from services.platform.access.control import AccessControl
from services.platform.access.key_holder import Authenticator
from services.platform.errors import Unauthenticated
from services.platform.rpc.calls import Call, Rpc
from services.platform.settings import ServiceSettings
from tests.integration.gateway.conftest import KEYS, ORIGIN, Gateway
from tests.integration.gateway.test_refusals import refusal
from tests.integration.gateway.upstream import Upstream

RPCS = public_rpcs(GatewaySettings().descriptor)
OPEN = {"/.well-known/jwks.json", "/.well-known/openid-configuration"}
QUOTA = "/api/v1/tenants/acme/quota"
TENANT = "/api/v1/tenants/acme"


def rest_path(rpc: PublicRpc) -> str:
    return rpc.template.replace("{", "").replace("}", "")


async def word_of_the_service(rpc: PublicRpc, settings: ServiceSettings) -> tuple[str, str] | None:
    """Reason and message of the refusal of a call without metadata; None if it is let in."""
    method = descriptor_pool.Default().FindMethodByName(f"{rpc.service}.{rpc.name}")
    request = message_factory.GetMessageClass(method.input_type)()
    context: Any = SimpleNamespace(auth_context=dict, peer=lambda: "ipv4:192.0.2.1:1")
    authenticator: Authenticator | Any = None
    call = Call(request=request, context=context, metadata={})

    async def admitted(call: Call) -> None:
        return None

    try:
        await AccessControl(settings, authenticator)(Rpc(path=rpc.path, method=method), admitted)(call)
    except Unauthenticated as error:
        return error.reason, error.message
    return None


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.name)
async def test_the_gateway_refuses_who_shows_nothing_as_the_service_would(
    gateway: Gateway, upstreams: dict[str, Upstream], plain_settings: ServiceSettings, rpc: PublicRpc
) -> None:
    """Over REST and over gRPC, for every public RPC; nothing arrives."""
    expected = await word_of_the_service(rpc, plain_settings)
    answer = await gateway.keyless(rpc.verb, rest_path(rpc))
    async with grpc.aio.insecure_channel(gateway.target) as channel:
        if expected is None:
            assert rest_path(rpc) in OPEN
            assert answer.status_code == 200
            await channel.unary_unary(rpc.path)(b"")
            return
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary(rpc.path)(b"")
    assert refusal(answer) == (401, 16, *expected)
    status, info = rpc_status.from_call(refused.value), error_details_pb2.ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    assert (status.code, info.reason, info.domain, status.message) == (16, expected[0], "convergence", expected[1])
    assert [one.seen for one in upstreams.values()] == [[]] * 4


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", QUOTA, {"x-api-key": "k"}, 200),
        ("GET", QUOTA, {"Authorization": "Bearer t"}, 200),
        ("GET", QUOTA, {"x-api-key": ""}, 401),
        ("GET", QUOTA, {"x-admin-key": "a"}, 401),
        ("HEAD", QUOTA, {}, 401),
        ("PUT", TENANT, {"x-admin-key": "a"}, 200),
        ("PUT", TENANT, {"Authorization": "Bearer t"}, 200),
        ("PUT", TENANT, {"x-api-key": "k"}, 401),
        ("OPTIONS", QUOTA, {}, 405),
        ("GET", "/healthz", {}, 200),
        ("GET", "/readyz", {}, 200),
    ],
)
async def test_what_counts_as_a_credential(
    gateway: Gateway, auth: Upstream, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """An admin's for admins' RPCs, a tenant's for tenants'; a bearer token may be of either."""
    assert (await gateway.keyless(method, path, headers=headers)).status_code == status


async def test_a_browser_can_read_the_refusal(gateway: Gateway) -> None:
    for path in (QUOTA, "/api/v1/nope"):
        answer = await gateway.keyless("GET", path, headers={"Origin": ORIGIN})
        assert answer.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize(
    ("request_line", "reason"),
    [
        (f"PUT {TENANT}", "ADMIN_KEY_MISSING"),
        ("POST /api/v1/pipelines/run/acme/gcp/cost/billing", "API_KEY_MISSING"),
        ("POST /api/v1/nope", "PATH_NOT_FOUND"),
        (f"DELETE {TENANT}", "METHOD_NOT_ALLOWED"),
    ],
)
async def test_the_body_is_not_waited_for(gateway: Gateway, request_line: str, reason: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(f"{request_line} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{{".encode())
    async with asyncio.timeout(2):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
        body = json.loads(await reader.readexactly(length))
    writer.close()
    assert body["details"][0]["reason"] == reason


async def test_each_path_of_the_transcoder_has_a_route(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    """Also with a slash at the end, and with other characters in a variable."""
    for rpc in RPCS:
        for path in (rest_path(rpc) + ("" if ":" in rpc.template else "/"), rpc.template.replace("{", "%2F").replace("}", "é%20'")):
            upstreams[rpc.owner].seen.clear()
            answer = await gateway.call(rpc.verb, path)
            assert (answer.status_code, [seen.path for seen in upstreams[rpc.owner].seen]) == (200, [rpc.path]), path


async def test_grpc_on_a_rest_path_is_no_rpc(gateway: Gateway, auth: Upstream) -> None:
    async with grpc.aio.insecure_channel(gateway.target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary(QUOTA)(b"", metadata=tuple(KEYS.items()))
    assert (refused.value.code(), auth.seen) == (grpc.StatusCode.UNIMPLEMENTED, [])
