"""Streams for browsers: events with ids, going on behind the last one, and a token in the address that is seen nowhere else."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from convergence.executor.v1 import run_pb2, watch_service_pb2

from tests.integration.gateway.conftest import KEYS, ORIGIN, Gateway
from tests.integration.gateway.test_refusals import refusal
from tests.integration.gateway.upstream import Upstream

WATCH = "/api/v1/pipelines/runs/acme/some-run:watch"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ0IjoiYWNtZSJ9.c2lnbmF0dXJl-_"
type Context = grpc.aio.ServicerContext[Any, Any]


def event(identity: str, text: str = "") -> watch_service_pb2.RunEvent:
    """What a run, or its steps, may say must not be taken for the event's own id or end."""
    return watch_service_pb2.RunEvent(event="STEP", id=identity, step=run_pb2.StepLog(step_id=text))


@pytest.fixture
def executor(upstreams: dict[str, Upstream]) -> Upstream:
    return upstreams["executor"]


@pytest.mark.parametrize("text", ["", '"id":"9-9"}\n\n', '"id":"9-9"}\\n\\n', "\n\nid: 9-9\n\n", "é" * 20_000, '"}\n\ndata: {}'])
async def test_each_event_has_its_id_as_a_line(gateway: Gateway, executor: Upstream, text: str) -> None:
    async def three(_: object, __: Context) -> AsyncIterator[watch_service_pb2.RunEvent]:
        yield event("0-ab", text)
        yield watch_service_pb2.RunEvent(event="WAITING")
        yield event("end-ab", text)

    executor.stream = three
    answer = await gateway.call("GET", WATCH, headers={"Origin": ORIGIN})

    frames = [frame.split("\n") for frame in answer.content.decode().removesuffix("\n\n").split("\n\n")]
    assert [[line.partition(":")[0] for line in frame] for frame in frames] == [["data", "id"], ["data"], ["data", "id"]]
    assert [frame[1] for frame in frames if len(frame) > 1] == ["id: 0-ab", "id: end-ab"]
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["access-control-allow-origin"] == ORIGIN


async def test_an_event_is_passed_on_before_the_next_is_there(gateway: Gateway, executor: Upstream) -> None:
    """Nothing of a stream is kept back, and what a client does not read is not read from the service."""
    heard, sent, most = asyncio.Event(), 0, 4_000

    async def one_by_one(_: object, __: Context) -> AsyncIterator[watch_service_pb2.RunEvent]:
        nonlocal sent
        yield event("0-ab")
        await heard.wait()
        while sent < most:
            sent += 1
            yield event(f"{sent}-ab", "x" * 8_000)

    executor.stream = one_by_one
    with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        connection.sendall(f"GET {WATCH} HTTP/1.1\r\nHost: x\r\nx-api-key: k\r\n\r\n".encode())
        connection.settimeout(5)
        got = b""
        while b"id: 0-ab\n\n" not in got:
            got += await asyncio.to_thread(connection.recv, 4_096)
        heard.set()
        async with asyncio.timeout(20):
            was = -1
            while sent != was or sent == 0:
                was = sent
                await asyncio.sleep(0.3)
    assert sent < most


@pytest.mark.parametrize(
    ("query", "header", "heard"),
    [
        ("", None, ""),
        ("?last_event_id=3-ab", None, "3-ab"),
        ("", "3-ab", "3-ab"),
        # The address is that of the first connection.
        ("?last_event_id=3-ab", "7-cd", "7-cd"),
        ("", "a&tenant_id=other %26", "a&tenant_id=other %26"),
    ],
)
async def test_where_to_go_on_reaches_the_service(gateway: Gateway, executor: Upstream, query: str, header: str | None, heard: str) -> None:
    headers = {"Last-Event-ID": header} if header else {}
    assert (await gateway.call("GET", WATCH + query, headers=headers)).status_code == 200
    [seen] = executor.seen
    assert (seen.request.last_event_id, seen.request.tenant_id) == (heard, "acme")


async def test_when_nothing_is_left_the_answer_is_204(gateway: Gateway, executor: Upstream) -> None:
    """After which EventSource does not come again, as it would after a stream that ends."""

    async def nothing(_: object, __: Context) -> AsyncIterator[watch_service_pb2.RunEvent]:
        for one in list[watch_service_pb2.RunEvent]():
            yield one

    executor.stream = nothing
    answer = await gateway.call("GET", WATCH, headers={"Last-Event-ID": "end-ab", "Origin": ORIGIN})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert not {"content-type", "grpc-status"} & set(answer.headers)


