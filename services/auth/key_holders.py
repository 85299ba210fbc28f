"""Auth's own answer to "whose key is this?"."""

from services.auth.store import AuthStore
from services.platform.access import KeyHolder
from services.platform.clock import Clock
from services.platform.errors import Unauthenticated


class LocalAuthenticator:
    """`access.Authenticator` over auth's own tables: what the other services ask for over gRPC."""

    def __init__(self, store: AuthStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        """See `access.Authenticator`."""
        holder = await self._store.find_key_holder(api_key_sha256, self._clock.now())
        if holder is None:
            raise Unauthenticated("API_KEY_INVALID", "This API key is not known, or it was revoked or has expired. Ask for a new one.")
        return holder
