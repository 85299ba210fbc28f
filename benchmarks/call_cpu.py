"""What a call costs the process that answers it: CPU time, not waiting, so that a busy machine changes little.

Real servers, each a process of its own, behind mTLS as in production: as the services are, without and with traces, of bare gRPC with the
same servicers, and of another checkout, if one is named. The client is this process.
"""

import argparse
import asyncio
import os
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import grpc
from convergence.auth.v1.quota_service_pb2 import GetQuotaRequest, GetQuotaResponse
from convergence.auth.v1.quota_service_pb2_grpc import QuotaServiceServicer, QuotaServiceStub, add_QuotaServiceServicer_to_server
from convergence.executor.v1.pipeline_service_pb2 import ListTemplatesRequest
from convergence.executor.v1.pipeline_service_pb2_grpc import PipelineServiceStub, add_PipelineServiceServicer_to_server

from localcloud.certs import mint
from localcloud.ports import free_ports
from services.executor.servicers.pipeline import PipelineServicer
from services.executor.steps import STEP_TYPES
from services.executor.templates.catalog import load_catalog
from services.platform import log
from services.platform.access.key_holder import KeyHolder
from services.platform.plan import PlanLimits
from services.platform.server import OPTIONS, Served, build_server
from services.platform.settings import REPOSITORY, ServiceSettings

CALLS, AT_ONCE, WARM = 500, 16, 1_000
START_SECONDS = 120
TENANT = "acme_corp"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
METADATA = (
    ("x-api-key", "a-key-of-acme"),
    ("x-user-id", "alice"),
    ("x-request-id", "5f3c8e0a-9d1b-4f6e-8f43-2f8f1c7b6a10"),
    ("x-forwarded-for", "203.0.113.9"),
    ("x-forwarded-proto", "https"),
    ("x-envoy-external-address", "203.0.113.9"),
    ("x-envoy-expected-rq-timeout-ms", "60000"),
    ("x-envoy-original-path", f"/api/v1/tenants/{TENANT}/quota"),
    ("x-envoy-original-method", "GET"),
    ("accept", "*/*"),
    ("accept-encoding", "gzip, deflate"),
)
"""As the gateway sends them with a REST call."""


class Everybody:
    """Every key is one of a tenant that may call as often as it wants."""

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        """The holder of any key."""
        limits = PlanLimits(requests_per_minute=10_000_000)
        return KeyHolder(
            tenant_id=TENANT, api_key_id=api_key_sha256[:8], scopes=(), tenant_active=True, subscription_active=True, limits=limits
        )


class Quotas(QuotaServiceServicer):
    """Answers at once: what is left is the way there and back."""

    async def GetQuota(self, request: GetQuotaRequest, context: Any) -> GetQuotaResponse:
        """A small answer."""
        return GetQuotaResponse(tenant_id=request.tenant_id)


def _served() -> Sequence[Served]:
    # Each has what is called here, and no more: the executor's own servicer has its templates only.
    catalog: Any = load_catalog(REPOSITORY / "configs", STEP_TYPES)
    none: Any = None
    pipelines = PipelineServicer(preparer=catalog, starts=none, dry_runner=none, canceller=none, store=none)
    return [
        Served(name="convergence.auth.v1.QuotaService", add=add_QuotaServiceServicer_to_server, servicer=Quotas()),  # type: ignore[abstract]
        Served(name="convergence.executor.v1.PipelineService", add=add_PipelineServiceServicer_to_server, servicer=pipelines),
    ]


async def _serve(kind: str, address: str, tls_dir: Path) -> None:
    log.configure("executor", "info")
    if kind == "bare":
        server = grpc.aio.server(options=OPTIONS)
        for one in _served():
            one.add(one.servicer, server)
        key, chain, ca = ((tls_dir / name).read_bytes() for name in ("executor.key", "executor.pem", "ca.pem"))
        server.add_secure_port(address, grpc.ssl_server_credentials([(key, chain)], ca, require_client_auth=True))
    else:
        if kind == "traced":
            from benchmarks.traced_calls import turn_on  # noqa: PLC0415 - another checkout may be without it

            turn_on()
        settings = ServiceSettings(listen=address, tls_dir=tls_dir)
        server = build_server(settings, name="executor", authenticator=Everybody(), served=_served()).server
    await server.start()
    await server.wait_for_termination()


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """A server process, how it is called, and what that has cost it in each round: microseconds of CPU a call, by RPC."""

    name: str
    pid: int
    calls: Mapping[str, Callable[[], Awaitable[Any]]]
    costs: dict[str, list[float]] = field(default_factory=dict)

    async def round(self) -> None:
        """Measures each RPC once."""
        for rpc, call in self.calls.items():
            before = self._cpu_nanoseconds()
            await _make_calls(call, CALLS)
            self.costs.setdefault(rpc, []).append((self._cpu_nanoseconds() - before) / CALLS / 1e3)

    def _cpu_nanoseconds(self) -> int:
        """Of all its threads so far, in the kernel and out of it."""
        return sum(int(thread.read_text().split()[0]) for thread in Path(f"/proc/{self.pid}/task").glob("*/schedstat"))


