"""Posting to targets over real sockets: which addresses are allowed, and how little of a response is read."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trustme

from services.executor.notify.addresses import is_public
from services.executor.notify.https import Guard, Poster
from services.executor.notify.resolver import look_up
from services.executor.notify.responses import NotDelivered
from services.platform.clock import SystemClock
from tests.support.executor.notify_targets import NAME, OK, Server, answers, hangs, poster, serving, to_loopback


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def inside(ca: trustme.CA) -> AsyncIterator[Server]:
    """A server that must hear nothing."""
    async with serving(ca, answers(OK)) as server:
        yield server


async def refusal(posting: Awaitable[str]) -> NotDelivered:
    with pytest.raises(NotDelivered) as caught:
        await posting
    assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r}"
    return caught.value


async def test_a_target_hears_by_its_name(ca: trustme.CA) -> None:
    """TLS goes by the name, and so does the Host header, though the connection goes to an address."""
    async with serving(ca, answers(OK)) as server:
        assert await poster(ca).post(server.url("/hook?x=1"), b'{"a":1}', {"webhook-id": "one"}) == NAME
    [request] = server.requests
    assert (request.line, request.body) == ("POST /hook?x=1 HTTP/1.1", b'{"a":1}')
    assert (request.headers["host"], request.headers["webhook-id"]) == (f"{NAME}:{server.port}", "one")
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_request_is_redirected(ca: trustme.CA, inside: Server, status: int) -> None:
    """Not even to where we might go: what is inside hears nothing."""
    moved = f"HTTP/1.1 {status} Moved\r\nLocation: {inside.url()}\r\nContent-Length: 0\r\n\r\n".encode()
    async with serving(ca, answers(moved)) as server:
        failure = await refusal(poster(ca).post(server.url(), b"{}", {}))
    assert (failure.reason, failure.again, inside.connections) == (f"answered_{status}", False, 0)


async def names_localhost(name: str, port: int) -> list[str]:
    return await look_up("localhost", port)


@pytest.mark.parametrize("resolve", [to_loopback, names_localhost])
async def test_what_is_inside_is_not_reached_by_default(
    ca: trustme.CA, inside: Server, resolve: Callable[[str, int], Awaitable[list[str]]]
) -> None:
    """A public name that leads to loopback: no connection is even opened."""
    failure = await refusal(poster(ca, Guard(is_public, resolve)).post(inside.url(), b"{}", {}))
    assert (failure.reason, failure.again, failure.host, inside.connections) == ("address_refused", False, NAME, 0)


@pytest.mark.parametrize("name", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
async def test_no_spelling_of_loopback_gets_through(ca: trustme.CA, inside: Server, name: str) -> None:
    """Literals go the same way as names: through the resolver, which knows all their spellings, and to the judge."""
    failure = await refusal(poster(ca, Guard(is_public)).post(inside.url(name=name), b"{}", {}))
    assert (failure.reason, inside.connections) == ("address_refused", 0)


async def test_one_address_inside_spoils_a_name(ca: trustme.CA, inside: Server) -> None:
    """Public and private ones mixed: none of them is tried."""

    async def both(name: str, port: int) -> list[str]:
        return ["192.0.2.1", "127.0.0.1"]

    failure = await refusal(poster(ca, Guard(lambda address: address != "127.0.0.1", both)).post(inside.url(), b"{}", {}))
    assert (failure.reason, inside.connections) == ("address_refused", 0)


async def test_a_name_that_moves_is_judged_and_reached_at_one_place(ca: trustme.CA, inside: Server) -> None:
    """DNS rebinding: the second answer would be inside. There is no second question: the connection goes to what was judged."""
    asked = list[str]()

    async def moving(name: str, port: int) -> list[str]:
        asked.append(name)
        return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.1"]

    # 127.0.0.2 plays the public one: no process listens there.
    failure = await refusal(poster(ca, Guard(lambda address: address == "127.0.0.2", moving)).post(inside.url(), b"{}", {}))
    assert (failure.reason, failure.again) == ("ConnectError", True)
    assert (asked, inside.connections) == ([NAME], 0)


async def test_the_next_address_is_tried_where_one_does_not_answer(ca: trustme.CA) -> None:
    async def two(name: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async with serving(ca, answers(OK)) as server:
        assert await poster(ca, Guard(lambda _: True, two)).post(server.url(), b"{}", {}) == NAME


@pytest.mark.parametrize("url", ["http://{at}/", "ftp://{at}/", "https:///hook", "https://user@{at}/", "https://a:b@{at}/", "//{at}/"])
async def test_only_https_is_spoken(ca: trustme.CA, inside: Server, url: str) -> None:
    failure = await refusal(poster(ca).post(url.format(at=f"{NAME}:{inside.port}"), b"{}", {}))
    assert (failure.reason, failure.again, inside.connections) == ("not_https", False, 0)


async def test_no_proxy_of_the_environment_is_used(ca: trustme.CA, inside: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{inside.port}")
    async with serving(ca, answers(OK)) as server:
        await poster(ca).post(server.url(), b"{}", {})
    assert (len(server.requests), inside.connections) == (1, 0)


async def test_another_name_or_another_authority_is_refused(ca: trustme.CA) -> None:
    """A certificate for another host, and one of an unknown authority: the request, with its secret path, is never sent."""
    async with serving(ca, answers(OK), name="other.example.com") as other, serving(trustme.CA(), answers(OK)) as unknown:
        for server in (other, unknown):
            failure = await refusal(poster(ca).post(server.url(), b"{}", {}))
            assert (failure.reason, failure.again) == ("ConnectError", True)
        assert other.requests + unknown.requests == []


async def test_the_system_decides_whom_to_trust(
    ca: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The context that the executor makes: SSL_CERT_FILE names the authorities, as everywhere."""
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    ours = Poster(Guard(lambda _: True, to_loopback), ssl.create_default_context(), SystemClock())
    async with serving(ca, answers(OK)) as server:
        assert await ours.post(server.url(), b"{}", {}) == NAME


