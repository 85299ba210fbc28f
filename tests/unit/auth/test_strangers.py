"""Keys that are shown for the first time: what looking for them takes from the keys that are known."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from itertools import count
from typing import Any

import pytest
from convergence.auth.v1.authentication_service_pb2_grpc import add_AuthenticationServiceServicer_to_server as add

from services.auth import authenticator
from services.auth.authenticator import LocalAuthenticator
from services.auth.key_change_feed import KeyChangeFeed
from services.auth.key_digests import KeyDigests
from services.auth.key_memory import KeyMemory
from services.auth.key_usage import KeyUsage
from services.auth.servicers.authentication import AuthenticationServicer
from services.platform import metrics
from services.platform.access.authenticator import RemoteAuthenticator
from services.platform.access.key_holder import KeyHolder
from services.platform.errors import Unauthenticated
from services.platform.server import Served
from services.platform.settings import ServiceSettings
from tests.conftest import channel_as, serving
from tests.support.set_clock import SetClock

GUESSES = count()


class Tables:
    """`AuthStore`, as far as keys are concerned: the keys in `keys` exist. Counts its statements."""

    def __init__(self, *keys: str) -> None:
        self.keys = set(keys)
        self.version: tuple[str, ...] | None = ("1",)
        self.found, self.listed = list[set[str]](), 0
        self.stopped = set[str]()
        """A statement that asks for one of these gets no answer."""

    async def key_version(self) -> tuple[str, ...] | None:
        return self.version

    def version_of_keys(self, version: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return version

    async def find_key_holders(self, api_key_hashes: Sequence[str], now: datetime) -> dict[str, KeyHolder]:
        self.found.append(set(api_key_hashes))
        if self.stopped & set(api_key_hashes):
            await asyncio.Event().wait()
        return {
            one: KeyHolder(tenant_id=one, api_key_id=one, scopes=(), tenant_active=True, subscription_active=True)
            for one in api_key_hashes
            if one in self.keys
        }

    async def list_key_digests(self, now: datetime, *, limit: int) -> list[str]:
        self.listed += 1
        return sorted(self.keys)[:limit]

    @property
    def statements(self) -> int:
        return len(self.found) + self.listed


def auth_of(tables: Any, *, most: int = 100) -> LocalAuthenticator:
    clock, memory = SetClock(), KeyMemory(seconds=300, size=100)
    return LocalAuthenticator(
        tables,
        clock,
        memory=memory,
        digests=KeyDigests(seconds=300, most=most),
        usage=KeyUsage(tables, clock, seconds=3600),
        changes=KeyChangeFeed(memory),
    )


async def is_good(auth: LocalAuthenticator | RemoteAuthenticator, key: str) -> bool:
    try:
        async with asyncio.timeout(5):
            return (await auth.authenticate(key)).tenant_id == key
    except Unauthenticated:
        return False


async def guess(auth: LocalAuthenticator | RemoteAuthenticator, times: int, *, at_once: int) -> None:
    for _ in range(0, times, at_once):
        guesses = [is_good(auth, f"guess {next(GUESSES)}") for _ in range(at_once)]
        assert not any(await asyncio.gather(*guesses))


async def test_after_the_first_guess_others_cost_no_statement() -> None:
    tables = Tables("good")
    auth = auth_of(tables)
    await guess(auth, 1, at_once=1)
    assert (len(tables.found), tables.listed) == (1, 1)

    await guess(auth, 1_000, at_once=10)
    assert tables.statements == 2

    assert await is_good(auth, "good")
    assert tables.statements == 3


async def test_a_new_key_is_found_although_the_digests_are_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authenticator, "AFTER_A_REFUSAL_SECONDS", 0.05)
    tables = Tables()
    auth = auth_of(tables)
    await guess(auth, 1, at_once=1)
    tables.keys, tables.version = {"new"}, ("2",)
    assert await is_good(auth, "new")


@pytest.mark.parametrize(("version", "most"), [(None, 100), (("1",), 1)], ids=["no version", "too many keys"])
async def test_where_the_digests_are_not_known_guesses_share_a_statement_a_second(version: tuple[str, ...] | None, most: int) -> None:
    """And a key that was good before does not wait for them."""
    tables = Tables("good", "another")
    auth = auth_of(tables, most=most)
    assert await is_good(auth, "good")
    tables.version = version
    await guess(auth, 1, at_once=1)
    before = tables.statements

    guessing = asyncio.create_task(guess(auth, 100, at_once=100))
    await asyncio.sleep(0)
    for _ in range(20):
        assert await is_good(auth, "good")
        assert not guessing.done()
    await guessing

    assert len([one for one in tables.found if any(key.startswith("guess") for key in one)]) == 2
    assert tables.statements - before <= 1 + (20 if version is None else 0)


async def test_a_statement_that_hangs_for_a_stranger_stops_no_key_that_was_good() -> None:
    tables = Tables("good")
    auth = auth_of(tables)
    assert await is_good(auth, "good")
    tables.stopped = {"stranger"}
    tables.version = ("2",)
    waiting = asyncio.create_task(auth.authenticate("stranger"))
    await asyncio.sleep(0.01)
    assert await is_good(auth, "good")
    waiting.cancel()


@pytest.fixture
async def remote(plain_settings: ServiceSettings) -> AsyncIterator[tuple[RemoteAuthenticator, Tables]]:
    """Another service, and the tables of the auth that it asks."""
    tables = Tables("good", "new")
    auth = auth_of(tables)
    served = Served(
        name="convergence.auth.v1.AuthenticationService",
        add=add,
        servicer=AuthenticationServicer(auth, KeyChangeFeed(KeyMemory(seconds=1, size=1))),
    )
    async with (
        serving(plain_settings, name="auth", authenticator=auth, served=[served]) as address,
        channel_as(plain_settings, caller="executor", peer="auth", address=address) as channel,
    ):
        yield RemoteAuthenticator(channel), tables


def asked() -> float:
    path = "/convergence.auth.v1.AuthenticationService/AuthenticateApiKeys"
    return float(metrics.CALLS.labels(path, "OK", "")._value.get())


async def test_another_service_asks_for_many_strangers_at_once(remote: tuple[RemoteAuthenticator, Tables]) -> None:
    """Ten calls a second at most, however many keys are shown."""
    service, _ = remote
    before, began = asked(), asyncio.get_running_loop().time()
    await guess(service, 1_500, at_once=500)
    assert asked() - before <= 2 + 10 * (asyncio.get_running_loop().time() - began)
    assert await is_good(service, "good")


async def test_a_stranger_that_auth_looks_for_holds_up_no_key_that_was_good(remote: tuple[RemoteAuthenticator, Tables]) -> None:
    service, tables = remote
    assert await is_good(service, "good")
    tables.stopped = {"stranger"}
    waiting = asyncio.create_task(service.authenticate("stranger"))
    while not any("stranger" in one for one in tables.found):
        await asyncio.sleep(0.01)
    assert await is_good(service, "good")
    assert await is_good(service, "new")
    waiting.cancel()
