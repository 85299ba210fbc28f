"""For every error, REST clients get `{code, message, details}`, from Envoy itself and from the services."""

import asyncio
from typing import Any

import grpc
import pytest
import requests
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from tests.integration.gateway.conftest import TIMEOUT_SECONDS, Gateway
from tests.integration.gateway.upstream import Upstream

# One Envoy for all of these.
QUOTA = "/api/v1/tenants/acme/quota"
TENANT = "/api/v1/tenants/acme"


def refusal(answer: requests.Response) -> tuple[int, int, str, str]:
    """HTTP status, code, reason and message, after checking the shape."""
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"code", "message", "details"}
    info, *more = body["details"]
    assert (info["@type"], info["domain"]) == ("type.googleapis.com/google.rpc.ErrorInfo", "convergence")
    if identity := answer.headers.get("x-request-id"):
        assert more[-1] == {"@type": "type.googleapis.com/google.rpc.RequestInfo", "request_id": identity}
    return answer.status_code, body["code"], info["reason"], body["message"]


@pytest.mark.parametrize(
    "body",
    [
        '{"provider": "GCP", "credentials": "SECRET"}',
        '{"provider": "GCP", "credentials": ["SECRET"]}',
        '{"provider": {"a": "SECRET"}}',
        '{"provider": "GCP", "credentials": {"service_account_json": "{"private_key": "SECRET"}"}}',
        '{"provider": "GCP", "credentials": {"service_account_json": "SECRET',
        "SECRET",
    ],
)
async def test_credentials_that_cannot_be_read_are_not_quoted(gateway: Gateway, upstreams: dict[str, Upstream], body: str) -> None:
    answer = await gateway.call("POST", f"{TENANT}/credentials", data=body)

    status, code, reason, message = refusal(answer)
    assert (status, code, reason) == (400, 3, "REQUEST_MALFORMED")
    assert "provider" in message
    assert "SECRET" not in answer.text
    assert upstreams["credentials"].seen == []


@pytest.mark.parametrize(
    ("method", "path", "takes"),
    [
        ("GET", QUOTA, "This call takes none."),
        ("GET", "/.well-known/jwks.json", "This call takes none."),
        ("GET", "/.well-known/openid-configuration", "This call takes none."),
        ("POST", "/api/v1/pipelines/run/acme/gcp/cost/billing", "This call takes none; all else belongs into the body."),
        ("GET", f"{TENANT}/schedules", "This call takes page_size, page_token."),
        ("POST", f"{TENANT}/schedules/x:backfill", "The fields of this call belong into the body: start_date, end_date."),
    ],
)
async def test_an_unknown_query_parameter_is_400_and_named_with_those_that_there_are(
    gateway: Gateway, upstreams: dict[str, Upstream], method: str, path: str, takes: str
) -> None:
    status, code, reason, message = refusal(answer := await gateway.call(method, f"{path}?nope=1"))

    assert (status, code, reason) == (400, 3, "REQUEST_MALFORMED")
    assert message.startswith(f'There is no query parameter "nope" here. Check its name, or leave it out. {takes}')
    assert answer.headers["content-length"] == str(len(answer.content))
    assert not [one for one in upstreams.values() if one.seen]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/credentials"), ("POST", "/credentials"), ("DELETE", "/credentials/aws"), ("POST", "/credentials/aws:check")],
)
async def test_beside_credentials_an_unknown_query_parameter_is_not_quoted(
    gateway: Gateway, upstreams: dict[str, Upstream], method: str, path: str
) -> None:
    status, code, reason, message = refusal(answer := await gateway.call(method, f"{TENANT}{path}?client_secret=a&SECRET=b"))

    assert (status, code, reason) == (400, 3, "REQUEST_MALFORMED")
    assert message.startswith("The query has a parameter that this call does not take")
    assert "SECRET" not in answer.text
    assert not [one for one in upstreams.values() if one.seen]


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/api/v1/nope"), ("GET", "/api/v1/quota"), ("GET", "/admin")])
async def test_an_unknown_path_is_404(gateway: Gateway, method: str, path: str) -> None:
    status, code, reason, _ = refusal(await gateway.call(method, path))
    assert (status, code, reason) == (404, 5, "PATH_NOT_FOUND")


