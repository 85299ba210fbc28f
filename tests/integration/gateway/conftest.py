"""One real Envoy in front of four small gRPC servers, all on loopback."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from localcloud import certs
from localcloud.ports import free_ports
from localcloud.settings import SERVICES
from tests.integration.gateway.upstream import Upstream
from tests.support.collector import Collector, collecting

ORIGIN, OTHER_ORIGIN = "http://localhost:5173", "https://console.test"
TIMEOUT_SECONDS = 3  # a busy machine answers within it; two tests wait it out
READY_WITHIN = 20.0
KEYS = {"x-api-key": "some-key", "x-admin-key": "some-admin-key"}
"""The gateway asks for one, and leaves it to the services to know it."""
METADATA = tuple(KEYS.items())
COLLECTOR_HEADERS = {"Authorization": "Bearer of-the-collector"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Gateway:
    """A running gateway."""

    port: int
    admin_port: int
    stats_port: int
    log: Path
    pid: int
    authority: Path | None = None
    """Signs the certificate for clients; None: they speak plain text."""

    @property
    def url(self) -> str:
        return f"{'https' if self.authority else 'http'}://127.0.0.1:{self.port}"

    @property
    def target(self) -> str:
        """For gRPC clients."""
        return f"127.0.0.1:{self.port}"

    async def call(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **options: Any) -> requests.Response:
        """One HTTP request with keys of both kinds, made in a thread because the upstreams answer on this loop."""
        return await self.keyless(method, path, headers=KEYS | {**(headers or {})}, **options)

    async def keyless(self, method: str, path: str, **options: Any) -> requests.Response:
        """One HTTP request as it stands."""
        trusted = str(self.authority) if self.authority else None
        return await asyncio.to_thread(requests.request, method, self.url + path, timeout=10, verify=trusted, **options)

    async def ready(self) -> None:
        """Returns once /readyz says 200. Raises TimeoutError."""
        async with asyncio.timeout(READY_WITHIN):
            while True:
                with contextlib.suppress(requests.ConnectionError):
                    if (await self.call("GET", "/readyz")).ok:
                        return
                await asyncio.sleep(0.02)

    async def logged(self, marker: str) -> dict[str, Any]:
        """The access log's line that holds `marker`; Envoy flushes it within a second or so. Raises TimeoutError."""
        async with asyncio.timeout(15):
            while True:
                for line in self.log.read_text().splitlines():
                    if marker in line and line.startswith("{"):
                        found: dict[str, Any] = json.loads(line)
                        return found
                await asyncio.sleep(0.05)


@contextlib.contextmanager
def envoy(folder: Path, tls_dir: Path, ports: dict[str, int], **more: object) -> Iterator[Gateway]:
    """`python -m gateway` as anybody would start it: set up by its environment. `more` are settings."""
    listen, admin, stats = free_ports(3)
    settings = {f"{name}_port": port for name, port in ports.items()} | {
        "listen_port": listen,
        "admin_port": admin,
        "stats_port": stats,
        "tls_dir": tls_dir,
        "cors_origin": f"{ORIGIN}, {OTHER_ORIGIN}",
        "timeout_seconds": TIMEOUT_SECONDS,
        "config_out": folder / "envoy.yaml",
        **more,
    }
    environment = os.environ | {f"GATEWAY_{name.upper()}": str(value) for name, value in settings.items()}
    log = folder / "gateway.log"
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, "-m", "gateway"], env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        authority = tls_dir / "ca.pem" if "tls_certificate" in more else None
        yield Gateway(port=listen, admin_port=admin, stats_port=stats, log=log, pid=process.pid, authority=authority)
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture(scope="session")
def tls_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    certs.mint(folder)
    return folder


@pytest.fixture(scope="session")
async def all_upstreams(tls_dir: Path) -> AsyncIterator[dict[str, Upstream]]:
    ports = free_ports(len(SERVICES))
    upstreams = {name: Upstream(name=name, port=port, tls_dir=tls_dir) for name, port in zip(SERVICES, ports, strict=True)}
    for upstream in upstreams.values():
        await upstream.start()
    yield upstreams
    for upstream in upstreams.values():
        await upstream.stop()


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Gets the gateway's traces."""
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="session")
async def running_gateway(
    tmp_path_factory: pytest.TempPathFactory, tls_dir: Path, all_upstreams: dict[str, Upstream], collector: Collector
) -> AsyncIterator[Gateway]:
    ports = {name: one.port for name, one in all_upstreams.items()}
    traces = {"otlp_endpoint": collector.endpoint, "otlp_headers": json.dumps(COLLECTOR_HEADERS), "trace_ratio": 0, "project": "acme-prod"}
    with envoy(tmp_path_factory.mktemp("gateway"), tls_dir, ports, **traces) as gateway:
        await gateway.ready()
        yield gateway
        assert "script log" not in gateway.log.read_text(), "a Lua filter has failed"


@pytest.fixture
async def gateway(running_gateway: Gateway) -> Gateway:
    """The gateway, which finds every service: another test may have stopped one."""
    await running_gateway.ready()
    return running_gateway


@pytest.fixture
def upstreams(all_upstreams: dict[str, Upstream]) -> dict[str, Upstream]:
    """The four services, with no calls seen yet and plain answers."""
    for upstream in all_upstreams.values():
        upstream.seen.clear()
        upstream.answer = upstream.stream = None
    return all_upstreams


@pytest.fixture
def auth(upstreams: dict[str, Upstream]) -> Upstream:
    return upstreams["auth"]
