"""The holders of API keys, for many concurrent look-ups."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
from google.api_core.exceptions import Forbidden

from services.auth.authenticator import LocalAuthenticator
from services.auth.key_change_feed import KeyChangeFeed
from services.auth.key_digests import KeyDigests
from services.auth.key_memory import KeyMemory
from services.auth.key_usage import KeyUsage
from services.auth.store import AuthStore, StoredKey
from services.platform.access.api_keys import hash_key
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.errors import Unauthenticated
from tests.integration.auth.conftest import Provision
from tests.support import counting
from tests.support.set_clock import SetClock

type Process = tuple[LocalAuthenticator, KeyChangeFeed]


@asynccontextmanager
async def auth_process(store: AuthStore, clock: SetClock) -> AsyncIterator[Process]:
    """What an auth process knows of keys. Two of them share nothing but the tables."""
    async with KeyUsage(store, clock, seconds=3600) as usage:
        memory = KeyMemory(seconds=300, size=100)
        changes = KeyChangeFeed(memory)
        yield LocalAuthenticator(store, clock, memory=memory, digests=KeyDigests(seconds=300), usage=usage, changes=changes), changes


@pytest.fixture
async def authenticator(store: AuthStore, clock: SetClock) -> AsyncIterator[LocalAuthenticator]:
    async with auth_process(store, clock) as (authenticator, _):
        yield authenticator


async def issue(store: AuthStore, clock: SetClock, tenant_id: str, name: str, *, expires_at: datetime | None = None) -> str:
    """A new key's hash; `name` is its id and determines the hash."""
    key = StoredKey(
        api_key_id=name,
        tenant_id=tenant_id,
        scopes=("runs:read",),
        is_active=True,
        expires_at=expires_at,
        created_at=clock.now(),
        last_used_at=None,
    )
    assert await store.insert_api_key(key, hash_key(name))
    return hash_key(name)


def look_ups() -> float:
    return counting.asked("find_key_holders")


async def test_forty_keys_that_are_shown_at_once_take_few_statements(
    authenticator: LocalAuthenticator, store: AuthStore, clock: SetClock, provision: Provision
) -> None:
    """Each caller gets the answer about its own key, and unknown keys are refused."""
    tenant_id = await provision()
    hashes = [hash_key(f"{tenant_id}_{number}") for number in range(40)]
    for number in range(3):
        assert await issue(store, clock, tenant_id, f"{tenant_id}_{number}") == hashes[number]
    before = look_ups()

    answers = await asyncio.gather(*(authenticator.authenticate(one) for one in hashes), return_exceptions=True)

    assert look_ups() - before <= 2
    known = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert [(one.tenant_id, one.api_key_id, one.scopes) for one in known] == [
        (tenant_id, f"{tenant_id}_{number}", ("runs:read",)) for number in range(3)
    ]
    assert [type(answer) for answer in answers[3:]] == [Unauthenticated] * 37


async def test_a_key_in_constant_use_is_read_once(
    authenticator: LocalAuthenticator, store: AuthStore, clock: SetClock, provision: Provision
) -> None:
    """And so is one that does not exist. Recording when keys were used does not change this: it happens once an hour."""
    tenant_id = await provision()
    hashed = await issue(store, clock, tenant_id, tenant_id)
    await authenticator.authenticate(hashed)
    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(hash_key("none"))
    before = counting.jobs()

    for _ in range(5):
        assert (await authenticator.authenticate(hashed)).tenant_id == tenant_id
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate(hash_key("none"))

    assert counting.jobs() == before


async def test_a_key_that_is_known_ends_at_its_stated_time(
    authenticator: LocalAuthenticator, store: AuthStore, clock: SetClock, provision: Provision
) -> None:
    tenant_id = await provision()
    hashed = await issue(store, clock, tenant_id, tenant_id, expires_at=clock.now() + timedelta(seconds=10))
    await authenticator.authenticate(hashed)
    clock.time += timedelta(seconds=9.999)
    await authenticator.authenticate(hashed)
    clock.time += timedelta(seconds=0.001)
    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(hashed)


type Change = Callable[[AuthStore, BigQuery, str], Awaitable[object]]


