"""HTTP details: old versions, HEAD, encodings, Retry-After. Raw sockets where a library would correct them."""

import asyncio
from typing import Any

import grpc
import pytest
from convergence.auth.v1 import quota_service_pb2, quota_service_pb2_grpc, tenant_pb2, tenant_service_pb2
from google.protobuf.message import Message

from tests.integration.gateway.conftest import KEYS, METADATA, ORIGIN, Gateway
from tests.integration.gateway.test_refusals import refusal
from tests.integration.gateway.upstream import Upstream

TENANT = "/api/v1/tenants/acme"
QUOTA = f"{TENANT}/quota"
RUN = "/api/v1/pipelines/runs/acme/some-run"
type Context = grpc.aio.ServicerContext[Any, Any]


SENT_KEYS = "".join(f"{name}: {value}\r\n" for name, value in KEYS.items())


async def exchange(gateway: Gateway, *requests: str | bytes) -> str:
    """All that comes back until the gateway closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"".join(one.encode() if isinstance(one, str) else one for one in requests))
    async with asyncio.timeout(10):
        answer = (await reader.read()).decode()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("request_line", "body", "status", "said"),
    [
        ("GET /healthz", "", "200 OK", '{"status":"ok"}'),
        ("GET /readyz", "", "200 OK", '{"status":"ok"}'),
        (f"GET {QUOTA}", "", "200 OK", '"tenant_id"'),
        (f"PUT {TENANT}", "{}", "200 OK", '"action"'),
        (f"PUT {TENANT}", "{", "400 Bad Request", "REQUEST_MALFORMED"),
        ("GET /nope", "", "404 Not Found", "PATH_NOT_FOUND"),
        (f"GET {RUN}:watch", "", "200 OK", "data: {"),
    ],
)
async def test_http_1_0_is_answered_as_any(
    gateway: Gateway, upstreams: dict[str, Upstream], request_line: str, body: str, status: str, said: str
) -> None:
    """Without a Host, as old health checks send it; streams too. Nothing is chunked, and the connection closes at the end."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    head, _, content = (await exchange(gateway, f"{request_line} HTTP/1.0\r\n{SENT_KEYS}{length}\r\n{body}")).partition("\r\n\r\n")

    assert head.startswith(f"HTTP/1.0 {status}\r\n")
    assert "transfer-encoding" not in head
    assert said in content


async def test_an_http_1_0_connection_is_kept_for_who_asks(gateway: Gateway, auth: Upstream) -> None:
    """As nginx and ab do."""
    kept = f"GET {QUOTA} HTTP/1.0\r\n{SENT_KEYS}Connection: keep-alive\r\n\r\n"
    answer = await exchange(gateway, kept, kept, f"GET {QUOTA} HTTP/1.0\r\n{SENT_KEYS}\r\n")
    assert answer.count("HTTP/1.0 200 OK") == len(auth.seen) == 3
    assert answer.count("connection: keep-alive") == 2


async def test_head_is_get_without_the_body(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    """The same status and headers, with the length of an answer of megabytes and what is said behind it, on a connection that goes on."""

    async def big(_: object, context: Context) -> Message:
        context.set_trailing_metadata((("ratelimit", "said"),))
        return quota_service_pb2.GetQuotaResponse(tenant_id="x" * 3_000_000)

    async def refuse(_: object, context: Context) -> Message:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "Who are you?")
        raise AssertionError

    for answer, path in ((None, "/healthz"), (None, QUOTA), (big, QUOTA), (refuse, QUOTA), (None, TENANT)):
        upstreams["auth"].answer = answer
        get, head = [await gateway.call(method, path) for method in ("GET", "HEAD")]
        assert (head.status_code, head.content) == (get.status_code, b"")
        ours = ("content-type", "content-length", "server")
        assert [head.headers[name] for name in ours] == [get.headers[name] for name in ours]
        assert head.headers.get("ratelimit") == get.headers.get("ratelimit") == ("said" if answer is big else None)
        answers = await exchange(
            gateway, *[f"HEAD {path} HTTP/1.1\r\nHost: x\r\n{SENT_KEYS}Connection: {it}\r\n\r\n" for it in ("keep-alive", "close")]
        )
        assert answers.count("HTTP/1.1 ") == 2
        assert "{" not in answers


