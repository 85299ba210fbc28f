"""Clients that hold the gateway's memory: connections that say nothing, and requests that never end."""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Mapping
from typing import Final

AT_ONCE: Final = 100
"""Connections that are opened at the same time."""
SPARE_FILES: Final = 200
RUN: Final = "/api/v1/pipelines/run/acme/gcp/cost/billing"
STREAMS: Final = 16
"""Calls on one connection of HTTP/2: 60 KiB of each fit into the 1 MiB that the gateway lets a client send before it has read."""
FRAME: Final = 16384


def rest_request(headers: Mapping[str, str], *, declared: int, sent: int, path: str = RUN) -> bytes:
    """The beginning of a request whose body is said to have `declared` bytes, with `sent` of them."""
    lines = [f"POST {path} HTTP/1.1", "Host: gateway", f"Content-Length: {declared}", *(f"{name}: {it}" for name, it in headers.items())]
    return "\r\n".join([*lines, "", "{"]).encode() + b" " * (sent - 1)


def grpc_requests(headers: Mapping[str, str], *, sent: int, path: str, streams: int = STREAMS) -> bytes:
    """A connection of HTTP/2 that begins so many calls, each with a message of which `sent` bytes have come."""
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "gateway", "content-type": "application/grpc"}
    block = b"".join(b"\0" + _literal(name) + _literal(it) for name, it in (fields | dict(headers)).items())
    body = b"\0\0\xff\xff\xff" + b" " * (sent - 5)
    begun = [_frame(4, 0, 0, b"")]
    for stream in range(1, 2 * streams, 2):
        begun.append(_frame(1, 4, stream, block))
        begun += [_frame(0, 0, stream, body[at : at + FRAME]) for at in range(0, len(body), FRAME)]
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"".join(begun)


@contextlib.asynccontextmanager
async def held(port: int, request: bytes, number: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """So many connections to this port of loopback, open until the block ends, each of which has sent `request`. Fewer if the gateway
    refuses some.
    """
    _allow_files(number)
    opened: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    try:
        while number > 0:
            found = await asyncio.gather(*[_begin(port, request) for _ in range(min(number, AT_ONCE))], return_exceptions=True)
            opened += [one for one in found if not isinstance(one, BaseException)]
            number -= AT_ONCE
        yield [reader for reader, _ in opened]
    finally:
        for _, writer in opened:
            writer.close()
        await asyncio.gather(*[writer.wait_closed() for _, writer in opened], return_exceptions=True)


async def _begin(port: int, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    # What the gateway does not read is not waited for.
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(1):
            await writer.drain()
    return reader, writer


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _literal(text: str) -> bytes:
    # Of less than 127 characters, without Huffman's code.
    return bytes([len(text)]) + text.encode()


def _allow_files(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 2 * number + SPARE_FILES), hard), hard))
