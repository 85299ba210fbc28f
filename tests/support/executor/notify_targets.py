"""Targets of notifications: real https servers on loopback, each with its own response."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import trustme

from services.executor.notify.https import Guard, Poster
from services.executor.notify.notification import Notification, NotificationKind, Report
from services.executor.notify.notifier import Limits
from services.executor.records import RunStatus
from services.platform.clock import SystemClock

NAME = "hooks.example.com"
"""What all servers of these tests have a certificate for; `to_loopback` says where it is."""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"

type Answers = Callable[[asyncio.StreamWriter, int], Awaitable[None]]
"""Answers a request; it gets the request's number, from 0."""


@dataclass(frozen=True, kw_only=True)
class Request:
    line: str
    headers: dict[str, str]
    body: bytes


@dataclass(kw_only=True)
class Server:
    """What a server has seen."""

    port: int = 0
    connections: int = 0
    requests: list[Request] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with the first request."""

    def url(self, path: str = "/hook/secret", name: str = NAME) -> str:
        return f"https://{name}:{self.port}{path}"


def answers(*texts: bytes) -> Answers:
    """These, one after the other; the last one for ever."""

    async def answer(writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(texts[min(number, len(texts) - 1)])
        await writer.drain()

    return answer


async def hangs(writer: asyncio.StreamWriter, number: int) -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def serving(ca: trustme.CA, answer: Answers, name: str = NAME) -> AsyncIterator[Server]:
    server, tasks = Server(), set[asyncio.Task[None]]()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert(name).configure_cert(tls)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            server.requests.append(Request(line=head[0], headers=headers, body=body))
            server.heard.set()
            await answer(writer, len(server.requests) - 1)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the other side has hung up
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        tasks.add(asyncio.get_running_loop().create_task(talk(reader, writer)))

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def to_loopback(name: str, port: int) -> list[str]:
    """Stands in for DNS."""
    return ["127.0.0.1"]


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # as strict as the default one, but without reading all authorities of this machine
    ca.configure_trust(tls)
    return tls


def poster(ca: trustme.CA, guard: Guard | None = None) -> Poster:
    """One that may go to loopback, unless `guard` says otherwise."""
    return Poster(guard or Guard(lambda _: True, to_loopback), trusting(ca), SystemClock())


def limits(
    *, queue: int = 100, max_concurrent: int = 8, try_seconds: float = 5.0, all_seconds: float = 20.0, flush_seconds: float = 5.0
) -> Limits:
    return Limits(queue=queue, max_concurrent=max_concurrent, try_seconds=try_seconds, all_seconds=all_seconds, flush_seconds=flush_seconds)


def notification(
    *, kind: NotificationKind = NotificationKind.WEBHOOK, tenant_id: str = "acme", identity: str = "one", to: str = "", text: str = "told"
) -> Notification:
    began = datetime(2025, 11, 18, 6, 0, tzinfo=UTC)
    report = Report(
        tenant_id=tenant_id,
        pipeline="gcp-cost-billing",
        pipeline_logging_id="11111111-2222-3333-4444-555555555555",
        attempt=1,
        status=RunStatus.COMPLETED,
        dates={"date": "2025-11-17"},
        rows_processed=3,
        error_message=None,
        started_at=began,
        reported_at=began.replace(minute=1),
    )
    return Notification(id=identity, kind=kind, report=report, text=text, to=to, subject="gcp-cost-billing COMPLETED")
