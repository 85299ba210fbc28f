"""How long an issuer's keys are kept, and how often they are read. Time is passed in."""

import asyncio

import pytest

from services.platform.errors import Unavailable
from services.platform.oidc.fetch import NotRead
from services.platform.oidc.issuer_keys import AGAIN_SECONDS, AGAIN_WITHOUT_SECONDS, KEEP_SECONDS, REFRESH_SECONDS, IssuerKeys
from tests.unit.platform.oidc.tokens import ISSUER, TRUSTED, Published, jwk_of
from tests.unit.platform.test_waiting import Time

DISCOVERED = [f"{ISSUER}/.well-known/openid-configuration", f"{ISSUER}/keys"]


class Issuer:
    def __init__(self) -> None:
        self.published, self.time = Published("ES256-1"), Time()
        self.keys = IssuerKeys(TRUSTED, self.published, monotonic=self.time)

    async def knows(self, kid: str) -> bool:
        return await self.keys.find(kid) is not None


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


async def test_many_callers_share_a_reading(issuer: Issuer) -> None:
    assert await asyncio.gather(*(issuer.knows("ES256-1") for _ in range(50))) == [True] * 50
    assert issuer.published.asked == DISCOVERED


async def test_an_unknown_key_is_looked_for_at_most_once_a_minute(issuer: Issuer) -> None:
    assert not await issuer.knows("ES256-2")
    issuer.published.keys.append(jwk_of("ES256-2"))
    for _ in range(100):
        assert not await issuer.knows("ES256-2")
    assert issuer.published.asked == DISCOVERED
    issuer.time.now += AGAIN_SECONDS
    assert await issuer.knows("ES256-2")
    assert issuer.published.asked == DISCOVERED * 2


async def test_a_key_that_was_withdrawn_is_accepted_no_longer_than_keys_are_kept(issuer: Issuer) -> None:
    assert await issuer.knows("ES256-1")
    issuer.published.keys = [jwk_of("ES256-2")]
    issuer.time.now += REFRESH_SECONDS - 1
    assert await issuer.knows("ES256-1")
    issuer.time.now += 1
    assert not await issuer.knows("ES256-1")


async def test_keys_outlive_their_issuer_for_hours_and_not_for_ever(issuer: Issuer) -> None:
    assert await issuer.knows("ES256-1")
    issuer.published.failure = NotRead("down")
    issuer.time.now += KEEP_SECONDS - 1
    assert await issuer.knows("ES256-1")
    issuer.time.now += 1
    with pytest.raises(Unavailable, match=ISSUER):
        await issuer.knows("ES256-1")
    readings = len(issuer.published.asked)
    for _ in range(10):
        with pytest.raises(Unavailable):
            await issuer.knows("ES256-1")
    assert len(issuer.published.asked) - readings <= 1, "an issuer that is down is not asked at each call"

    issuer.published.failure = None
    issuer.time.now += AGAIN_SECONDS + AGAIN_WITHOUT_SECONDS
    assert await issuer.knows("ES256-1")


async def test_a_key_set_that_became_empty_keeps_the_one_before(issuer: Issuer) -> None:
    assert await issuer.knows("ES256-1")
    issuer.published.keys = []
    issuer.time.now += REFRESH_SECONDS
    assert await issuer.knows("ES256-1")


async def test_a_known_key_does_not_wait_for_a_reading_that_an_unknown_one_caused(issuer: Issuer) -> None:
    assert await issuer.knows("ES256-1")
    issuer.time.now += AGAIN_SECONDS
    issuer.published.answers = asyncio.Event()
    stranger = asyncio.create_task(issuer.knows("invented"))
    await asyncio.sleep(0)
    assert await asyncio.wait_for(issuer.knows("ES256-1"), timeout=5)
    assert not stranger.done(), "the issuer has not answered yet"
    issuer.time.now += REFRESH_SECONDS
    operator = asyncio.create_task(issuer.knows("ES256-1"))
    await asyncio.sleep(0)
    assert not operator.done(), "keys that are too old are read before they are used"
    issuer.published.answers.set()
    assert await asyncio.gather(stranger, operator) == [False, True]


async def test_where_the_keys_are_may_be_configured() -> None:
    published = Published("ES256-1")
    keys = IssuerKeys(TRUSTED.model_copy(update={"jwks_uri": "https://keys.example.com/jwks"}), published)
    assert await keys.find("ES256-1") is not None
    assert published.asked == ["https://keys.example.com/jwks"]