async def revoke(store: AuthStore, bq: BigQuery, tenant_id: str) -> None:
    """As another auth process does."""
    await store.revoke_api_key(tenant_id, tenant_id)


def by_hand(sql: str) -> Change:
    """As the subscription system, or a person at a console, may do."""

    async def change(store: AuthStore, bq: BigQuery, tenant_id: str) -> None:
        block = make_block("by_hand", sql, {"tenant_id": "STRING"})
        await bq.query(block, {"tenant_id": tenant_id}, dataset=bq.control())

    return change


@pytest.mark.parametrize(
    "change",
    [
        revoke,
        by_hand("UPDATE tenant_api_keys SET is_active = FALSE WHERE tenant_id = @tenant_id"),
        by_hand("DELETE FROM tenant_api_keys WHERE tenant_id = @tenant_id"),
        by_hand("UPDATE tenant_profiles SET status = 'SUSPENDED' WHERE tenant_id = @tenant_id"),
        by_hand("UPDATE tenant_subscriptions SET status = 'EXPIRED' WHERE tenant_id = @tenant_id"),
        by_hand(
            "BEGIN TRANSACTION; UPDATE tenant_subscriptions SET status = 'EXPIRED' WHERE tenant_id = @tenant_id; COMMIT TRANSACTION;"
            "SELECT TRUE AS done"
        ),
    ],
    ids=["another process", "key by hand", "key deleted", "tenant by hand", "subscription by hand", "in a transaction"],
)
async def test_the_next_question_after_a_change_by_anybody_is_answered_by_it(
    change: Change, authenticator: LocalAuthenticator, store: AuthStore, bq: BigQuery, clock: SetClock, provision: Provision
) -> None:
    """The process that is asked has neither made the change nor heard of it. Its other keys in use are read with the same statement."""
    tenant_id, other = await provision(), await provision(name="_other")
    hashed, kept = await issue(store, clock, tenant_id, tenant_id), await issue(store, clock, other, other)
    for one in (hashed, kept, hashed, kept):
        assert (await authenticator.authenticate(one)).subscription_active
    before = look_ups()

    await change(store, bq, tenant_id)

    try:
        holder = await authenticator.authenticate(hashed)
    except Unauthenticated:
        pass
    else:
        assert not (holder.tenant_active and holder.subscription_active)
    assert (await authenticator.authenticate(kept)).tenant_id == other
    assert look_ups() - before == 1


async def test_a_key_that_was_refused_is_known_once_it_is_issued(
    authenticator: LocalAuthenticator, store: AuthStore, clock: SetClock, provision: Provision
) -> None:
    tenant_id = await provision()
    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(hash_key(tenant_id))
    await issue(store, clock, tenant_id, tenant_id)
    assert (await authenticator.authenticate(hash_key(tenant_id))).tenant_id == tenant_id


async def test_where_the_version_cannot_be_read_every_question_is_a_statement(
    store: AuthStore, bq: BigQuery, clock: SetClock, provision: Provision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A revoked key is refused at once, then too."""
    tenant_id = await provision()
    hashed = await issue(store, clock, tenant_id, tenant_id)

    def refuse(*_: object, **__: object) -> None:
        raise Forbidden("no bigquery.tables.get")  # type: ignore[no-untyped-call]

    async with auth_process(store, clock) as (authenticator, _):
        await authenticator.authenticate(hashed)
        monkeypatch.setattr(bq.client, "get_table", refuse)
        before = look_ups()
        await authenticator.authenticate(hashed)
        await store.revoke_api_key(tenant_id, tenant_id)
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate(hashed)
        assert look_ups() - before == 2


async def test_a_process_forgets_its_own_changes_even_if_the_version_does_not_move(
    store: AuthStore, clock: SetClock, provision: Provision, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant_id = await provision()
    hashed = await issue(store, clock, tenant_id, tenant_id)

    async def unmoved() -> tuple[str, ...]:
        return ("1",)

    monkeypatch.setattr(store, "key_version", unmoved)
    async with auth_process(store, clock) as (authenticator, changes):
        await authenticator.authenticate(hashed)
        await store.revoke_api_key(tenant_id, tenant_id)
        changes.publish(tenant_id)
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate(hashed)
