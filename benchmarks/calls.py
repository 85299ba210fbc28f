"""`make bench-calls`: small calls of one tenant at the gateway of a whole local suite, by REST and gRPC: how many a second, how long each
takes, and the statements behind them.

The client shares the machine with the suite. Compare lines of one run, not of two.
"""

import argparse
import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from convergence.auth.v1.quota_service_pb2 import GetQuotaRequest
from convergence.auth.v1.quota_service_pb2_grpc import QuotaServiceStub
from convergence.executor.v1.pipeline_service_pb2 import ListTemplatesRequest
from convergence.executor.v1.pipeline_service_pb2_grpc import PipelineServiceStub

from benchmarks.counts import Row, fill
from benchmarks.whole_stack import OK, WholeStack, whole_stack

CALLERS: Final = (1, 16, 64)
SECONDS: Final = 4.0
TENANT: Final = "caller"
PATHS: Final[Mapping[str, str]] = {"GetQuota": f"/api/v1/tenants/{TENANT}/quota", "ListTemplates": "/api/v1/pipelines/templates"}

type Call = Callable[[], Awaitable[None]]
"""One call. Raises an error unless it is answered well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What callers got, each of which calls again as soon as it is answered."""

    name: str
    callers: int
    seconds: float
    took: list[float]
    """Seconds of each call."""
    row: Row
    """The statements meanwhile, of all services, other work included."""

    def __str__(self) -> str:
        """A line of the table."""
        p50, p99 = statistics.median(self.took), statistics.quantiles(self.took, n=100)[98]
        reads = sum(count for (_, kind), count in self.row.statements.items() if kind == "read")
        return (
            f"| {self.name} | {self.callers} | {len(self.took) / self.seconds:,.0f} | {p50 * 1000:.2f} | {p99 * 1000:.2f} "
            f"| {p99 / p50:.1f} | {max(self.took) * 1000:.0f} | {self.row.jobs} | {reads} |"
        )


@asynccontextmanager
async def by_rest(whole: WholeStack, key: str, name: str) -> AsyncIterator[Call]:
    """Over a connection of its own, as a browser or a client library keeps one."""
    reader, writer = await asyncio.open_connection(whole.local.host, whole.local.gateway_port)
    request = f"GET {PATHS[name]} HTTP/1.1\r\nHost: gateway\r\nX-API-Key: {key}\r\n\r\n".encode()

    async def call() -> None:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        body = await reader.readexactly(length)
        if not head.startswith(b"http/1.1 200 "):
            raise RuntimeError(f"{name} was answered with {head.split(b'\r\n', 1)[0]!r} {body[:300]!r}")

    try:
        yield call
    finally:
        writer.close()


@asynccontextmanager
async def by_grpc(channel: grpc.aio.Channel, key: str, name: str) -> AsyncIterator[Call]:
    """Over a channel that all callers share."""
    metadata = [("x-api-key", key)]
    quota, pipelines = QuotaServiceStub(channel), PipelineServiceStub(channel)

    async def call() -> None:
        if name == "GetQuota":
            await quota.GetQuota(GetQuotaRequest(tenant_id=TENANT), metadata=metadata)
        else:
            await pipelines.ListTemplates(ListTemplatesRequest(), metadata=metadata)

    yield call


@contextmanager
def _no_collections() -> Iterator[None]:
    """Python's garbage collector would stop all callers at once for as long as it looks at the client's own objects."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def measure(whole: WholeStack, key: str, name: str, way: str, callers: int, seconds: float) -> Measured:
    """`way`: REST or gRPC."""
    took = list[float]()
    async with AsyncExitStack() as stack:
        stack.enter_context(_no_collections())
        channel = await stack.enter_async_context(whole.gateway_channel())
        opened = [by_rest(whole, key, name) if way == "REST" else by_grpc(channel, key, name) for _ in range(callers)]
        calls = [await stack.enter_async_context(one) for one in opened]
        for call in calls:  # connections and caches are warm then
            await call()
        row, before, began = Row(name=name, at_once=callers), await asyncio.to_thread(whole.counted), time.monotonic()

        async def call_on(call: Call) -> None:
            while (asked := time.monotonic()) < began + seconds:
                await call()
                took.append(time.monotonic() - asked)

        await asyncio.gather(*map(call_on, calls))
        lasted = time.monotonic() - began
        fill(row, before, await asyncio.to_thread(whole.counted))
    return Measured(name=f"{name}, {way}", callers=callers, seconds=lasted, took=took, row=row)


async def measure_all(whole: WholeStack, key: str, seconds: float) -> None:
    """Prints a line each."""
    print("| call | callers | calls a second | p50 ms | p99 ms | p99 / p50 | max ms | jobs | tables read |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name in PATHS:
        for way in ("REST", "gRPC"):
            for callers in CALLERS:
                print(await measure(whole, key, name, way, callers, seconds), flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each line (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="convergence-bench-") as state, whole_stack(Path(state)) as whole:
        plan = {"company_name": "Caller", "plan_name": "x", "requests_per_minute": 1_000_000}
        made = whole.admin.call("PUT", f"/api/v1/tenants/{TENANT}", plan)
        issued = whole.admin.call("POST", f"/api/v1/tenants/{TENANT}/api-keys", {})
        if OK not in {made.status, issued.status}:
            raise RuntimeError(f"the tenant could not be made: {made.body} {issued.body}")
        asyncio.run(measure_all(whole, issued.body["api_key"], options.seconds))


if __name__ == "__main__":
    main()
