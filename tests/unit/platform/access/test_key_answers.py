"""The cache of API keys: what is cached and for how long; with an authenticator that counts calls."""

import asyncio
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from services.auth.key_change_feed import KeyChangeFeed
from services.auth.key_memory import KeyMemory
from services.platform.access.addresses import client_network
from services.platform.access.api_keys import hash_key
from services.platform.access.control import AccessControl
from services.platform.access.key_cache import MAX_WAITING
from services.platform.access.key_holder import KeyHolder
from services.platform.errors import Unauthenticated, Unavailable
from services.platform.rpc.calls import Call, Rpc
from services.platform.settings import ServiceSettings
from tests.support.set_clock import SetClock
from tests.unit.platform.test_waiting import Time


class Counting:
    """Knows the keys in `holders`."""

    def __init__(self) -> None:
        self.asked = Counter[str]()
        self.holder: KeyHolder | None = None

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        self.asked[api_key_sha256] += 1
        if self.holder is None:
            raise Unauthenticated("API_KEY_INVALID", "Nobody.")
        return self.holder


GET_QUOTA = Rpc.of("/convergence.auth.v1.QuotaService/GetQuota")


def call(key: str, address: str = "10.0.0.1") -> Any:
    san = {"peer_dns": [b"gateway.convergence.internal"]}
    context = SimpleNamespace(auth_context=lambda: san, peer=lambda: "ipv4:10.0.0.9:1234")
    metadata = {"x-api-key": key, "x-forwarded-for": f"9.9.9.9, {address}"}
    request = SimpleNamespace(tenant_id="acme")
    return SimpleNamespace(request=request, context=context, metadata=metadata, headers={})


def holder(**changes: Any) -> KeyHolder:
    known: dict[str, Any] = {"tenant_id": "acme", "api_key_id": "k", "scopes": (), "tenant_active": True, "subscription_active": True}
    return KeyHolder(**{**known, **changes})


async def accepted(access: AccessControl, key: str, address: str = "10.0.0.1") -> bool:
    async def admitted(call: Call) -> bool:
        return True

    try:
        return bool(await access(GET_QUOTA, admitted)(call(key, address)))
    except Unauthenticated:
        return False


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


async def test_a_remembered_key_dies_at_its_stated_end(clock: SetClock) -> None:
    """Not a moment before, and not when the answer's own time is over."""
    keys, time = Counting(), Time()
    keys.holder = holder(expires_at=clock.now() + timedelta(seconds=1))
    access = AccessControl(ServiceSettings(), keys, monotonic=time, clock=clock)
    assert await accepted(access, "key")
    clock.time += timedelta(seconds=0.999)
    assert await accepted(access, "key")
    clock.time += timedelta(seconds=0.001)
    assert not await accepted(access, "key")
    assert sum(keys.asked.values()) == 1


async def test_that_a_key_is_unknown_is_remembered_apart_and_not_for_long(clock: SetClock) -> None:
    keys, time = Counting(), Time()
    settings = ServiceSettings(key_cache_seconds=3.0, key_cache_size=2)
    access = AccessControl(settings, keys, monotonic=time, clock=clock)
    keys.holder = holder()
    assert await accepted(access, "good")
    keys.holder = None
    for guess in ("a", "a", "b", "c", "a"):
        assert not await accepted(access, guess)
    assert sorted(keys.asked.values()) == [1, 1, 1, 2], "only what had been pushed out was asked again"
    assert await accepted(access, "good"), "guesses push no good answer out"
    time.now += 3.1
    keys.holder = holder()
    assert await accepted(access, "b")


async def test_what_has_changed_is_forgotten_at_once_and_the_rest_is_not(clock: SetClock) -> None:
    keys = Counting()
    access = AccessControl(ServiceSettings(), keys, monotonic=Time(), clock=clock)
    keys.holder = holder()
    assert await accepted(access, "key")
    access.forget("somebody_else")
    keys.holder = None
    assert await accepted(access, "key")
    access.forget("acme")
    assert not await accepted(access, "key")


async def test_a_key_in_use_never_waits_for_auth_and_dies_as_soon_as_auth_says_so(clock: SetClock) -> None:
    """It is looked up again every half of `key_cache_seconds`, while it is used. A key that is not used is not."""
    keys, time = Counting(), Time()
    keys.holder = holder()
    access = AccessControl(ServiceSettings(key_cache_seconds=3), keys, monotonic=time, clock=clock)
    assert await accepted(access, "used")
    assert await accepted(access, "once")
    for _ in range(48):
        time.now += 0.125
        assert await accepted(access, "used")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert [keys.asked[hash_key(key)] for key in ("used", "once")] == [5, 1]

    keys.holder = None  # revoked, and no push has come
    refused_after = 0.0
    while await accepted(access, "used"):
        time.now += 0.125
        refused_after += 0.125
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert refused_after <= 1.5 + 0.125  # at the next look-up; without one after 3 s
    assert not await accepted(access, "used")


async def test_a_remembered_refusal_ends_for_a_caller_that_keeps_trying(clock: SetClock) -> None:
    """A client that polls until its key is there must not renew its own refusal."""
    keys, time = Counting(), Time()
    access = AccessControl(ServiceSettings(key_cache_seconds=3.0), keys, monotonic=time, clock=clock)
    assert not await accepted(access, "early")
    keys.holder = holder()
    tries = 0
    while not await accepted(access, "early"):
        tries += 1
        time.now += 1.0
        assert tries <= 3
    assert sum(keys.asked.values()) == 2


async def test_a_listener_that_leaves_at_once_is_forgotten() -> None:
    changes = KeyChangeFeed(KeyMemory(seconds=300, size=10))
    listening = changes.subscribe()
    assert await anext(listening) == ""
    await listening.aclose()
    assert not changes._listeners


class Silent(Counting):
    """Answers about no key but those in `good`."""

    def __init__(self, *good: str) -> None:
        super().__init__()
        self.good, self.answers = {hash_key(one) for one in good}, asyncio.Event()
        self.waiting = set[str]()

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        if api_key_sha256 not in self.good:
            self.waiting.add(api_key_sha256)
            await self.answers.wait()
            raise Unauthenticated("API_KEY_INVALID", "No.")
        return holder()


async def test_while_auth_is_silent_a_client_has_few_look_ups_waiting_and_no_good_key_is_refused(clock: SetClock) -> None:
    """A client is an IPv4 address or an IPv6 /64."""
    keys, time = Silent("good", "new"), Time()
    access = AccessControl(ServiceSettings(key_cache_seconds=3.0), keys, monotonic=time, clock=clock)
    guesser, neighbour = "2001:db8:1:2::77", "2001:db8:1:3::77"
    assert await accepted(access, "good", guesser)
    waiting = [asyncio.create_task(accepted(access, f"guess {n}", f"2001:db8:1:2::{n:x}")) for n in range(MAX_WAITING)]
    while len(keys.waiting) < MAX_WAITING:
        await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await accepted(access, "one guess more", guesser)
    time.now += 3.1
    assert await accepted(access, "good", guesser)
    assert await accepted(access, "new", neighbour)
    for one in waiting[:-1]:
        one.cancel()
    await asyncio.wait(waiting[:-1])
    with pytest.raises(Unavailable):
        await accepted(access, "guess after those that were given up", guesser)
    keys.answers.set()
    assert not await waiting[-1]
    assert await accepted(access, "another", guesser) is False


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("", ""),
        ("unix:/run/x", "unix:/run/x"),
    ],
)
def test_a_client_is_an_address_or_an_ipv6_site(address: str, network: str) -> None:
    assert client_network(address) == network
