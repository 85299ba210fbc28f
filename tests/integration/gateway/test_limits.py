"""What a request may hold, and how often it may come."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from convergence.auth.v1 import quota_service_pb2
from convergence.credentials.v1 import credential_service_pb2, credential_service_pb2_grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from services.platform.server import MAX_MESSAGE_BYTES
from tests.integration.gateway.conftest import KEYS, METADATA, Gateway, envoy
from tests.integration.gateway.test_refusals import refusal
from tests.integration.gateway.upstream import Upstream

KIB = 1024
QUOTA = "/api/v1/tenants/acme/quota"
RUN = "/api/v1/pipelines/run/acme/gcp/cost/billing"
CREDENTIALS = "/api/v1/tenants/acme/credentials"
JWKS = "/.well-known/jwks.json"
type Context = grpc.aio.ServicerContext[Any, Any]


@pytest.fixture(scope="module")
async def narrow(tmp_path_factory: pytest.TempPathFactory, tls_dir: Path, all_upstreams: dict[str, Upstream]) -> AsyncIterator[Gateway]:
    """A gateway behind a proxy of ours, with limits that a test can meet."""
    limits = {
        "anonymous_per_minute": 3,
        "large_bodies_per_minute": 10,
        "all_large_bodies_per_minute": 20,
        "xff_num_trusted_hops": 1,
        "connection_idle_seconds": 1,
        "max_connections": 20,
    }
    ports = {name: one.port for name, one in all_upstreams.items()}
    with envoy(tmp_path_factory.mktemp("narrow"), tls_dir, ports, **limits) as gateway:
        await gateway.ready()
        yield gateway


def body_of(size: int) -> bytes:
    """JSON of so many bytes that becomes the largest message there is: 11 bytes for `0,`."""
    zeros = (size - len('{"a":[0]}')) // 2
    return b'{"a":[0%s]%s}' % (b",0" * zeros, b" " * (size - len('{"a":[0]}') - 2 * zeros))


@pytest.mark.parametrize(("path", "largest"), [(RUN, 64 * KIB), (CREDENTIALS, 128 * KIB)])
async def test_a_body_may_be_so_large(gateway: Gateway, upstreams: dict[str, Upstream], path: str, largest: int) -> None:
    """The services take the message that it becomes."""
    service = upstreams["executor" if path == RUN else "credentials"]
    wrap = (b"", b"") if path == RUN else (b'{"credentials":', b"}")
    body = wrap[0] + body_of(largest - len(b"".join(wrap))) + wrap[1]
    assert (len(body), (await gateway.call("POST", path, data=body)).status_code) == (largest, 200)
    assert 5 * largest < service.seen[0].request.ByteSize() < MAX_MESSAGE_BYTES

    service.seen.clear()
    status, code, reason, _ = refusal(await gateway.call("POST", path, data=body + b" "))
    assert (status, code, reason, service.seen) == (413, 3, "BODY_TOO_LARGE", [])


async def test_a_body_that_does_not_say_how_large_it_is_may_be_16_kib(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    assert (await gateway.call("POST", RUN, data=iter([body_of(16 * KIB)]))).status_code == 200
    upstreams["executor"].seen.clear()
    assert refusal(await gateway.call("POST", RUN, data=iter([body_of(16 * KIB + 1)])))[2] == "BODY_TOO_LARGE"
    assert upstreams["executor"].seen == []


async def test_native_credentials_may_be_72_kib(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    """The largest credentials fit. What is larger is no UNKNOWN, and nothing that a client would send again."""
    request = credential_service_pb2.SetCredentialsRequest(tenant_id="acme", provider="GCP")
    request.credentials["key"] = "x" * 64 * KIB
    async with grpc.aio.insecure_channel(gateway.target) as channel:
        stub = credential_service_pb2_grpc.CredentialServiceStub(channel)
        await stub.SetCredentials(request, metadata=METADATA)
        assert upstreams["credentials"].seen[0].request == request
        request.credentials["key"] = "x" * 74 * KIB
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.SetCredentials(request, metadata=METADATA)
    status, info = rpc_status.from_call(refused.value), error_details_pb2.ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    assert (refused.value.code(), info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BODY_TOO_LARGE")
    assert refused.value.details() == "The request is larger than 72 KiB."


@pytest.mark.parametrize(
    ("code", "said", "status", "reason"),
    [
        # What gRPC itself says of a message over its limit.
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "SERVER: Received message larger than max (1200000 vs. 1048576)", 413, "BODY_TOO_LARGE"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", 504, "SERVICE_TIMEOUT"),
        (grpc.StatusCode.UNAVAILABLE, 'a "quoted" text', 503, "SERVICE_UNAVAILABLE"),
        (grpc.StatusCode.INTERNAL, "Exception deserializing request!", 500, "INTERNAL"),
    ],
)
async def test_what_grpc_itself_refuses_has_a_reason(
    gateway: Gateway, upstreams: dict[str, Upstream], code: grpc.StatusCode, said: str, status: int, reason: str
) -> None:
    async def refuse(_: object, context: Context) -> Message:
        await context.abort(code, said)
        raise AssertionError

    upstreams["executor"].answer = refuse
    for method, path in (("POST", RUN), ("GET", "/api/v1/pipelines/runs/acme/some-run:watch")):
        answer = await gateway.call(method, path)
        assert (refusal(answer)[0], refusal(answer)[2]) == (status, reason)
        assert answer.headers["content-length"] == str(len(answer.content))


async def test_how_long_a_rest_call_may_take_is_not_its_callers_to_say(gateway: Gateway, auth: Upstream) -> None:
    async def slow(_: object, context: Context) -> Message:
        assert (context.time_remaining() or 0) > 1
        await asyncio.sleep(0.1)
        return quota_service_pb2.GetQuotaResponse()

    auth.answer = slow
    assert (await gateway.call("GET", QUOTA, headers={"grpc-timeout": "10m"})).status_code == 200


@pytest.mark.parametrize("text", ["%FF", "%C3", "%ED%A0%80", "%C0%80", "%F5%80%80%80", "%E2%98", "a%80b"])
async def test_text_that_is_no_utf_8_is_400(gateway: Gateway, upstreams: dict[str, Upstream], text: str) -> None:
    """In the path and in the query; the same in UTF-8 passes."""
    for path in (f"/api/v1/tenants/{text}/quota", f"/api/v1/tenants/acme/credentials/aws/trust?role_arn={text}"):
        assert refusal(await gateway.call("GET", path))[:3] == (400, 3, "REQUEST_MALFORMED")
        assert [one.seen for one in upstreams.values()] == [[]] * 4
    for good in ("%C3%A9", "%E2%98%83", "%F0%9F%98%80", "%ED%9F%BF"):
        assert (await gateway.call("GET", f"/api/v1/tenants/{good}/quota")).status_code == 200


async def test_calls_that_need_no_key_are_counted_by_address(narrow: Gateway) -> None:
    """The address that our own proxy has seen, whatever the caller claims before it. Calls with a key are the services' to count."""

    async def asked(claims: str, path: str = JWKS) -> requests.Response:
        return await narrow.keyless("GET", path, headers={"x-forwarded-for": claims, **(KEYS if path == QUOTA else {})})

    answers = [await asked(f"10.9.8.{number}, 1.2.3.4") for number in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["ratelimit"] for answer in answers] == [
        '"default";r=2;t=20',
        '"default";r=1;t=40',
        '"default";r=0;t=20',
        '"default";r=0;t=20',
    ]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"default";q=3;w=60'}
    assert refusal(answers[3])[:3] == (429, 8, "RATE_LIMITED")
    assert answers[3].headers["retry-after"] == "20"
    assert {name for name in answers[3].headers if name.lower().startswith("x-")} == {"x-request-id", "x-content-type-options"}
    # One site of IPv6 is one client; another address is another.
    assert [(await asked(f"2001:db8:0:1::{number}")).status_code for number in range(4)] == [200, 200, 200, 429]
    assert (await asked("1.2.3.4, 1.2.3.5")).status_code == 200
    assert {(await asked("1.2.3.4", QUOTA)).status_code for _ in range(5)} == {200}


