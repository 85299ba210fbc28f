"""`make flood`: the memory of the gateway, and how its good callers fare, while thousands of connections hold what they can."""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import requests

from benchmarks.flood import STREAMS, grpc_requests, held, rest_request
from benchmarks.memory import peak_memory
from benchmarks.whole_stack import WholeStack, whole_stack

SILENT: Final = 5000
UNFINISHED: Final = 2000
LARGEST_MIB: Final = 300
CALLERS: Final = 4
SECONDS: Final = 5.0
KEY: Final = {"x-api-key": "made-up"}
KIB: Final = 1024
CREDENTIALS: Final = "/api/v1/tenants/acme/credentials"
RPC: Final = "/convergence.executor.v1.PipelineService/RunPipeline"
MANY: Final = "gRPC messages of 15 KiB, 160 x 100"
FLOODS: Final[Mapping[str, tuple[bytes, int]]] = {
    "none": (b"", 0),
    "bodies of 1 MiB without a key": (rest_request({}, declared=1024 * KIB, sent=1000 * KIB), UNFINISHED),
    "bodies of 1 MiB with a made-up key": (rest_request(KEY, declared=1024 * KIB, sent=1000 * KIB), UNFINISHED),
    "bodies of 16 KiB with a made-up key": (rest_request(KEY, declared=16 * KIB, sent=16 * KIB - 1), UNFINISHED),
    "bodies of 64 KiB with a made-up key": (rest_request(KEY, declared=64 * KIB, sent=64 * KIB - 1), UNFINISHED),
    "credentials of 128 KiB with a made-up key": (rest_request(KEY, declared=128 * KIB, sent=128 * KIB - 1, path=CREDENTIALS), UNFINISHED),
    "gRPC messages of 15 KiB with a made-up key": (grpc_requests(KEY, sent=15 * KIB, path=RPC), UNFINISHED // STREAMS),
    "gRPC messages of 60 KiB with a made-up key": (grpc_requests(KEY, sent=60 * KIB, path=RPC), UNFINISHED // STREAMS),
    "documents that are not read": (b"GET /openapi.json HTTP/1.1\r\nHost: gateway\r\n\r\n", UNFINISHED),
    MANY: (grpc_requests(KEY, sent=15 * KIB, path=RPC, streams=100), 160),
}
"""What one connection sends, and how many there are."""


@dataclass(kw_only=True, slots=True)
class Served:
    """What good callers got."""

    seconds: list[float] = field(default_factory=list)
    """Of each call that was answered as it should be."""
    failures: list[str] = field(default_factory=list)

    @property
    def p99(self) -> float:
        """In seconds; infinite without an answer."""
        return statistics.quantiles(self.seconds, n=100)[98] if len(self.seconds) > 1 else float("inf")


def main() -> None:
    """Prints a line a flood. Exits with 1 if the gateway took more than `LARGEST_MIB`, or did not serve a good caller."""
    with tempfile.TemporaryDirectory() as folder, whole_stack(Path(folder)) as whole:
        good = asyncio.run(_floods(whole))
    sys.exit(0 if good else 1)


async def _floods(whole: WholeStack) -> bool:
    key = _new_tenant(whole)
    good = True
    print(f"{SILENT:,} silent connections, {UNFINISHED:,} unfinished requests, {CALLERS} good callers for {SECONDS:g} s")
    for name, (request, number) in FLOODS.items():
        with peak_memory(whole.stack.pid("gateway")) as peak:
            silent = SILENT if number and name != MANY else 0
            async with held(whole.local.gateway_port, b"", silent), held(whole.local.gateway_port, request, number):
                served = await _served(whole, key)
        good &= peak.own < LARGEST_MIB and not served.failures
        p50 = statistics.median(served.seconds) if served.seconds else float("inf")
        print(
            f"{name:45} {peak.own:5.0f} MiB, {len(served.seconds):5} calls served,"
            f" p50 {p50 * 1000:4.0f} ms, p99 {served.p99 * 1000:5.0f} ms, {len(served.failures)} failed {served.failures[:1]}",
            flush=True,
        )
    return good


def _new_tenant(whole: WholeStack) -> str:
    whole.admin.call("PUT", "/api/v1/tenants/good_one", {"company_name": "Good", "plan_name": "x", "requests_per_minute": 1_000_000})
    key: str = whole.admin.call("POST", "/api/v1/tenants/good_one/api-keys", {}).body["api_key"]
    return key


async def _served(whole: WholeStack, key: str) -> Served:
    served, url = Served(), f"{whole.stack.env['GATEWAY_URL']}/api/v1/tenants/good_one/quota"
    until = time.monotonic() + SECONDS

    def call_on() -> None:
        while time.monotonic() < until:
            began = time.monotonic()
            try:
                # On a connection of its own: that of an earlier call would be served beyond the limits.
                answer = requests.get(url, headers={"x-api-key": key}, timeout=10)
            except requests.RequestException as error:
                served.failures.append(repr(error))
                continue
            if answer.ok:
                served.seconds.append(time.monotonic() - began)
            else:
                served.failures.append(f"{answer.status_code} {answer.text}")

    await asyncio.gather(*[asyncio.to_thread(call_on) for _ in range(CALLERS)])
    return served


if __name__ == "__main__":
    main()
