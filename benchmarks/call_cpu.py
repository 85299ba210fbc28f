"""What a call costs the process that answers it: CPU time, not waiting, so that a busy machine changes little.

Real servers, each a process of its own, behind mTLS as in production: one as the services are, one of bare gRPC with the same servicers,
and one of another checkout, if one is named. The client is this process.
"""

import argparse
import asyncio
import os
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import grpc
from convergence.auth.v1.quota_service_pb2 import GetQuotaRequest, GetQuotaResponse
from convergence.auth.v1.quota_service_pb2_grpc import QuotaServiceServicer, QuotaServiceStub, add_QuotaServiceServicer_to_server
from convergence.executor.v1.pipeline_service_pb2 import ListTemplatesRequest, ListTemplatesResponse
from convergence.executor.v1.pipeline_service_pb2_grpc import (
    PipelineServiceServicer,
    PipelineServiceStub,
    add_PipelineServiceServicer_to_server,
)

from localcloud.certs import mint
from localcloud.ports import free_ports
from services.executor.servicers.to_proto import to_template
from services.executor.steps import STEP_TYPES
from services.executor.templates.catalog import load_catalog
from services.platform import log
from services.platform.access.key_holder import KeyHolder
from services.platform.plan import PlanLimits
from services.platform.server import OPTIONS, Served, build_server
from services.platform.settings import REPOSITORY, ServiceSettings

CALLS, AT_ONCE, WARM = 2_000, 16, 1_000
START_SECONDS = 120
TENANT, KEY = "acme_corp", "a-key-of-acme"
METADATA = (
    ("x-api-key", KEY),
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
TICKS = os.sysconf("SC_CLK_TCK")


class Everybody:
    """Every key is one of a tenant that may call as often as it wants."""

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        """The holder of any key."""
        return KeyHolder(
            tenant_id=TENANT,
            api_key_id=api_key_sha256[:8],
            scopes=(),
            tenant_active=True,
            subscription_active=True,
            limits=PlanLimits(requests_per_minute=10_000_000),
        )


class Quotas(QuotaServiceServicer):
    """Answers at once: what is left is the way there and back."""

    async def GetQuota(self, request: GetQuotaRequest, context: Any) -> GetQuotaResponse:
        """A small answer."""
        return GetQuotaResponse(tenant_id=request.tenant_id)


class Templates(PipelineServiceServicer):
    """Answers with all templates of the repository, as the executor does."""

    def __init__(self) -> None:
        self._templates = load_catalog(REPOSITORY / "configs", STEP_TYPES).templates

    async def ListTemplates(self, request: ListTemplatesRequest, context: Any) -> ListTemplatesResponse:
        """A large answer."""
        return ListTemplatesResponse(templates=[to_template(self._templates[name]) for name in sorted(self._templates)])


def _served() -> Sequence[Served]:
    # Servicers have what is called here, and no more.
    return [
        Served(name="convergence.auth.v1.QuotaService", add=add_QuotaServiceServicer_to_server, servicer=Quotas()),  # type: ignore[abstract]
        Served(name="convergence.executor.v1.PipelineService", add=add_PipelineServiceServicer_to_server, servicer=Templates()),  # type: ignore[abstract]
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
        settings = ServiceSettings(listen=address, tls_dir=tls_dir)
        server = build_server(settings, name="executor", authenticator=Everybody(), served=_served()).server
    await server.start()
    await server.wait_for_termination()


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """A server process, and what each round of each RPC has cost it: microseconds of CPU a call."""

    name: str
    pid: int
    channel: grpc.aio.Channel
    costs: dict[str, list[float]] = field(default_factory=lambda: {"GetQuota": [], "ListTemplates": []})

    async def call(self, rpc: str) -> None:
        """One call, with what a real one has with it."""
        if rpc == "GetQuota":
            await QuotaServiceStub(self.channel).GetQuota(GetQuotaRequest(tenant_id=TENANT), metadata=METADATA, timeout=60)
        else:
            await PipelineServiceStub(self.channel).ListTemplates(ListTemplatesRequest(), metadata=METADATA, timeout=60)

    def cpu_seconds(self) -> float:
        """Of all its threads so far, in the kernel and out of it."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


async def _make_calls(call: Callable[[], Awaitable[None]], times: int) -> None:
    left = iter(range(times))

    async def one_caller() -> None:
        for _ in left:
            await call()

    await asyncio.gather(*(one_caller() for _ in range(AT_ONCE)))


async def _measure(servers: Sequence[tuple[str, str, int]], tls_dir: Path, *, rounds: int) -> list[Measured]:
    """`servers`: name, address, pid. They take turns, so that what else the machine does meets all of them."""
    ca, key, chain = ((tls_dir / name).read_bytes() for name in ("ca.pem", "gateway.key", "gateway.pem"))
    credentials = grpc.ssl_channel_credentials(ca, key, chain)
    options = [("grpc.ssl_target_name_override", "executor.convergence.internal")]
    measured = [
        Measured(name=name, pid=pid, channel=grpc.aio.secure_channel(address, credentials, options=options))
        for name, address, pid in servers
    ]
    for one in measured:
        await asyncio.wait_for(one.channel.channel_ready(), START_SECONDS)
        for rpc in one.costs:
            await _make_calls(partial(one.call, rpc), WARM)
    for _ in range(rounds):
        for one in measured:
            for rpc, costs in one.costs.items():
                before = one.cpu_seconds()
                await _make_calls(partial(one.call, rpc), CALLS)
                costs.append((one.cpu_seconds() - before) / CALLS * 1e6)
    for one in measured:
        await one.channel.close()
    return measured


@contextmanager
def _server(kind: str, tree: Path, address: str, tls_dir: Path) -> Iterator[int]:
    """A server of the code in `tree`; its pid."""
    command = [str(tree / ".venv/bin/python"), "-P", __file__, "--serve", kind, "--address", address, "--tls", str(tls_dir)]
    with (tls_dir / f"{address}.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)})
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.call_cpu", description="CPU that a call costs the process that answers it.")
    parser.add_argument("--rounds", type=int, default=5, help=f"of {CALLS} calls of each RPC (%(default)s)")
    parser.add_argument(
        "--against", type=Path, help="another checkout, set up with `make gen`, whose server is measured in the same rounds"
    )
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    parser.add_argument("--tls", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(_serve(options.serve, options.address, options.tls))
        return
    kinds = [("bare gRPC", "bare", REPOSITORY), ("the services", "suite", REPOSITORY)]
    kinds += [(str(options.against), "suite", options.against.resolve())] if options.against else []
    with ExitStack() as stack:
        tls_dir = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mint(tls_dir)
        addresses = [f"127.0.0.1:{port}" for port in free_ports(len(kinds))]
        servers = [
            (name, address, stack.enter_context(_server(kind, tree, address, tls_dir)))
            for (name, kind, tree), address in zip(kinds, addresses, strict=True)
        ]
        measured = asyncio.run(_measure(servers, tls_dir, rounds=options.rounds))
    for one in measured:
        for rpc, costs in one.costs.items():
            middle = median(costs)
            print(
                f"{one.name}, {rpc}: {middle:.0f} us of CPU a call ({min(costs):.0f}-{max(costs):.0f}), {1e6 / middle:,.0f} calls a second"
            )


if __name__ == "__main__":
    main()