async def test_clients_of_grpc_hear_why_and_until_when(narrow: Gateway) -> None:
    path, metadata = "/convergence.credentials.v1.IssuerService/GetJsonWebKeySet", (("x-forwarded-for", "1.2.3.77"),)
    async with grpc.aio.insecure_channel(narrow.target) as channel:
        for _ in range(3):
            await channel.unary_unary(path)(b"", metadata=metadata)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary(path)(b"", metadata=metadata)
    status, info, retry = rpc_status.from_call(refused.value), error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status is not None
    assert [status.details[0].Unpack(info), status.details[1].Unpack(retry)] == [True, True]
    assert (refused.value.code(), info.reason, retry.retry_delay.seconds) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", 20)


async def test_services_hear_the_address_that_our_own_proxy_has_seen(narrow: Gateway, upstreams: dict[str, Upstream]) -> None:
    await narrow.call("GET", QUOTA, headers={"x-forwarded-for": "6.6.6.6, 7.7.7.7, 1.2.3.4"})
    await narrow.call("GET", QUOTA)
    assert [seen.metadata["x-forwarded-for"] for seen in upstreams["auth"].seen] == ["1.2.3.4", "127.0.0.1"]


async def test_a_silent_connection_is_closed_and_a_call_in_progress_is_not(narrow: Gateway, upstreams: dict[str, Upstream]) -> None:
    """A second is this gateway's patience; the call takes two."""

    async def slow(_: object, __: Context) -> Message:
        await asyncio.sleep(2)
        return quota_service_pb2.GetQuotaResponse()

    upstreams["auth"].answer = slow
    silent, writer = await asyncio.open_connection("127.0.0.1", narrow.port)
    calling = asyncio.create_task(narrow.call("GET", QUOTA))
    async with asyncio.timeout(5):
        assert await silent.read() == b""
    writer.close()
    assert (await calling).status_code == 200


