"""Calls through a real server leave entries in memory: who, what, how it ended; and a stopping service sends what it has."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from hashlib import sha256
from typing import Any

import grpc
import pytest
from convergence.auth.v1 import api_key_service_pb2 as messages
from convergence.auth.v1.api_key_service_pb2_grpc import ApiKeyServiceServicer, ApiKeyServiceStub, add_ApiKeyServiceServicer_to_server
from convergence.auth.v1.ledger_service_pb2 import ReserveRequest
from convergence.auth.v1.ledger_service_pb2_grpc import LedgerServiceServicer, LedgerServiceStub, add_LedgerServiceServicer_to_server
from convergence.executor.v1.pipeline_service_pb2 import CancelRunRequest, ListRunsRequest, ListRunsResponse
from convergence.executor.v1.pipeline_service_pb2_grpc import (
    PipelineServiceServicer,
    PipelineServiceStub,
    add_PipelineServiceServicer_to_server,
)
from convergence.executor.v1.run_pb2 import Run

from localcloud.ports import free_ports
from services.platform.access.caller import Caller
from services.platform.access.key_holder import KeyHolder
from services.platform.access.sessions.session import Session
from services.platform.audit import trail
from services.platform.audit.delivery import AuditDelivery
from services.platform.audit.entry import AuditEntry
from services.platform.audit.pending import PendingEntries
from services.platform.audit.trail import actor_of, chain_of
from services.platform.clock import SystemClock
from services.platform.errors import InvalidArgument, NotFound, Unauthenticated, Unavailable
from services.platform.rpc import report
from services.platform.rpc.calls import Call
from services.platform.server import Served, build_server, serve
from services.platform.settings import AdminKey, ServiceSettings
from tests.conftest import channel_as
from tests.support.session_tokens import name_of, shaped

ADMIN, OPERATOR, KEY, SECRET = "admin-provisioner", "admin-scheduler", "acme-key", "s3cr3t-key-of-a-tenant"
TOKEN_ID = "token-1"
RUN = "7d0e8c1a-0000-5000-8000-000000000000"


class Holders:
    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        if api_key_sha256 != sha256(KEY.encode()).hexdigest():
            raise Unauthenticated("API_KEY_INVALID", "No.")
        return KeyHolder(tenant_id="acme_corp", api_key_id="key-1", scopes=(), tenant_active=True, subscription_active=True)

    async def authenticate_session(self, session_token: str) -> Session:
        if name_of(session_token) != TOKEN_ID:
            raise Unauthenticated("TOKEN_INVALID", "No.")
        return Session(holder=await self.authenticate(sha256(KEY.encode()).hexdigest()), session_token_id=TOKEN_ID, user_id="bob")

    async def changes(self) -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield ""


class Keys(ApiKeyServiceServicer):
    async def CreateApiKey(self, request: messages.CreateApiKeyRequest, context: Any) -> messages.CreateApiKeyResponse:
        if request.tenant_id == "missing":
            raise NotFound("TENANT_NOT_FOUND", "No.")
        return messages.CreateApiKeyResponse(api_key_id="key-2", api_key=SECRET)


class Runs(PipelineServiceServicer):
    def __init__(self) -> None:
        self.is_slow = asyncio.Event()

    async def CancelRun(self, request: CancelRunRequest, context: Any) -> Run:
        if request.pipeline_logging_id == "slow":
            self.is_slow.set()
            await asyncio.Event().wait()
        if request.pipeline_logging_id == "down":
            raise Unavailable("BIGQUERY_UNAVAILABLE", "No.")
        if request.pipeline_logging_id == "broken":
            raise RuntimeError(SECRET)
        return Run(pipeline_logging_id=request.pipeline_logging_id)

    async def ListRuns(self, request: ListRunsRequest, context: Any) -> ListRunsResponse:
        return ListRunsResponse()


# Servicers have what is called here, and no more.
RUNS = Runs()  # type: ignore[abstract]
SERVED = [
    Served(name="convergence.auth.v1.ApiKeyService", add=add_ApiKeyServiceServicer_to_server, servicer=Keys()),  # type: ignore[abstract]
    Served(name="convergence.auth.v1.LedgerService", add=add_LedgerServiceServicer_to_server, servicer=LedgerServiceServicer()),  # type: ignore[abstract]
    Served(name="convergence.executor.v1.PipelineService", add=add_PipelineServiceServicer_to_server, servicer=RUNS),
]


@pytest.fixture
def settings(plain_settings: ServiceSettings) -> ServiceSettings:
    keys = (
        AdminKey(role="provisioner", sha256=sha256(ADMIN.encode()).hexdigest()),
        AdminKey(role="scheduler", sha256=sha256(OPERATOR.encode()).hexdigest()),
    )
    return plain_settings.model_copy(update={"admin_keys": keys})


class Server:
    """What calls have left, and stubs as the gateway has them."""

    def __init__(self, recorded: PendingEntries, channel: grpc.aio.Channel) -> None:
        self.recorded, self.channel = recorded, channel
        self.keys, self.runs = ApiKeyServiceStub(channel), PipelineServiceStub(channel)

    async def call(self, made: Any) -> list[AuditEntry]:
        """The entries of one call."""
        with contextlib.suppress(grpc.aio.AioRpcError):
            await made
        return self.entries()

    def entries(self) -> list[AuditEntry]:
        found = self.recorded.due(SystemClock().now(), most=100, is_last=True)
        self.recorded.stored(found)
        return found


@pytest.fixture
async def server(settings: ServiceSettings) -> AsyncIterator[Server]:
    built = build_server(settings, name="auth", authenticator=Holders(), served=SERVED, sessions=Holders())
    await built.server.start()
    async with channel_as(settings, caller="gateway", peer="auth", address=f"127.0.0.1:{built.port}") as channel:
        yield Server(built.recorded, channel)
    await built.server.stop(None)


def headers(key: str = KEY, **more: str) -> list[tuple[str, str]]:
    named = {"x-api-key": key, "x-forwarded-for": "203.0.113.9", "x-request-id": "r-1", "x-user-id": "alice"}
    return [*(named | {name.replace("_", "-"): value for name, value in more.items()}).items()]


def as_admin(key: str = ADMIN) -> list[tuple[str, str]]:
    return [("x-admin-key", key), ("x-forwarded-for", "203.0.113.9"), ("x-request-id", "r-1")]


def facts(entries: Sequence[AuditEntry], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(asdict(entry)[name] for name in names) for entry in entries]


async def test_a_tenants_call_says_who_did_what(server: Server) -> None:
    [entry] = await server.call(server.runs.CancelRun(CancelRunRequest(tenant_id="acme_corp", pipeline_logging_id=RUN), metadata=headers()))
    assert {**asdict(entry), "entry_id": "", "time": ""} == {
        "entry_id": "",
        "chain": "acme_corp",
        "time": "",
        "action": "CancelRun",
        "outcome": "OK",
        "count": 1,
        "resource": f"pipeline_logging_id={RUN}",
        "actor_kind": "API_KEY",
        "actor_id": "key-1",
        "actor_role": "",
        "user_id": "alice",
        "request_id": "r-1",
        "client_address": "203.0.113.9",
    }


async def test_a_browser_s_call_names_its_token_and_the_token_s_user(server: Server) -> None:
    token = shaped(TOKEN_ID, SystemClock().now())
    metadata = [("authorization", f"Bearer {token}"), ("x-user-id", "mallory")]
    cancel = CancelRunRequest(tenant_id="acme_corp", pipeline_logging_id=RUN)
    found = await server.call(server.runs.CancelRun(cancel, metadata=metadata))
    found += await server.call(server.runs.CancelRun(CancelRunRequest(tenant_id="globex"), metadata=metadata))
    found += await server.call(server.runs.CancelRun(cancel, metadata=[("authorization", "Bearer x")]))
    assert facts(found, "chain", "outcome", "actor_kind", "user_id") == [
        ("acme_corp", "OK", "SESSION_TOKEN", "bob"),
        ("acme_corp", "TENANT_MISMATCH", "SESSION_TOKEN", "bob"),
        ("-", "TOKEN_INVALID", "UNKNOWN", ""),
    ]
    assert [entry.actor_id for entry in found[:2]] == ["token-1", "token-1"]
    assert token not in str(found)


def test_an_operator_is_known_by_a_key_or_by_a_token_whatever_its_name() -> None:
    by_token = Caller(admin_role="provisioner", principal="admin-key:0123abcd", is_oidc=True)
    assert actor_of(by_token, "10.0.0.1") == ("OIDC", "admin-key:0123abcd")
    assert actor_of(Caller(admin_role="provisioner", principal="admin-key:0123abcd"), "10.0.0.1") == ("ADMIN_KEY", "admin-key:0123abcd")
    assert actor_of(None, "2001:db8:1:2::7") == ("UNKNOWN", "2001:db8:1:2::/64")


@pytest.mark.parametrize("tenant_id", ["Acme-Corp", "", "-"])
def test_a_tenant_with_an_id_that_is_none_of_ours_has_no_chain(tenant_id: str) -> None:
    """The subscription system may have written its key."""
    assert chain_of(Caller(tenant_id=tenant_id, api_key_id="k"), tenant_id, "BAD_FIELD", is_served=False) == "-"


async def test_an_entry_that_is_refused_does_not_hold_up_the_others() -> None:
    pending, stored = PendingEntries(), list[str]()

    async def append(entries: Sequence[AuditEntry], *, urgent: bool) -> None:
        if any(entry.chain == "bad" for entry in entries):
            raise InvalidArgument("entries[0]", "No.")
        stored.extend(entry.chain for entry in entries)

    for chain in ("acme", "bad", "globex"):
        pending.add(AuditEntry(entry_id=chain, chain=chain, time=SystemClock().now(), action="RunPipeline", outcome="OK"))
    await AuditDelivery(pending, append, SystemClock(), every_seconds=1.0, last_seconds=1.0).send()
    assert (stored, len(pending)) == (["acme", "globex"], 0)


async def test_what_a_stopping_service_cannot_store_is_in_its_own_log(capsys: pytest.CaptureFixture[str]) -> None:
    pending = PendingEntries()

    async def append(entries: Sequence[AuditEntry], *, urgent: bool) -> None:
        raise RuntimeError("broken")

    async with AuditDelivery(pending, append, SystemClock(), every_seconds=60.0, last_seconds=1.0):
        pending.add(AuditEntry(entry_id="entry-7", chain="acme", time=SystemClock().now(), action="RunPipeline", outcome="OK"))
    said = capsys.readouterr()
    assert "audit_entry_not_stored" in said.out + said.err
    assert "entry-7" in said.out + said.err


async def test_an_operators_call_is_in_the_tenants_chain_with_its_role_and_key(server: Server) -> None:
    named = ("chain", "outcome", "actor_kind", "actor_id", "actor_role", "resource")
    found = await server.call(server.keys.CreateApiKey(messages.CreateApiKeyRequest(tenant_id="globex"), metadata=as_admin()))
    fingerprint = f"admin-key:{sha256(ADMIN.encode()).hexdigest()[:8]}"
    assert facts(found, *named) == [("globex", "OK", "ADMIN_KEY", fingerprint, "provisioner", "api_key_id=key-2")]
    found = await server.call(server.keys.CreateApiKey(messages.CreateApiKeyRequest(tenant_id="missing"), metadata=as_admin()))
    assert facts(found, *named) == [("-", "TENANT_NOT_FOUND", "ADMIN_KEY", fingerprint, "provisioner", "")]
    found = await server.call(server.keys.CreateApiKey(messages.CreateApiKeyRequest(tenant_id="globex"), metadata=as_admin(OPERATOR)))
    assert facts(found, *named)[0][:3] == ("-", "ADMIN_ROLE_DENIED", "ADMIN_KEY")
    assert facts(found, "actor_role") == [("scheduler",)]


async def test_refused_calls_never_reach_another_tenants_chain(server: Server) -> None:
    """A known key's are in its own tenant's chain, unknown callers' in the platform's, by their address; reads count, too."""
    named = ("chain", "action", "outcome", "actor_kind", "actor_id")
    victim = CancelRunRequest(tenant_id="globex", pipeline_logging_id=RUN)
    assert facts(await server.call(server.runs.CancelRun(victim, metadata=headers())), *named) == [
        ("acme_corp", "CancelRun", "TENANT_MISMATCH", "API_KEY", "key-1")
    ]
    for key, reason in (("", "API_KEY_MISSING"), (SECRET, "API_KEY_INVALID")):
        found = await server.call(server.runs.ListRuns(ListRunsRequest(tenant_id="globex"), metadata=headers(key)))
        assert facts(found, *named) == [("-", "ListRuns", reason, "UNKNOWN", "203.0.113.9")]
    found = await server.call(LedgerServiceStub(server.channel).Reserve(ReserveRequest(), metadata=headers()))
    assert facts(found, *named) == [("-", "Reserve", "CALLER_DENIED", "SERVICE", "gateway")]
    assert await server.call(server.runs.ListRuns(ListRunsRequest(tenant_id="acme_corp"), metadata=headers())) == []


@pytest.mark.parametrize(("run", "reason"), [("down", "BIGQUERY_UNAVAILABLE"), ("broken", "INTERNAL"), ("slow", "SERVICE_TIMEOUT")])
async def test_what_may_have_been_done_is_an_entry(server: Server, run: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (report, trail) if run == "slow" else ():
        monkeypatch.setattr(module, "DEADLINE_MARGIN", 4.7)  # so that neither this test waits long nor its machine need be fast
    call = server.runs.CancelRun(CancelRunRequest(tenant_id="acme_corp", pipeline_logging_id=run), metadata=headers(), timeout=5)
    assert facts(await server.call(call), "outcome", "resource") == [(reason, f"pipeline_logging_id={run}")]


async def test_a_caller_that_goes_away_leaves_an_entry(server: Server) -> None:
    RUNS.is_slow.clear()
    call = server.runs.CancelRun(CancelRunRequest(tenant_id="acme_corp", pipeline_logging_id="slow"), metadata=headers())
    await RUNS.is_slow.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    async with asyncio.timeout(5):
        while not (found := server.entries()):
            await asyncio.sleep(0.02)
    assert facts(found, "outcome", "resource") == [("CANCELLED", "pipeline_logging_id=slow")]


async def test_bad_fields_are_counted_and_not_repeated(server: Server) -> None:
    for _ in range(3):
        with pytest.raises(grpc.aio.AioRpcError):
            await server.runs.CancelRun(CancelRunRequest(tenant_id="acme_corp"), metadata=headers())
    found = server.entries()
    assert facts(found, "outcome", "count", "resource") == [("BAD_FIELD", 3, "")]


async def test_no_secret_is_in_any_entry(server: Server) -> None:
    create = messages.CreateApiKeyRequest(tenant_id="globex")
    cancel = CancelRunRequest(tenant_id="acme_corp", pipeline_logging_id="broken")
    misplaced = CancelRunRequest(tenant_id="acme_corp", pipeline_logging_id=f"acme_corp_api_v1_{'x' * 38}")
    found = [
        *await server.call(server.keys.CreateApiKey(create, metadata=as_admin())),
        *await server.call(server.keys.CreateApiKey(create, metadata=as_admin(SECRET))),
        *await server.call(server.runs.CancelRun(cancel, metadata=headers())),
        *await server.call(server.runs.CancelRun(misplaced, metadata=headers())),
        *await server.call(server.runs.CancelRun(CancelRunRequest(tenant_id=SECRET), metadata=headers(SECRET))),
    ]
    assert len(found) == 5
    hashes = [sha256(key.encode()).hexdigest() for key in (SECRET, KEY, ADMIN)]
    assert not any(secret in str(found) for secret in (SECRET, KEY, ADMIN, *hashes, "xxxx"))


async def test_a_call_is_answered_even_if_it_cannot_be_recorded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Call) -> str:
        raise RuntimeError("broken")

    monkeypatch.setattr("services.platform.audit.trail.client_address", broken)
    await server.runs.CancelRun(CancelRunRequest(tenant_id="acme_corp", pipeline_logging_id=RUN), metadata=headers())
    assert server.entries() == []


async def test_a_stopping_service_sends_what_it_has_also_what_is_counted(settings: ServiceSettings) -> None:
    """The first try fails: what was not stored is sent again."""
    sent = list[tuple[list[str], bool]]()

    async def append(entries: Sequence[AuditEntry], *, urgent: bool) -> None:
        sent.append(([entry.outcome for entry in entries], urgent))
        if len(sent) == 1:
            raise Unavailable("SERVICE_UNAVAILABLE", "No.")

    settings = settings.model_copy(update={"listen": f"127.0.0.1:{free_ports(1)[0]}", "audit_flush_seconds": 0.05})
    serving = asyncio.create_task(serve(settings, name="auth", authenticator=Holders(), served=SERVED, audit=append))
    async with channel_as(settings, caller="gateway", peer="auth", address=settings.listen) as channel:
        stub = PipelineServiceStub(channel)
        cancel = CancelRunRequest(tenant_id="acme_corp", pipeline_logging_id=RUN)
        await stub.CancelRun(cancel, metadata=headers(), wait_for_ready=True)
        async with asyncio.timeout(5):
            while len(sent) < 2:
                await asyncio.sleep(0.02)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.CancelRun(cancel, metadata=headers(""))
        signal.raise_signal(signal.SIGTERM)
        await serving
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)
    assert sent == [(["OK"], False), (["OK"], False), (["API_KEY_MISSING"], True)]
