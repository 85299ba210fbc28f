"""TLS towards clients, and certificates that are replaced while the gateway runs."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
import yaml
from convergence.auth.v1 import quota_service_pb2, quota_service_pb2_grpc
from convergence.client import AsyncClient, Retry, errors
from cryptography import x509
from google.protobuf.message import Message
from pydantic import ValidationError

from gateway.envoy import render
from gateway.settings import GatewaySettings
from localcloud import certs
from localcloud.ports import free_ports
from localcloud.settings import SERVICES
from tests.integration.gateway.conftest import METADATA, Gateway, envoy
from tests.integration.gateway.upstream import Upstream

QUOTA = "/api/v1/tenants/acme/quota"
REQUEST = quota_service_pb2.GetQuotaRequest(tenant_id="acme")


@pytest.fixture
def own_tls_dir(tmp_path: Path) -> Path:
    """Certificates that a test may replace."""
    folder = tmp_path / "tls"
    certs.mint(folder)
    return folder


@pytest.fixture
async def stack(tmp_path: Path, own_tls_dir: Path) -> AsyncIterator[tuple[Gateway, Upstream]]:
    """A gateway that speaks TLS, and the one service behind it."""
    ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
    auth = Upstream(name="auth", port=ports["auth"], tls_dir=own_tls_dir)
    await auth.start()
    # A certificate that names 127.0.0.1.
    pair = {"tls_certificate": own_tls_dir / "azure.pem", "tls_key": own_tls_dir / "azure.key"}
    with envoy(tmp_path, own_tls_dir, ports, **pair) as gateway:
        await until_answered(gateway)
        yield gateway, auth
    await auth.stop()


async def until_answered(gateway: Gateway) -> None:
    """Returns once a call passes. Raises TimeoutError."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(requests.ConnectionError):
                if (await gateway.call("GET", QUOTA)).ok:
                    return
            await asyncio.sleep(0.05)


async def handshake(gateway: Gateway, *, alpn: str, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> tuple[str | None, str | None]:
    """Protocol and version that a new connection has. Raises ssl.SSLError if the gateway refuses, or if its certificate is not good."""
    context = ssl.create_default_context(cafile=gateway.authority)
    context.set_alpn_protocols([alpn])
    context.maximum_version = newest
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port, ssl=context)
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    writer.close()
    return tls.selected_alpn_protocol(), tls.version()


async def test_clients_speak_tls_1_3(stack: tuple[Gateway, Upstream]) -> None:
    """Over HTTP/1.1, HTTP/2 and native gRPC; nothing is said in plain text, and browsers hear that it stays so."""
    gateway, _ = stack
    assert await handshake(gateway, alpn="h2") == ("h2", "TLSv1.3")
    assert await handshake(gateway, alpn="http/1.1") == ("http/1.1", "TLSv1.3")
    with pytest.raises(ssl.SSLError):
        await handshake(gateway, alpn="h2", newest=ssl.TLSVersion.TLSv1_2)
    with pytest.raises(requests.ConnectionError):
        await asyncio.to_thread(requests.get, f"http://127.0.0.1:{gateway.port}/healthz", timeout=5)

    answers = [await gateway.call("GET", path) for path in (QUOTA, "/healthz", "/nope")] + [await gateway.keyless("GET", QUOTA)]
    assert [answer.status_code for answer in answers] == [200, 200, 404, 401]
    assert {answer.headers.get("strict-transport-security") for answer in answers} == {"max-age=31536000"}
    assert gateway.authority is not None
    async with grpc.aio.secure_channel(gateway.target, grpc.ssl_channel_credentials(gateway.authority.read_bytes())) as channel:
        await quota_service_pb2_grpc.QuotaServiceStub(channel).GetQuota(REQUEST, metadata=METADATA)


async def test_the_python_client_trusts_the_authority_that_it_is_given_and_no_other(stack: tuple[Gateway, Upstream]) -> None:
    gateway, _ = stack
    given: dict[str, Any] = {"api_key": "some-key", "tenant_id": "acme", "retry": Retry(attempts=1)}
    async with AsyncClient(gateway.url, ca_file=gateway.authority, **given) as client:
        assert await client.quota.get() == quota_service_pb2.GetQuotaResponse()
    async with AsyncClient(gateway.url, **given) as stranger:
        with pytest.raises(errors.Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await stranger.quota.get()


async def test_replaced_certificates_are_used_without_a_restart(stack: tuple[Gateway, Upstream], own_tls_dir: Path) -> None:
    """Towards clients and towards services, by a new authority; both ends check."""
    gateway, auth = stack
    presented: list[int] = []

    async def look(_: object, context: grpc.aio.ServicerContext[Any, Any]) -> Message:
        [pem] = context.auth_context()["x509_pem_cert"]
        presented.append(x509.load_pem_x509_certificate(pem).serial_number)
        return quota_service_pb2.GetQuotaResponse()

    def serial_number() -> int:
        return x509.load_pem_x509_certificate((own_tls_dir / "gateway.pem").read_bytes()).serial_number

    auth.answer = look
    await gateway.call("GET", QUOTA)
    assert presented == [serial_number()]

    (own_tls_dir / "ca.pem").unlink()
    assert certs.mint(own_tls_dir)
    await auth.stop()
    await auth.start()
    await until_answered(gateway)
    assert presented[-1] == serial_number() != presented[0]


@pytest.mark.parametrize("one", ["tls_certificate", "tls_key"])
def test_a_certificate_without_its_key_is_refused(tmp_path: Path, one: str) -> None:
    with pytest.raises(ValidationError, match="GATEWAY_TLS_CERTIFICATE and GATEWAY_TLS_KEY: set both or neither"):
        GatewaySettings.model_validate({one: tmp_path / "some.pem"})


def test_old_clients_can_be_let_in(tmp_path: Path) -> None:
    settings = GatewaySettings(tls_certificate=tmp_path / "a.pem", tls_key=tmp_path / "a.key", tls_minimum="1.2")
    [chain] = yaml.safe_load(render(settings))["static_resources"]["listeners"][0]["filter_chains"]
    versions = chain["transport_socket"]["typed_config"]["common_tls_context"]["tls_params"]
    assert versions == {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"}