async def test_connections_beyond_the_limit_are_closed_at_once(narrow: Gateway) -> None:
    opened = [await asyncio.open_connection("127.0.0.1", narrow.port) for _ in range(25)]

    async def is_closed(reader: asyncio.StreamReader) -> bool:
        try:
            async with asyncio.timeout(0.3):
                return await reader.read(1) == b""
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True

    assert sum(await asyncio.gather(*[is_closed(reader) for reader, _ in opened])) >= 5
    for _, writer in opened:
        writer.close()
    await narrow.ready()


async def test_large_bodies_are_few_from_an_address_and_of_all(narrow: Gateway, upstreams: dict[str, Upstream]) -> None:
    """They hold memory until they have arrived. What an address may not send takes nothing from others; small ones are not counted."""
    large, small = (b'{"credentials":' + body_of(size) + b"}" for size in (70 * KIB, 10 * KIB))

    async def sent(body: bytes, address: str) -> requests.Response:
        return await narrow.call("POST", CREDENTIALS, data=body, headers={"x-forwarded-for": address})

    junk = [await sent(large, "1.2.4.1") for _ in range(14)]
    assert [answer.status_code for answer in junk[:10]] == [200] * 10
    refused = next(answer for answer in junk[10:] if answer.status_code == 429)
    assert refusal(refused)[2] == "RATE_LIMITED"
    assert (refused.headers["retry-after"], refused.headers["ratelimit"]) == ("6", '"default";r=0;t=6')
    assert {(await sent(large, "1.2.4.2")).status_code for _ in range(5)} == {200}
    everybody = [(await sent(large, f"1.2.5.{number}")).status_code for number in range(10)]
    assert {200, 429} == set(everybody)
    assert {(await sent(small, "1.2.4.1")).status_code for _ in range(20)} == {200}


async def test_grpc_credentials_count_as_large_unless_they_say_otherwise(narrow: Gateway, upstreams: dict[str, Upstream]) -> None:
    """Clients of gRPC seldom say how long a request is. Over HTTP/1.1, where a test can say it."""
    path, headers = "/convergence.credentials.v1.CredentialService/SetCredentials", {"content-type": "application/grpc", "te": "trailers"}
    empty, statuses = bytes(5), []
    for body in [empty] * 14 + [iter([empty]) for _ in range(14)]:
        answer = await narrow.call("POST", path, data=body, headers=headers | {"x-forwarded-for": "1.2.6.1"})
        statuses.append(answer.headers.get("grpc-status"))
    assert statuses[:14] == [None] * 14, "the status of one that is served is in the trailers"
    assert "8" in statuses[14:]


async def test_what_a_service_says_of_its_limits_stays(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    """Also when it refuses for good, without Retry-After, a call that the gateway counts."""
    limits = (("ratelimit-policy", '"default";q=600;w=60'), ("ratelimit", '"default";r=599;t=1'))
    body = b'{"credentials":' + body_of(20 * KIB) + b"}"

    async def answer(_: object, context: Context) -> Message:
        context.set_trailing_metadata(limits)
        return credential_service_pb2.SetCredentialsResponse()

    async def refuse(_: object, context: Context) -> Message:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Never.")
        raise AssertionError

    upstreams["credentials"].answer = answer
    answered = await gateway.call("POST", CREDENTIALS, data=body)
    assert [(name, answered.headers[name]) for name, _ in limits] == list(limits)
    upstreams["credentials"].answer = refuse
    refused = await gateway.call("POST", CREDENTIALS, data=body)
    assert (refused.status_code, refused.headers.get("retry-after")) == (429, None)
    assert not [name for name in refused.headers if name.lower().startswith("x-envoy")]
