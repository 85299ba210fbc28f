"""A caller's SPIFFE id, read by gRPC from a real certificate."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from convergence.auth.v1 import authentication_service_pb2 as messages
from convergence.auth.v1.authentication_service_pb2_grpc import AuthenticationServiceStub, add_AuthenticationServiceServicer_to_server
from cryptography import x509
from pydantic import ValidationError

from localcloud.certs import Authority
from services.platform.server import Served
from services.platform.settings import ServiceSettings
from tests.conftest import channel_as, serving
from tests.unit.platform.tls.test_renewal import ASKED, Answers, Nothing

PATTERN = "spiffe://prod.example.com/ns/convergence/sa/{service}"
DNS = x509.DNSName("scheduler.convergence.internal")


def uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


@pytest.mark.parametrize(
    ("names", "pattern", "let_in"),
    [
        ([uri("spiffe://prod.example.com/ns/convergence/sa/executor")], PATTERN, True),
        ([DNS], PATTERN, True),
        ([uri("spiffe://prod.example.com/ns/convergence/sa/executor"), DNS], PATTERN, True),
        ([uri("spiffe://prod.example.com/ns/convergence/sa/executor")], None, False),
        ([uri("spiffe://prod.example.com/ns/convergence/sa/other")], PATTERN, False),
        ([uri("spiffe://prod.example.com/ns/convergence/sa/x/executor")], PATTERN, False),
        ([uri("spiffe://prod.example.com/ns/other/sa/executor")], PATTERN, False),
        ([uri("spiffe://test.example.com/ns/convergence/sa/executor")], PATTERN, False),
        ([uri("https://prod.example.com/ns/convergence/sa/executor")], PATTERN, False),
        # An X.509-SVID has one URI.
        ([uri("spiffe://prod.example.com/ns/convergence/sa/executor"), uri("spiffe://prod.example.com/x")], PATTERN, False),
        # Neither of these is a DNS name.
        ([uri("executor.convergence.internal")], PATTERN, False),
        ([x509.RFC822Name("a@executor.convergence.internal")], PATTERN, False),
    ],
)
async def test_who_is_let_in_by_its_names(tmp_path: Path, names: list[Any], pattern: str | None, let_in: bool) -> None:
    authority = Authority(datetime.now(UTC))
    authority.issue_all(tmp_path)
    authority.issue(tmp_path, "caller", names)
    (tmp_path / "ca.pem").write_text(authority.pem)
    settings = ServiceSettings(listen="127.0.0.1:0", tls_dir=tmp_path, spiffe_id=pattern)
    served = Served(name="convergence.auth.v1.AuthenticationService", add=add_AuthenticationServiceServicer_to_server, servicer=Answers())
    async with (
        serving(settings, name="auth", authenticator=Nothing(), served=[served]) as address,
        channel_as(settings, caller="caller", peer="auth", address=address) as channel,
    ):
        call = AuthenticationServiceStub(channel).AuthenticateApiKey(ASKED, timeout=5)
        if let_in:
            assert await call == messages.AuthenticateApiKeyResponse()
        else:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "pattern", ["spiffe://{service}", "https://a/{service}", "spiffe://a/{service}/x", "spiffe://a/executor", "spiffe:///{service}"]
)
def test_a_pattern_that_names_no_service_stops_the_process(pattern: str) -> None:
    with pytest.raises(ValidationError):
        ServiceSettings(spiffe_id=pattern)
