"""The holders of the API keys that are shown to this process, cached for a few seconds."""

import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from services.platform.access.api_keys import hash_key, is_mistyped
from services.platform.access.key_holder import UNKNOWN_KEY, Authenticator, KeyHolder
from services.platform.cache import RecentSet, TtlCache
from services.platform.clock import Clock
from services.platform.errors import Unauthenticated, Unavailable
from services.platform.settings import ServiceSettings

MAX_WAITING = 200
"""The most look-ups of one client that wait for auth at once, for keys that were never good here. Auth usually answers in milliseconds, so
this is reached only while it does not.
"""


class KeyCache:
    """Caches the holder of a key for `key_cache_seconds`, at most 5 seconds and not beyond the key's expiry. Unknown keys are cached as
    long in a cache of their own, so that guessed keys cannot evict valid ones.

    A key in use is looked up again in the background once half of that time is over, so that its callers do not wait for auth; if the
    look-up fails, the earlier answer is used until its own end. If auth then refuses the key, it is refused from that moment on.

    A refused key costs no look-up while it is cached, and a mistyped key never costs one. No good key ever waits because of refused ones.
    """

    def __init__(
        self, settings: ServiceSettings, authenticator: Authenticator, *, clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        seconds, size = settings.key_cache_seconds, settings.key_cache_size
        self._authenticator, self._clock = authenticator, clock
        self._holders: TtlCache[str, KeyHolder] = TtlCache(seconds=seconds, size=size, monotonic=monotonic)
        self._unknown: TtlCache[str, bool] = TtlCache(seconds=seconds, size=size, monotonic=monotonic)
        self._good_before = RecentSet[str](size)
        self._waiting = Counter[str]()

    async def holder(self, key: str, client_of: Callable[[], str]) -> KeyHolder:
        """The holder of `key`. `client_of` finds out who has sent it. It is slow, and is not called for a key that is known. Raises
        Unauthenticated; Unavailable while auth does not answer.
        """
        hashed = hash_key(key)
        known = self._holders.get_cached(hashed)
        if known is not None and not self._has_expired(known):
            self._holders.refresh(hashed, self._ask)
            return known
        if is_mistyped(key):
            raise Unauthenticated("API_KEY_INVALID", "This API key is mistyped: its check digits do not match. Copy it again.")
        if known is not None or self._unknown.get_cached(hashed):
            raise Unauthenticated("API_KEY_INVALID", UNKNOWN_KEY)
        if hashed in self._good_before:
            return await self._holders.get(hashed, self._ask)
        client = client_of()
        if self._waiting[client] >= MAX_WAITING:
            raise Unavailable("SERVICE_UNAVAILABLE", "New keys cannot be verified at the moment. Try again in a moment.")
        return await self._holders.get(hashed, partial(self._ask_for, client))

    def forget(self, tenant_id: str) -> None:
        """Invalidates cached keys of the tenant; of all tenants if `tenant_id` is empty."""
        self._holders.invalidate_if(lambda holder: tenant_id in {"", holder.tenant_id})

    async def _ask_for(self, client: str, hashed: str) -> KeyHolder:
        """Counted until it is answered, even if the client has disconnected."""
        self._waiting[client] += 1
        try:
            return await self._ask(hashed)
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]

    async def _ask(self, hashed: str) -> KeyHolder:
        try:
            holder = await self._authenticator.authenticate(hashed)
        except Unauthenticated:
            # Only auth's own answer is cached. Caching a cached refusal again would renew it for ever while the client keeps trying.
            self._unknown.put(hashed, value=True)
            self._holders.drop(hashed)
            self._good_before.discard(hashed)
            raise
        self._good_before.add(hashed)
        return holder

    def _has_expired(self, holder: KeyHolder) -> bool:
        return holder.expires_at is not None and holder.expires_at <= self._clock.now()