async def test_headers_that_no_service_would_take_are_431(gateway: Gateway) -> None:
    """Not 429, which gRPC makes of oversized metadata."""
    status, code, reason, _ = refusal(await gateway.call("GET", QUOTA, headers={"x-api-key": "k" * 9_000}))
    assert (status, code, reason) == (431, 3, "HEADERS_TOO_LARGE")


async def test_no_service_refuses_the_headers_that_pass(gateway: Gateway, auth: Upstream) -> None:
    """Nor many small ones, for each of which gRPC counts 32 bytes more: beyond its limit it refuses some calls and takes others."""
    headers = {f"x-header-{number:02}": "v" * 70 for number in range(80)}
    assert {(await gateway.call("GET", QUOTA, headers=headers)).status_code for _ in range(20)} == {200}


async def test_a_service_that_does_not_answer_in_time_is_504(gateway: Gateway, auth: Upstream) -> None:
    async def never(_: object, __: grpc.aio.ServicerContext[Any, Any]) -> Message:
        await asyncio.sleep(TIMEOUT_SECONDS * 10)
        raise AssertionError

    auth.answer = never
    answer = await gateway.call("GET", QUOTA)
    # Envoy hands its deadline on. Our services answer just before it, with details; this bare one may also say "Deadline Exceeded" itself.
    if answer.json()["details"]:
        assert refusal(answer)[:3] == (504, 4, "SERVICE_TIMEOUT")
    assert (answer.status_code, answer.json()["code"], sorted(answer.json())) == (504, 4, ["code", "details", "message"])


async def test_a_request_that_never_ends_is_408(gateway: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(f"PUT {TENANT} HTTP/1.1\r\nHost: x\r\nx-admin-key: a\r\nContent-Length: 10\r\n\r\n{{".encode())
    answer = (await reader.read()).decode()
    writer.close()

    assert answer.startswith("HTTP/1.1 408 ")
    assert '"reason":"REQUEST_TIMEOUT"' in answer


async def test_a_request_that_is_not_http_is_400_in_json(gateway: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()

    assert answer.startswith("HTTP/1.1 400 ")
    assert "content-type: application/json" in answer
    assert '"code":3' in answer


@pytest.mark.parametrize(
    ("code", "http"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, 401),
        (grpc.StatusCode.PERMISSION_DENIED, 403),
        (grpc.StatusCode.NOT_FOUND, 404),
        (grpc.StatusCode.INVALID_ARGUMENT, 400),
        (grpc.StatusCode.ALREADY_EXISTS, 409),
        (grpc.StatusCode.FAILED_PRECONDITION, 400),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 429),
        (grpc.StatusCode.UNAVAILABLE, 503),
        (grpc.StatusCode.INTERNAL, 500),
    ],
)
async def test_a_services_error_keeps_its_details(gateway: Gateway, auth: Upstream, code: grpc.StatusCode, http: int) -> None:
    """The codes of DESIGN.md's table, with all kinds of details that we send."""
    info = error_details_pb2.ErrorInfo(reason="SOME_REASON", domain="convergence", metadata={"tenant_id": "acme"})
    violation = error_details_pb2.BadRequest.FieldViolation(field="date", description="is no date")
    retry = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=60))

    async def refuse(_: object, context: grpc.aio.ServicerContext[Any, Any]) -> Message:
        details = []
        for detail in (info, error_details_pb2.BadRequest(field_violations=[violation]), retry):
            packed = any_pb2.Any()
            packed.Pack(detail)
            details.append(packed)
        await context.abort_with_status(rpc_status.to_status(status_pb2.Status(code=code.value[0], message='Not "so".', details=details)))
        raise AssertionError

    auth.answer = refuse
    answer = await gateway.call("GET", QUOTA)

    assert answer.status_code == http
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert (body["code"], body["message"]) == (code.value[0], 'Not "so".')
    assert [detail["@type"].rpartition(".")[2] for detail in body["details"]] == ["ErrorInfo", "BadRequest", "RetryInfo"]
    assert body["details"][0]["metadata"] == {"tenant_id": "acme"}
    assert body["details"][1]["field_violations"][0]["field"] == "date"
    assert body["details"][2]["retry_delay"] == "60s"
