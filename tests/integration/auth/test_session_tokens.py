"""Session tokens through real servers: auth, which issues and reads them, and a service that asks auth."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from convergence.auth.v1 import authentication_service_pb2 as authentication
from convergence.auth.v1 import quota_service_pb2, quota_service_pb2_grpc, session_token_service_pb2, session_token_service_pb2_grpc
from convergence.auth.v1.authentication_service_pb2_grpc import AuthenticationServiceStub
from pydantic import SecretStr

from services.auth.authenticator import LocalAuthenticator
from services.auth.key_change_feed import KeyChangeFeed
from services.auth.key_digests import KeyDigests
from services.auth.key_memory import KeyMemory
from services.auth.key_usage import KeyUsage
from services.auth.ledger import Ledger
from services.auth.service import served
from services.auth.sessions.tokens import SessionTokens
from services.auth.store import AuthStore, StoredKey, by_id
from services.platform.access.api_keys import hash_key, new_api_key
from services.platform.access.authenticator import RemoteAuthenticator
from services.platform.access.sessions.session import Session
from services.platform.errors import Unauthenticated
from services.platform.rpc.peers import peer_channel
from services.platform.settings import ServiceSettings
from tests.conftest import channel_as, serving
from tests.integration.auth.conftest import Provision
from tests.integration.auth.test_service import refusal
from tests.support.counting import asked
from tests.support.set_clock import SetClock

SECRET = SecretStr("a secret of this test only, long enough")
FIELDS = session_token_service_pb2.CreateSessionTokenRequest


@dataclass
class Suite:
    """Auth as browsers and backends reach it, and as another service does."""

    gateway: Any
    other: RemoteAuthenticator
    peer: AuthenticationServiceStub
    store: AuthStore
    clock: SetClock
    changes: KeyChangeFeed

    async def key(self, tenant_id: str, *scopes: str, ends_in: timedelta | None = None) -> str:
        """A new key; its id is its hash's first half."""
        key = new_api_key(tenant_id)
        ends = self.clock.now() + ends_in if ends_in else None
        stored = StoredKey(
            api_key_id=hash_key(key)[:32],
            tenant_id=tenant_id,
            scopes=scopes,
            is_active=True,
            expires_at=ends,
            created_at=self.clock.now(),
            last_used_at=None,
        )
        assert await self.store.insert_api_key(stored, hash_key(key))
        return key

    def create(self, tenant_id: str, *metadata: tuple[str, str], **fields: Any) -> Any:
        stub = session_token_service_pb2_grpc.SessionTokenServiceStub(self.gateway)
        return stub.CreateSessionToken(FIELDS(tenant_id=tenant_id, **fields), metadata=metadata)

    def quota(self, tenant_id: str, token: str) -> Any:
        stub = quota_service_pb2_grpc.QuotaServiceStub(self.gateway)
        return stub.GetQuota(quota_service_pb2.GetQuotaRequest(tenant_id=tenant_id), metadata=[bearer(token)])

    async def session(self, token: str) -> Session | None:
        """As another service learns it from auth; None: refused."""
        try:
            return await self.other.authenticate_session(token)
        except Unauthenticated:
            return None