async def test_head_of_a_stream_does_not_wait_for_its_end(gateway: Gateway, upstreams: dict[str, Upstream]) -> None:
    answer = await gateway.call("HEAD", f"{RUN}:watch?x=1")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert upstreams["executor"].seen == []


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "zstd", "identity, gzip", "nonsense"])
async def test_a_compressed_body_is_415(gateway: Gateway, auth: Upstream, encoding: str) -> None:
    status, code, reason, message = refusal(await gateway.call("PUT", TENANT, data=b"\x1f\x8b", headers={"content-encoding": encoding}))
    assert (status, code, reason) == (415, 3, "CONTENT_ENCODING_NOT_SUPPORTED")
    assert "without Content-Encoding" in message
    assert auth.seen == []


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("Content-Encoding: identity\r\nContent-Length: 20", b'{"company_name":"x"}'),
        ("Content-Encoding:\r\nContent-Length: 20", b'{"company_name":"x"}'),
        ("Content-Type: application/json; charset=utf-8\r\nContent-Length: 20", b'{"company_name":"x"}'),
        ("Content-Type: text/plain\r\nContent-Length: 20", b'{"company_name":"x"}'),
        ("Transfer-Encoding: chunked", b'5\r\n{"com\r\nf\r\npany_name":"x"}\r\n0\r\n\r\n'),
        ("X-HTTP-Method-Override: put\r\nContent-Length: 20", b'{"company_name":"x"}'),
        # The byte order mark of Windows tools.
        ("Content-Length: 23", b'\xef\xbb\xbf{"company_name":"x"}'),
    ],
)
async def test_bodies_as_clients_send_them(gateway: Gateway, auth: Upstream, headers: str, body: bytes) -> None:
    answer = await exchange(gateway, f"PUT {TENANT} HTTP/1.1\r\nHost: x\r\n{SENT_KEYS}Connection: close\r\n{headers}\r\n\r\n", body)
    assert answer.startswith("HTTP/1.1 200 OK")
    assert auth.seen[0].request == tenant_service_pb2.PutTenantRequest(tenant_id="acme", company_name="x")
    assert auth.seen[0].metadata["x-internal-body-fields"] == "company_name"