async def test_an_answer_without_end_is_not_read(ca: trustme.CA) -> None:
    """The status is there; what follows is left alone, and the server hears that we have gone."""
    gone = asyncio.Event()

    async def endless(writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                await writer.drain()
        except (ConnectionError, ssl.SSLError):
            gone.set()

    async with serving(ca, endless) as server, asyncio.timeout(10):
        assert await poster(ca).post(server.url(), b"{}", {}) == NAME
        await gone.wait()


async def test_headers_without_end_are_refused(ca: trustme.CA) -> None:
    async def endless(writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"x-" + b"y" * 8000 + b": z\r\n")
            await writer.drain()

    async with serving(ca, endless) as server, asyncio.timeout(10):
        failure = await refusal(poster(ca).post(server.url(), b"{}", {}))
    assert failure.reason == "RemoteProtocolError"


async def test_a_broken_answer_is_tried_again(ca: trustme.CA) -> None:
    async with serving(ca, answers(b"SSH-2.0-OpenSSH\r\n\r\n")) as server:
        failure = await refusal(poster(ca).post(server.url(), b"{}", {}))
    assert (failure.reason, failure.again) == ("RemoteProtocolError", True)


async def test_a_hanging_resolver_holds_up_nothing_else(ca: trustme.CA) -> None:
    """Every waiting caller can stop waiting."""

    async def never(name: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await poster(ca, Guard(lambda _: True, never)).post(f"https://{NAME}/", b"{}", {})
    assert time.monotonic() - began < 2


async def test_a_hanging_target_can_be_left(ca: trustme.CA) -> None:
    async with serving(ca, hangs) as server:
        posting = asyncio.ensure_future(poster(ca).post(server.url(), b"{}", {}))
        await server.heard.wait()
        posting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await posting


async def test_names_are_looked_up() -> None:
    assert set(await look_up("localhost", 443)) <= {"127.0.0.1", "::1"}
    with pytest.raises(OSError, match=r".+"):
        await look_up("no-such-name.invalid", 443)
    with pytest.raises(UnicodeError):
        await look_up("a" * 64 + ".example.com", 443)