def bearer(token: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {token}")


@pytest.fixture
async def suite(service_settings: ServiceSettings, store: AuthStore, ledger: Ledger, clock: SetClock) -> AsyncIterator[Suite]:
    settings = service_settings.model_copy(update={"key_cache_seconds": 0.0})
    memory, tokens = KeyMemory(seconds=300, size=100), SessionTokens([SECRET], clock)
    changes = KeyChangeFeed(memory)
    async with KeyUsage(store, clock, seconds=3600) as usage:
        local = LocalAuthenticator(
            store, clock, memory=memory, digests=KeyDigests(seconds=300), usage=usage, changes=changes, tokens=tokens
        )
        servicers = served(store, ledger, local, clock, changes, tokens)
        async with (
            serving(settings, name="auth", authenticator=local, sessions=local, served=servicers) as address,
            channel_as(settings, caller="gateway", peer="auth", address=address) as gateway,
            peer_channel(settings, caller="executor", peer="auth", address=address) as executor,
        ):
            yield Suite(
                gateway=gateway,
                other=RemoteAuthenticator(executor),
                peer=AuthenticationServiceStub(gateway),
                store=store,
                clock=clock,
                changes=changes,
            )


async def test_a_token_does_what_it_was_issued_for_until_it_expires(suite: Suite, provision: Provision) -> None:
    tenant = await provision()
    key = await suite.key(tenant)
    made = await suite.create(tenant, ("x-api-key", key), scopes=["pipelines:run"], lifetime_seconds=60, user_id="jo@acme.example")
    session = await suite.session(made.session_token)
    assert session is not None
    assert (session.holder.tenant_id, session.holder.scopes, session.user_id) == (tenant, ("pipelines:run",), "jo@acme.example")
    assert (session.session_token_id, session.holder.api_key_id) == (made.session_token_id, hash_key(key)[:32])
    assert session.holder.expires_at == made.expires_at.ToDatetime(suite.clock.now().tzinfo)
    assert (await suite.quota(tenant, made.session_token)).tenant_id == tenant
    assert await refusal(suite.quota("another_tenant", made.session_token)) == ("PERMISSION_DENIED", "TENANT_MISMATCH")
    before = asked("find_key_holders")
    for _ in range(3):
        assert await suite.session(made.session_token)
    assert asked("find_key_holders") == before, "as with keys, auth answers from memory"

    suite.clock.time += timedelta(seconds=60)
    assert await suite.session(made.session_token) is None
    assert await refusal(suite.quota(tenant, made.session_token)) == ("UNAUTHENTICATED", "TOKEN_INVALID")


async def test_a_token_dies_with_its_key(suite: Suite, provision: Provision) -> None:
    """Revoked by another process, so that only the tables show it; and at the key's own end."""
    tenant = await provision()
    revoked, ending = await suite.key(tenant), await suite.key(tenant, ends_in=timedelta(seconds=90))
    first, second = [await suite.create(tenant, ("x-api-key", key)) for key in (revoked, ending)]
    assert second.expires_at.seconds - int(suite.clock.now().timestamp()) <= 90
    await suite.store.revoke_api_key(tenant, hash_key(revoked)[:32])
    assert await suite.session(first.session_token) is None
    assert await suite.session(second.session_token)
    suite.clock.time += timedelta(seconds=90)
    assert await suite.session(second.session_token) is None


async def test_what_may_not_be_asked_for(suite: Suite, provision: Provision) -> None:
    tenant = await provision()
    key = await suite.key(tenant, "runs:read")
    made = await suite.create(tenant, ("x-api-key", key))
    assert list(made.scopes) == ["runs:read"]
    by_key = ("x-api-key", key)
    assert [
        await refusal(suite.create(tenant, bearer(made.session_token))),
        await refusal(suite.create(tenant, by_key, scopes=["pipelines:run"])),
        await refusal(suite.create(tenant, by_key, lifetime_seconds=3601)),
        await refusal(suite.create(tenant, by_key, user_id="x" * 129)),
        await refusal(suite.create("another_tenant", by_key)),
        await refusal(suite.create(tenant)),
        await refusal(suite.peer.AuthenticateSessionToken(authentication.AuthenticateSessionTokenRequest(session_token="a.b.c"))),
    ] == [
        ("PERMISSION_DENIED", "CALLER_DENIED"),
        ("PERMISSION_DENIED", "SCOPE_MISSING"),
        ("INVALID_ARGUMENT", "BAD_FIELD"),
        ("INVALID_ARGUMENT", "BAD_FIELD"),
        ("PERMISSION_DENIED", "TENANT_MISMATCH"),
        ("UNAUTHENTICATED", "API_KEY_MISSING"),
        ("PERMISSION_DENIED", "CALLER_DENIED"),
    ]


async def test_a_keys_id_is_no_key(suite: Suite, provision: Provision) -> None:
    """Ids are in lists and tokens, for anybody to read."""
    tenant = await provision()
    key = await suite.key(tenant)
    handle = by_id(tenant, hash_key(key)[:32])
    assert await suite.store.find_key_holders([handle, hash_key(key)], suite.clock.now())
    with pytest.raises(Unauthenticated):
        await suite.other.authenticate(handle)


async def test_scopes_that_the_key_has_lost_are_lost_to_its_tokens(suite: Suite, provision: Provision) -> None:
    """A token whose key has none of its scopes left must not get the default ones."""
    tenant = await provision()
    key = await suite.key(tenant, "costs:read")
    tokens = SessionTokens([SECRET], suite.clock)
    made = await suite.create(tenant, ("x-api-key", key))
    said = tokens.read(made.session_token)
    for scopes, left in ((("runs:read", "costs:read"), ("costs:read",)), (("runs:read",), None)):
        session = await suite.session(
            tokens.issue(type(said)(**{name: getattr(said, name) for name in said.__slots__} | {"scopes": scopes}))
        )
        assert (session.holder.scopes if session else None) == left
