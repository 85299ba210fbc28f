"""Calls to a peer that cannot be reached at this moment."""

import asyncio
import time
from pathlib import Path

import pytest
from convergence.auth.v1 import authentication_service_pb2 as messages
from convergence.auth.v1.authentication_service_pb2_grpc import AuthenticationServiceStub, add_AuthenticationServiceServicer_to_server
from grpc_health.v1 import health_pb2, health_pb2_grpc

from localcloud.certs import mint
from localcloud.ports import free_ports
from services.platform.errors import Unavailable
from services.platform.rpc import reach
from services.platform.rpc.peers import peer_channel
from services.platform.rpc.reach import FORGOTTEN_SECONDS, WAIT_SECONDS, Outage
from services.platform.server import Built, Served, build_server, drain
from services.platform.settings import ServiceSettings
from services.platform.tls import channel as tls_channel
from tests.unit.platform.tls.test_renewal import Answers, Nothing

ASKED = messages.AuthenticateApiKeyRequest(api_key_sha256="0" * 64)


@pytest.fixture
def settings(tmp_path: Path) -> ServiceSettings:
    mint(tmp_path)
    [port] = free_ports(1)
    return ServiceSettings(listen=f"127.0.0.1:{port}", tls_dir=tmp_path, peer_deadline_seconds=20.0)


@pytest.fixture
def answers() -> Answers:
    return Answers()


async def started(settings: ServiceSettings, answers: Answers) -> Built:
    served = Served(name="convergence.auth.v1.AuthenticationService", add=add_AuthenticationServiceServicer_to_server, servicer=answers)
    built = build_server(settings, name="auth", authenticator=Nothing(), served=[served])
    await built.server.start()
    return built


def test_calls_of_one_outage_wait_together_no_longer_than_one_of_them() -> None:
    outage = Outage()
    assert [outage.seconds_left(now) for now in (100.0, 101.0, 100.0 + WAIT_SECONDS, 109.0)] == [WAIT_SECONDS, WAIT_SECONDS - 1, 0.0, 0.0]
    outage.end()
    assert outage.seconds_left(110.0) == WAIT_SECONDS, "another outage"
    assert outage.seconds_left(110.0 + FORGOTTEN_SECONDS + 1) == WAIT_SECONDS, "and another: nothing was noticed of this one for long"


async def test_calls_wait_while_the_peer_starts_and_while_it_is_replaced(settings: ServiceSettings, answers: Answers) -> None:
    async with peer_channel(settings, caller="executor", peer="auth", address=settings.listen) as channel:
        stub = AuthenticationServiceStub(channel)
        for _ in range(2):
            early = asyncio.ensure_future(stub.AuthenticateApiKey(ASKED))
            await asyncio.sleep(0.3)
            assert not early.done(), "it waits"
            built = await started(settings, answers)
            await early
            await stub.AuthenticateApiKey(ASKED)
            await built.server.stop(None)


async def test_a_service_that_stops_says_so_and_serves_on_for_a_moment(settings: ServiceSettings, answers: Answers) -> None:
    built = await started(settings, answers)
    await built.health.set("", health_pb2.HealthCheckResponse.SERVING)
    async with peer_channel(settings, caller="executor", peer="auth", address=settings.listen) as channel:
        health, stub = health_pb2_grpc.HealthStub(channel), AuthenticationServiceStub(channel)
        draining = asyncio.ensure_future(drain(built.health, 0.2))
        while (await health.Check(health_pb2.HealthCheckRequest())).status != health_pb2.HealthCheckResponse.NOT_SERVING:
            await asyncio.sleep(0.01)
        await stub.AuthenticateApiKey(ASKED)
        assert not draining.done()
        await draining
    await built.server.stop(None)


async def test_calls_of_a_long_outage_fail_at_once_and_the_channel_is_replaced(
    settings: ServiceSettings, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A channel that has not found its peer's name for long looks for it only every two minutes; a new one does so at once."""
    monkeypatch.setattr(reach, "WAIT_SECONDS", 0.2)
    async with peer_channel(settings, caller="executor", peer="auth", address=settings.listen) as channel:
        stub = AuthenticationServiceStub(channel)
        with pytest.raises(Unavailable, match="auth service does not answer"):
            await stub.AuthenticateApiKey(ASKED)
        first, began = channel._line, time.process_time()
        with pytest.raises(Unavailable):
            await stub.AuthenticateApiKey(ASKED)
        assert (channel._line is first, time.process_time() - began < 1.0) == (True, True), "it is young"
        monkeypatch.setattr(tls_channel, "ANEW_SECONDS", 0.0)
        with pytest.raises(Unavailable):
            await stub.AuthenticateApiKey(ASKED)
        assert channel._line is not first
        monkeypatch.setattr(reach, "WAIT_SECONDS", 10.0)
        built = await started(settings, answers)
        await stub.AuthenticateApiKey(ASKED)
        await built.server.stop(None)
