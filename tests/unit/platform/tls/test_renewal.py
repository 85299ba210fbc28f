"""Certificates are renewed under open connections: a server and a channel to it, with mTLS, in one process."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from convergence.auth.v1 import authentication_service_pb2 as messages
from convergence.auth.v1.authentication_service_pb2_grpc import (
    AuthenticationServiceServicer,
    AuthenticationServiceStub,
    add_AuthenticationServiceServicer_to_server,
)

from localcloud.certs import VALID, Authority, mint, renew
from services.platform.access.key_holder import KeyHolder
from services.platform.errors import Unavailable
from services.platform.rpc import reach
from services.platform.rpc.peers import peer_channel
from services.platform.server import Built, Served, build_server
from services.platform.settings import ServiceSettings

ASKED = messages.AuthenticateApiKeyRequest(api_key_sha256="0" * 64)


class Answers(AuthenticationServiceServicer):
    """Counts the connections by which calls come."""

    def __init__(self) -> None:
        self.peers = set[str]()
        self.changes = asyncio.Queue[str]()

    async def AuthenticateApiKey(self, request: Any, context: Any) -> messages.AuthenticateApiKeyResponse:
        self.peers.add(context.peer())
        return messages.AuthenticateApiKeyResponse()

    async def AuthenticateSessionToken(self, request: Any, context: Any) -> messages.AuthenticateSessionTokenResponse:
        raise NotImplementedError

    async def AuthenticateApiKeys(self, request: Any, context: Any) -> messages.AuthenticateApiKeysResponse:
        self.peers.add(context.peer())
        return messages.AuthenticateApiKeysResponse()

    async def WatchKeyChanges(self, request: Any, context: Any) -> AsyncIterator[messages.KeyChange]:
        while changed := await self.changes.get():
            yield messages.KeyChange(tenant_id=changed)


class Nothing:
    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        raise NotImplementedError


@pytest.fixture
def settings(tmp_path: Path) -> ServiceSettings:
    mint(tmp_path)
    return ServiceSettings(listen="127.0.0.1:0", tls_dir=tmp_path, tls_reload_seconds=0.05, peer_deadline_seconds=5.0)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
async def built(settings: ServiceSettings, answers: Answers) -> AsyncIterator[Built]:
    served = Served(name="convergence.auth.v1.AuthenticationService", add=add_AuthenticationServiceServicer_to_server, servicer=answers)
    built = build_server(settings, name="auth", authenticator=Nothing(), served=[served])
    await built.server.start()
    yield built
    await built.server.stop(None)


async def test_calls_before_between_and_after_the_steps_of_a_renewal(settings: ServiceSettings, built: Built, answers: Answers) -> None:
    """The channel reads its files by itself, the server when it is asked to, as `serve` does. A stream that was open goes on."""
    async with peer_channel(settings, caller="executor", peer="auth", address=f"127.0.0.1:{built.port}") as channel:
        stub = AuthenticationServiceStub(channel)
        received = aiter(stub.WatchKeyChanges(messages.WatchKeyChangesRequest()))
        await stub.AuthenticateApiKey(ASKED)
        loop, seen = asyncio.get_running_loop(), [set(answers.peers)]

        async def both_have_read() -> None:
            await built.certificates.refresh()
            files = (settings.tls_dir / "ca.pem").read_bytes(), (settings.tls_dir / "executor.key").read_bytes()
            while (channel._watch.current.authorities, channel._watch.current.key) != files:
                await asyncio.sleep(0.01)
            await stub.AuthenticateApiKey(ASKED)
            seen.append(set(answers.peers))

        await asyncio.to_thread(renew, settings.tls_dir, pause=lambda: asyncio.run_coroutine_threadsafe(both_have_read(), loop).result(10))
        await both_have_read()

        assert [len(peers) for peers in seen] == [1, 2, 3, 4], "each step makes a new connection"
        answers.changes.put_nowait("acme")
        assert [(await anext(received)).tenant_id] == ["acme"]
        assert len(channel._retired) == 1, "only the stream's first channel is left"
        answers.changes.put_nowait("")
        assert [one async for one in received] == []
        while channel._retired or channel._closing:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("days", [-1, 1], ids=["expired", "good"])
async def test_an_expired_certificate_gets_no_caller_in(
    settings: ServiceSettings, built: Built, tmp_path: Path, days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same authority, trusted beside the server's own, once with a certificate of yesterday."""
    caller = settings.model_copy(update={"tls_dir": tmp_path / "caller"})
    caller.tls_dir.mkdir()
    other = Authority(datetime.now(UTC) - VALID + timedelta(days=days))
    other.issue_all(caller.tls_dir)
    ours = (settings.tls_dir / "ca.pem").read_text()
    (caller.tls_dir / "ca.pem").write_text(ours + other.pem)
    (settings.tls_dir / "ca.pem").write_text(ours + other.pem)
    await built.certificates.refresh()
    if days < 0:
        monkeypatch.setattr(reach, "WAIT_SECONDS", 0.2)  # for a next try; one that is under way is waited for in any case
    async with peer_channel(caller, caller="executor", peer="auth", address=f"127.0.0.1:{built.port}") as channel:
        call = AuthenticationServiceStub(channel).AuthenticateApiKey(ASKED, timeout=2)
        if days > 0:
            await call
        else:
            with pytest.raises(Unavailable):
                await call
