"""Auth's own answer to "whose key is this?"."""

from services.auth.key_usage import KeyUsage
from services.auth.store import AuthStore
from services.platform.access import UNKNOWN_KEY, KeyHolder
from services.platform.clock import Clock
from services.platform.errors import Unauthenticated


class LocalAuthenticator:
    """`access.Authenticator` over auth's own tables: what the other services ask for over gRPC."""

    def __init__(self, store: AuthStore, clock: Clock, usage: KeyUsage) -> None:
        self._store = store
        self._clock = clock
        self._usage = usage

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        """See `access.Authenticator`."""
        holder = await self._store.find_key_holder(api_key_sha256, self._clock.now())
        if holder is None:
            raise Unauthenticated("API_KEY_INVALID", UNKNOWN_KEY)
        self._usage.note(holder.api_key_id)
        return holder
