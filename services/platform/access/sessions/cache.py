"""The holders of the session tokens that are shown to this process, cached for a few seconds as those of API keys are."""

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from hashlib import sha256

from services.platform.access.sessions.session import REFUSED_TOKEN, Session, SessionAuthenticator
from services.platform.access.sessions.shape import may_be_good
from services.platform.cache import RecentSet, TtlCache
from services.platform.clock import Clock
from services.platform.errors import Unauthenticated, Unavailable
from services.platform.settings import ServiceSettings

MAX_WAITING = 50
"""The most look-ups of one client that wait for auth at once, for tokens that were never good here."""


class SessionCache:
    """For `key_cache_seconds`, and not beyond the end of token and key. Keeps hashes, never tokens. Looks tokens in use up again in the
    background, as `KeyCache` does keys.

    A text that cannot be a token of ours costs no look-up. Refused tokens have a cache of their own, so that invented tokens evict no good
    ones, and a token that was good before never waits for them.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        authenticator: SessionAuthenticator,
        *,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        seconds, size = settings.key_cache_seconds, settings.key_cache_size
        self._authenticator, self._clock = authenticator, clock
        self._sessions: TtlCache[str, Session] = TtlCache(seconds=seconds, size=size, monotonic=monotonic)
        self._refused: TtlCache[str, bool] = TtlCache(seconds=seconds, size=size, monotonic=monotonic)
        self._good_before = RecentSet[str](size)
        self._waiting = Counter[str]()

    async def session(self, token: str, client_of: Callable[[], str]) -> Session:
        """The session of `token`. `client_of` finds out who has sent it. Raises Unauthenticated; Unavailable while auth does not answer."""
        if not may_be_good(token, now=self._clock.now()):
            raise _refusal()
        hashed = sha256(token.encode()).hexdigest()
        known = self._sessions.get_cached(hashed)
        if known is not None:
            known = self._unexpired(known)
            self._sessions.refresh(hashed, partial(self._ask, token))
            return known
        if self._refused.get_cached(hashed):
            raise _refusal()
        if hashed in self._good_before:
            return self._unexpired(await self._sessions.get(hashed, partial(self._ask, token)))
        client = client_of()
        if self._waiting[client] >= MAX_WAITING:
            raise Unavailable("SERVICE_UNAVAILABLE", "New session tokens cannot be verified at the moment. Try again in a moment.")
        return self._unexpired(await self._sessions.get(hashed, partial(self._ask_for, client, token)))

    def forget(self, tenant_id: str) -> None:
        """Invalidates cached tokens of the tenant; of all tenants if `tenant_id` is empty."""
        self._sessions.invalidate_if(lambda session: tenant_id in {"", session.holder.tenant_id})

    async def _ask_for(self, client: str, token: str, hashed: str) -> Session:
        """Counted until it is answered, even if the client has disconnected."""
        self._waiting[client] += 1
        try:
            return await self._ask(token, hashed)
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]

    async def _ask(self, token: str, hashed: str) -> Session:
        try:
            session = await self._authenticator.authenticate_session(token)
        except Unauthenticated:
            self._refused.put(hashed, value=True)
            self._sessions.drop(hashed)
            self._good_before.discard(hashed)
            raise
        self._good_before.add(hashed)
        return session

    def _unexpired(self, session: Session) -> Session:
        ends_at = session.holder.expires_at
        if ends_at is not None and ends_at <= self._clock.now():
            raise _refusal()
        return session


def _refusal() -> Unauthenticated:
    return Unauthenticated("TOKEN_INVALID", REFUSED_TOKEN)
