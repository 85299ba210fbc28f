"""Cheap calls by many callers at once, each on a connection of its own, over REST through the gateway."""

import asyncio
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from benchmarks.sample_tenants import SampleTenant

AT_ONCE: Final = (1, 16, 64)
WARM_SECONDS: Final = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Calls:
    """One call, made all the time by so many callers."""

    name: str
    at_once: int
    a_second: float
    p50: float
    """Milliseconds."""
    p99: float
    failed: int
    """Answered otherwise than 200: a machine that is busy otherwise makes the emulator late."""


def calls(tenant: SampleTenant, at_once: Sequence[int], seconds: float) -> list[Calls]:
    """GetQuota, which reads BigQuery, and ListTemplates, which does not."""
    paths = {"GetQuota": f"/api/v1/tenants/{tenant.tenant_id}/quota", "ListTemplates": "/api/v1/pipelines/templates"}
    return [asyncio.run(_measured(tenant, name, path, number, seconds)) for name, path in paths.items() for number in at_once]


async def _measured(tenant: SampleTenant, name: str, path: str, number: int, seconds: float) -> Calls:
    address = urlsplit(tenant.rest.url)
    headers = "".join(f"{key}: {value}\r\n" for key, value in tenant.rest.headers.items())
    request = f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\n{headers}\r\n".encode()
    took, failures = list[float](), list[float]()
    begins = time.monotonic() + WARM_SECONDS
    ends = begins + seconds

    async def call_on() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        while (sent := time.monotonic()) < ends:
            writer.write(request)
            is_good = await _read_answer(reader)
            if sent >= begins:
                (took if is_good else failures).append(time.monotonic() - sent)
        writer.close()

    await asyncio.gather(*(call_on() for _ in range(number)))
    hundredths = statistics.quantiles(took, n=100) if len(took) > 1 else [*took, math.nan][:1] * 99
    return Calls(
        name=name,
        at_once=number,
        a_second=len(took) / seconds,
        p50=hundredths[49] * 1000,
        p99=hundredths[98] * 1000,
        failed=len(failures),
    )


async def _read_answer(reader: asyncio.StreamReader) -> bool:
    """Reads one answer; whether it is 200."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    is_good = head.startswith(b"http/1.1 200")
    if (at := head.find(b"content-length:")) >= 0:
        await reader.readexactly(int(head[at + len(b"content-length:") :].split(b"\r\n", 1)[0]))
        return is_good
    while size := int((await reader.readline()).strip(), 16):
        await reader.readexactly(size + 2)
    await reader.readline()
    return is_good