async def test_who_waits_for_100_continue_hears_it(gateway: Gateway, auth: Upstream) -> None:
    """Curl does so with a large body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(
        f"PUT {TENANT} HTTP/1.1\r\nHost: x\r\n{SENT_KEYS}Connection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n".encode()
    )
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"{}")
    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
    writer.close()


@pytest.mark.parametrize("path", [f"{QUOTA}/", "//api/v1/tenants/acme/quota", "/api/v1/./tenants/x/../acme/quota"])
async def test_paths_as_people_join_them(gateway: Gateway, auth: Upstream, path: str) -> None:
    answer = await exchange(gateway, f"GET {path} HTTP/1.1\r\nHost: x\r\n{SENT_KEYS}Connection: close\r\n\r\n")
    assert answer.startswith("HTTP/1.1 200 OK")
    assert auth.seen[0].request.tenant_id == "acme"


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        (f"GET {QUOTA} HTTP/1.1\r\n\r\n", "400", "Host"),
        (f"GET {QUOTA}#top HTTP/1.1\r\nHost: x\r\n{SENT_KEYS}\r\n", "400", "# as %23"),
        (
            f"PUT {TENANT} HTTP/1.1\r\nHost: x\r\n{SENT_KEYS}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400",
            "content_length_and_chunked",
        ),
        (f"PUT {TENANT} HTTP/1.1\r\nHost: x\r\n{SENT_KEYS}Transfer-Encoding: gzip, chunked\r\n\r\n", "501", "only chunked"),
        (
            f"POST {TENANT} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-HTTP-Method-Override: PUT\r\nContent-Length: 2\r\n\r\n{{}}",
            "400",
            "itself",
        ),
        (f"GET {RUN} HTTP/1.1\r\nHost: x\r\n{SENT_KEYS}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", "403", "not upgraded"),
    ],
)
async def test_what_cannot_be_answered_says_why(
    gateway: Gateway, upstreams: dict[str, Upstream], text: str, status: str, said: str
) -> None:
    head, _, content = (await exchange(gateway, text)).partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert said in content
    assert '"domain":"convergence"' in content
    assert '"code":2,' not in content, "it is no fault of ours"
    assert [one.seen for one in upstreams.values()] == [[]] * 4


@pytest.mark.parametrize(
    ("code", "sent", "heard"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "3600", "3600"),
        (grpc.StatusCode.UNAVAILABLE, "5", "5"),
        # Waiting does not help.
        (grpc.StatusCode.RESOURCE_EXHAUSTED, None, None),
        # gRPC itself, or a library, refuses without our details.
        (grpc.StatusCode.UNAVAILABLE, None, "2"),
        (grpc.StatusCode.INTERNAL, None, None),
    ],
)
async def test_a_refusal_that_passes_says_when(
    gateway: Gateway, upstreams: dict[str, Upstream], code: grpc.StatusCode, sent: str | None, heard: str | None
) -> None:
    """In the header that HTTP libraries and browsers wait by; what only gRPC clients understand stays away, and reaches those."""

    async def refuse(_: object, context: Context) -> Message:
        context.set_trailing_metadata((("grpc-retry-pushback-ms", "-1"), *((("retry-after", sent),) if sent else ())))
        await context.abort(code, "Not now.")
        raise AssertionError

    upstreams["auth"].answer = upstreams["executor"].answer = refuse
    for method, path in (("GET", QUOTA), ("HEAD", QUOTA), ("GET", f"{RUN}:watch")):
        answer = await gateway.call(method, path, headers={"Origin": ORIGIN})
        assert (answer.headers.get("retry-after"), answer.headers.get("grpc-retry-pushback-ms")) == (heard, None)
        assert "retry-after" in answer.headers["access-control-expose-headers"]
    async with grpc.aio.insecure_channel(gateway.target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await quota_service_pb2_grpc.QuotaServiceStub(channel).GetQuota(
                quota_service_pb2.GetQuotaRequest(tenant_id="acme"), metadata=METADATA
            )
    assert dict(refused.value.trailing_metadata() or ())["grpc-retry-pushback-ms"] == "-1"


async def test_an_answer_that_is_no_refusal_has_no_wait(gateway: Gateway, auth: Upstream) -> None:
    async def answer(_: object, __: Context) -> Message:
        return tenant_service_pb2.PutTenantResponse(tenant=tenant_pb2.Tenant(company_name="x"))

    auth.answer = answer
    assert "retry-after" not in (await gateway.call("PUT", TENANT, json={})).headers


@pytest.mark.parametrize("name", [*(f"x{mark}y" for mark in "!#$%&'*+^`|~"), "x-some-bin", "grpc-encoding", "grpc-retry-pushback-ms"])
async def test_headers_that_grpc_does_not_take_are_dropped(gateway: Gateway, auth: Upstream, name: str) -> None:
    """HTTP has names that gRPC has not, and gRPC has names of its own, whose values it decodes: it would answer 500."""
    answer = await exchange(gateway, f"GET {QUOTA} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{SENT_KEYS}{name}: !\r\n\r\n")
    assert answer.startswith("HTTP/1.1 200 OK")
    assert name not in auth.seen[0].metadata
