"""Worker threads get identity tokens from credentials, or a refusal for the tenant, and never stop an event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
from convergence.credentials.v1 import token_service_pb2 as messages
from convergence.credentials.v1 import token_service_pb2_grpc

from services.clouds.access import AccessRefused
from services.clouds.probes import probe_subjects
from services.executor.sources import tokens
from services.executor.sources.tokens import IdentityTokens
from services.platform.errors import ConvergenceError, FailedPrecondition, Internal, Unauthenticated, Unavailable
from services.platform.rpc.peers import peer_channel
from services.platform.server import Served
from services.platform.settings import ServiceSettings
from tests.conftest import serving

AUDIENCE = "sts.amazonaws.com"


class NoTenant:
    async def authenticate(self, api_key_sha256: str) -> Any:
        raise Unauthenticated("API_KEY_INVALID", "This API key is not known.")


@dataclass
class Credentials(token_service_pb2_grpc.TokenServiceServicer):
    """Answers as the test says."""

    error: ConvergenceError | None = None
    gate: asyncio.Event | None = None
    seen: list[messages.MintTokenRequest] = field(default_factory=list)

    async def MintToken(self, request: messages.MintTokenRequest, context: Any) -> messages.MintTokenResponse:
        self.seen.append(request)
        if self.gate:
            await self.gate.wait()
        if self.error:
            raise self.error
        return messages.MintTokenResponse(token="head.claims.signature", audience=AUDIENCE)


@pytest.fixture
def credentials() -> Credentials:
    return Credentials()


@pytest.fixture
async def identity(plain_settings: ServiceSettings, credentials: Credentials) -> AsyncIterator[IdentityTokens]:
    name = "convergence.credentials.v1.TokenService"
    served = [Served(name=name, add=token_service_pb2_grpc.add_TokenServiceServicer_to_server, servicer=credentials)]
    async with (
        serving(plain_settings, name="credentials", authenticator=NoTenant(), served=served) as address,
        peer_channel(plain_settings, caller="executor", peer="credentials", address=address) as channel,
    ):
        yield IdentityTokens(channel)


async def refusal(token_of: Callable[[str], str], audience: str = AUDIENCE) -> AccessRefused:
    with pytest.raises(AccessRefused) as refused:
        await asyncio.to_thread(token_of, audience)
    return refused.value


async def test_a_thread_gets_a_token_about_the_tenant_and_no_log_has_it(identity: IdentityTokens, credentials: Credentials) -> None:
    with structlog.testing.capture_logs() as logs:
        assert await asyncio.to_thread(identity.token_of("acme", "AWS"), AUDIENCE) == "head.claims.signature"
        probes = identity.probes("acme", "AWS")
        for token_of in probes.values():
            await asyncio.to_thread(token_of, AUDIENCE)
    assert tuple(probes) == probe_subjects("acme")
    assert [(one.tenant_id, one.provider, one.probe) for one in credentials.seen] == [("acme", "AWS", number) for number in range(5)]
    assert "signature" not in repr(logs)


async def test_waiting_on_an_event_loop_is_an_error_at_once(identity: IdentityTokens, credentials: Credentials) -> None:
    with pytest.raises(RuntimeError, match="use a worker thread"):
        identity.token_of("acme", "AWS")(AUDIENCE)
    assert credentials.seen == []


async def test_a_token_for_another_audience_is_not_handed_out(identity: IdentityTokens) -> None:
    refused = await refusal(identity.token_of("acme", "AZURE"), "api://AzureADTokenExchange")
    assert (refused.is_retryable, "were changed meanwhile" in refused.message) == (True, True)
    assert "signature" not in refused.message


@pytest.mark.parametrize(
    ("error", "is_retryable"),
    [
        (FailedPrecondition("CREDENTIALS_NOT_FEDERATED", "The AWS credentials hold a key."), False),
        (FailedPrecondition("FEDERATION_OFF", "This installation issues no identity tokens."), False),
        (FailedPrecondition("CREDENTIALS_MISSING", "There are no AWS credentials yet."), False),
        (Unavailable("KMS_UNAVAILABLE", "KMS does not answer."), True),
        (Internal("KMS_KEY_UNUSABLE", "The key that signs cannot be used."), True),
        (Internal("INTERNAL", "Something broke on our side."), False),
    ],
)
async def test_a_refusal_says_why_and_whether_it_may_pass(
    identity: IdentityTokens, credentials: Credentials, error: ConvergenceError, is_retryable: bool
) -> None:
    credentials.error = error
    refused = await refusal(identity.token_of("acme", "AWS"))
    assert refused.is_retryable is is_retryable
    assert error.message in refused.message


async def test_a_service_that_does_not_answer_is_waited_for_no_longer_than_the_deadline(
    identity: IdentityTokens, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "SECONDS", 0.2)
    credentials.gate = asyncio.Event()
    assert (await refusal(identity.token_of("acme", "AWS"))).is_retryable
    credentials.gate.set()