async def _make_calls(call: Callable[[], Awaitable[Any]], times: int) -> None:
    left = iter(range(times))

    async def one_caller() -> None:
        for _ in left:
            await call()

    await asyncio.gather(*(one_caller() for _ in range(AT_ONCE)))


async def _measure(servers: Sequence[tuple[str, str, int, str]], tls_dir: Path, *, rounds: int) -> list[Measured]:
    """`servers`: name, address, pid, and the flags of the trace that its calls have; empty: none. They take turns, so that what else the
    machine does meets all of them.
    """
    ca, key, chain = ((tls_dir / name).read_bytes() for name in ("ca.pem", "gateway.key", "gateway.pem"))
    options = [("grpc.ssl_target_name_override", "executor.convergence.internal")]
    async with AsyncExitStack() as stack:
        measured = list[Measured]()
        for name, address, pid, flags in servers:
            metadata = (*METADATA, *((("traceparent", f"{TRACE}-{flags}"),) if flags else ()))
            channel = grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(ca, key, chain), options=options)
            await stack.enter_async_context(channel)
            await asyncio.wait_for(channel.channel_ready(), START_SECONDS)
            get_quota, list_templates = QuotaServiceStub(channel).GetQuota, PipelineServiceStub(channel).ListTemplates
            calls = {
                "GetQuota": partial(get_quota, GetQuotaRequest(tenant_id=TENANT), metadata=metadata, timeout=60),
                "ListTemplates": partial(list_templates, ListTemplatesRequest(), metadata=metadata, timeout=60),
            }
            for call in calls.values():
                await _make_calls(call, WARM)
            measured.append(Measured(name=name, pid=pid, calls=calls))
        for _ in range(rounds):
            for one in measured:
                await one.round()
    return measured


@contextmanager
def _server(kind: str, tree: Path, address: str, tls_dir: Path) -> Iterator[int]:
    """A server of the code in `tree`; its pid. Where its log goes costs nothing."""
    command = [str(tree / ".venv/bin/python"), "-P", __file__, "--serve", kind, "--address", address, "--tls", str(tls_dir)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}) as process:
        try:
            yield process.pid
        finally:
            process.terminate()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.call_cpu", description="CPU that a call costs the process that answers it.")
    parser.add_argument("--rounds", type=int, default=20, help=f"of {CALLS} calls of each RPC (%(default)s)")
    parser.add_argument("--against", type=Path, help="another checkout, after `make gen`, whose server is measured in the same rounds")
    for name in ("--serve", "--address", "--tls"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(_serve(options.serve, options.address, Path(options.tls)))
        return
    kinds = [
        ("bare gRPC", "bare", REPOSITORY, ""),
        ("the services", "suite", REPOSITORY, ""),
        ("with traces, a call that is not recorded", "traced", REPOSITORY, "00"),
        ("with traces, a call that is recorded", "traced", REPOSITORY, "01"),
    ]
    kinds += [(str(options.against), "suite", options.against.resolve(), "")] if options.against else []
    with ExitStack() as stack:
        tls_dir = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mint(tls_dir)
        servers = list[tuple[str, str, int, str]]()
        for (name, kind, tree, flags), port in zip(kinds, free_ports(len(kinds)), strict=True):
            address = f"127.0.0.1:{port}"
            servers.append((name, address, stack.enter_context(_server(kind, tree, address, tls_dir)), flags))
        for one in asyncio.run(_measure(servers, tls_dir, rounds=options.rounds)):
            for rpc, costs in one.costs.items():
                middle, least = median(costs), min(costs)
                print(f"{one.name}, {rpc}: {middle:.0f} us of CPU a call (least {least:.0f}), {1e6 / middle:,.0f} calls a second of a core")


if __name__ == "__main__":
    main()