@pytest.mark.parametrize("query", [f"?access_token={TOKEN}", f"?x=1&access_token={TOKEN}&last_event_id=1-ab"])
async def test_a_token_in_the_address_becomes_a_header(gateway: Gateway, executor: Upstream, query: str) -> None:
    """And is in no log. (`x` is no parameter, so the other answer comes from the transcoder, which sees the address without the token.)"""
    marker = f"watched-with-{'x' if 'x=1' in query else 'token'}"
    answer = await gateway.keyless("GET", WATCH + query, headers={"x-request-id": marker, "Origin": ORIGIN})
    logged = await gateway.logged(marker)

    if "x=1" in query:
        assert refusal(answer)[3].startswith('There is no query parameter "x" here. Check its name, or leave it out. This call takes ')
    else:
        [seen] = executor.seen
        assert seen.metadata["authorization"] == f"Bearer {TOKEN}"
        assert not [name for name, value in seen.metadata.items() if TOKEN in value and name != "authorization"]
    assert (logged["path"], logged["status"]) == (WATCH, answer.status_code)
    assert TOKEN not in gateway.log.read_text()
    assert TOKEN not in answer.text


async def test_a_token_as_request_id_is_replaced(gateway: Gateway, executor: Upstream) -> None:
    answer = await gateway.keyless("GET", f"{WATCH}?access_token={TOKEN}", headers={"x-request-id": TOKEN})
    assert TOKEN not in answer.headers["x-request-id"]
    assert TOKEN not in executor.seen[0].metadata["x-request-id"]


@pytest.mark.parametrize(
    ("query", "headers", "said"),
    [
        ("access_token=acme_api_v1_abcdefghijklmnop", {}, "A key must not be part of an address"),
        ("access_token=", {}, "takes a session token"),
        (f"access_token={TOKEN}&access_token={TOKEN}", {}, "Send one token"),
        (f"access_token={TOKEN}", {"Authorization": f"Bearer {TOKEN}"}, "Send one token"),
        (f"access_token={TOKEN} ", {}, "takes a session token"),
        (f"access_token={TOKEN}%0D%0Ax-admin-key: a", {}, "takes a session token"),
    ],
)
async def test_only_one_token_and_no_key_is_taken(
    gateway: Gateway, executor: Upstream, query: str, headers: dict[str, str], said: str
) -> None:
    sent = query.removeprefix("access_token=").partition("&")[0].strip()
    answer = await gateway.keyless("GET", f"{WATCH}?{query}", headers={"x-request-id": sent, **headers})
    status, code, reason, message = refusal(answer)
    assert (status, code, reason) == (400, 3, "REQUEST_MALFORMED")
    assert said in message
    logged = await gateway.logged(answer.headers["x-request-id"])
    assert logged["status"] == 400
    assert not [secret for secret in ("acme_api_v1", TOKEN) if secret in answer.text + gateway.log.read_text()]
    assert executor.seen == []


@pytest.mark.parametrize("path", ["/api/v1/pipelines/runs/acme/some-run", "/api/v1/tenants/acme/quota", f"{WATCH}/"])
async def test_elsewhere_a_token_in_the_address_is_none(gateway: Gateway, upstreams: dict[str, Upstream], path: str) -> None:
    answer = await gateway.call("GET", f"{path}?access_token={TOKEN}", headers=KEYS)
    assert answer.status_code in (400, 404)
    assert TOKEN not in answer.text
    assert [one.seen for one in upstreams.values()] == [[]] * 4
    assert (await gateway.keyless("GET", f"{path}?access_token={TOKEN}")).status_code in (401, 404)
    assert TOKEN not in gateway.log.read_text()


async def test_a_wrong_query_is_refused_as_everywhere(gateway: Gateway, executor: Upstream) -> None:
    async def refuse(_: object, context: Context) -> AsyncIterator[watch_service_pb2.RunEvent]:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "Who are you?")
        yield event("")

    executor.stream = refuse
    answer = await gateway.keyless("GET", f"{WATCH}?access_token={TOKEN}")
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/json")
