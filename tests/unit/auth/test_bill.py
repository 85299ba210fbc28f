"""What a day of an API key in constant use costs, reckoned from the statements that auth sends. Only auth changes the tables."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.auth.authenticator import LocalAuthenticator
from services.auth.key_change_feed import KeyChangeFeed
from services.auth.key_digests import KeyDigests
from services.auth.key_memory import KeyMemory
from services.auth.key_usage import KeyUsage
from services.auth.settings import AuthSettings
from services.auth.store import BLOCKS
from services.platform.access.key_holder import KeyHolder
from tests.support.set_clock import SetClock
from tests.unit.platform.test_waiting import Time

DOLLARS = 0.0000596
"""10 MiB, the least that a table in a statement costs, at 6.25 $ a TiB."""
HOUR = 3600


class Tables:
    """`AuthStore`, as far as keys are concerned: any key is known. Counts the tables of the statements that it would send."""

    def __init__(self) -> None:
        self.version, self.references = 0, 0

    async def key_version(self) -> tuple[str, ...]:
        return (str(self.version),)

    def version_of_keys(self, version: tuple[str, ...]) -> tuple[str, ...]:
        return version

    async def find_key_holders(self, api_key_hashes: Sequence[str], now: datetime) -> dict[str, KeyHolder]:
        self._count("find_key_holders")
        return {
            one: KeyHolder(tenant_id=one, api_key_id=one, scopes=(), tenant_active=True, subscription_active=True) for one in api_key_hashes
        }

    async def record_key_usage(self, used: Mapping[str, datetime]) -> None:
        self._count("record_key_usage")
        self.version += 1

    def _count(self, block: str) -> None:
        self.references += len({*BLOCKS[block].read, *BLOCKS[block].written})


@pytest.mark.parametrize("keys", [1, 50])
async def test_a_key_in_constant_use_costs_less_than_20_cents_a_day(keys: int) -> None:
    """An hour of three services that ask as often as their settings allow, times 24; fifty keys cost what one does."""
    settings, tables, clock, time = AuthSettings(), Tables(), SetClock(), Time()
    store: Any = tables
    memory = KeyMemory(seconds=settings.key_memory_seconds, size=settings.key_cache_size, monotonic=time)
    usage = KeyUsage(store, clock, seconds=settings.key_usage_seconds)
    authenticator = LocalAuthenticator(
        store, clock, memory=memory, digests=KeyDigests(seconds=60), usage=usage, changes=KeyChangeFeed(memory)
    )

    for second in range(0, HOUR, round(settings.key_cache_seconds)):
        time.now, clock.time = 100.0 + second, clock.time + timedelta(seconds=settings.key_cache_seconds)
        for number in range(keys):
            for _ in ("credentials", "scheduler", "executor"):
                await authenticator.authenticate(f"key {number}")
    await usage.write()

    assert settings.key_usage_seconds == HOUR
    first_reading = 3 * (keys - 1)  # each key is read when it is used first
    assert 24 * (tables.references - first_reading) * DOLLARS < 0.06
