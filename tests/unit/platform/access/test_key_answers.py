"""The cache of API keys: what is cached and for how long; with an authenticator that counts calls."""

from collections import Counter
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from services.auth.key_change_feed import KeyChangeFeed
from services.auth.key_memory import KeyMemory
from services.platform.access.control import AccessControl
from services.platform.access.key_holder import KeyHolder
from services.platform.errors import Unauthenticated
from services.platform.rpc.rules import find_method
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


def call(key: str) -> Any:
    path = "/convergence.auth.v1.QuotaService/GetQuota"
    context = SimpleNamespace(auth_context=dict, peer=lambda: "ipv4:10.0.0.1:1234")
    request = SimpleNamespace(tenant_id="acme")
    return SimpleNamespace(path=path, method=find_method(path), request=request, context=context, metadata={"x-api-key": key}, headers={})


def holder(**changes: Any) -> KeyHolder:
    known: dict[str, Any] = {"tenant_id": "acme", "api_key_id": "k", "scopes": (), "tenant_active": True, "subscription_active": True}
    return KeyHolder(**{**known, **changes})


async def accepted(access: AccessControl, key: str) -> bool:
    try:
        async with access(call(key)):
            return True
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


async def test_a_remembered_refusal_ends_for_whoever_keeps_trying(clock: SetClock) -> None:
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
