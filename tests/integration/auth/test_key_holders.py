"""The holders of API keys, for many concurrent look-ups."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.auth.authenticator import LocalAuthenticator
from services.auth.key_change_feed import KeyChangeFeed
from services.auth.key_usage import KeyUsage
from services.auth.store import AuthStore, StoredKey
from services.platform.access.api_keys import hash_key
from services.platform.errors import Unauthenticated
from services.platform.metrics import BIGQUERY_JOBS
from tests.integration.auth.conftest import Provision
from tests.support.set_clock import SetClock


@pytest.fixture
async def authenticator(store: AuthStore, clock: SetClock) -> AsyncIterator[LocalAuthenticator]:
    async with KeyUsage(store, clock, seconds=60) as usage:
        yield LocalAuthenticator(store, clock, usage, KeyChangeFeed())


async def test_forty_keys_that_are_shown_at_once_take_few_statements(
    authenticator: LocalAuthenticator, store: AuthStore, clock: SetClock, provision: Provision
) -> None:
    """Each caller hears of its own key, and those that nobody holds are refused."""
    tenant_id = await provision()
    hashes = [hash_key(f"{tenant_id}_{number}") for number in range(40)]
    for number in range(3):
        key = StoredKey(
            api_key_id=f"{tenant_id}_{number}",
            tenant_id=tenant_id,
            scopes=("runs:read",),
            is_active=True,
            expires_at=None,
            created_at=clock.now(),
            last_used_at=None,
        )
        assert await store.insert_api_key(key, hashes[number])
    jobs = BIGQUERY_JOBS.labels("find_key_holders")._value
    before = jobs.get()

    answers = await asyncio.gather(*(authenticator.authenticate(one) for one in hashes), return_exceptions=True)

    assert jobs.get() - before <= 2
    known = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert [(one.tenant_id, one.api_key_id, one.scopes) for one in known] == [
        (tenant_id, f"{tenant_id}_{number}", ("runs:read",)) for number in range(3)
    ]
    assert [type(answer) for answer in answers[3:]] == [Unauthenticated] * 37
