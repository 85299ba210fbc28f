"""Auth's own answer to "whose key is this?"."""

from collections.abc import AsyncIterator

from services.auth.key_changes import KeyChanges
from services.auth.key_usage import KeyUsage
from services.auth.store import AuthStore
from services.platform.access import UNKNOWN_KEY, KeyHolder
from services.platform.clock import Clock
from services.platform.errors import Unauthenticated


class LocalAuthenticator:
    """`access.WatchedAuthenticator` over auth's own tables: what the other services ask for over gRPC."""

    def __init__(self, store: AuthStore, clock: Clock, usage: KeyUsage, changes: KeyChanges) -> None:
        self._changes = changes
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

    def changes(self) -> AsyncIterator[str]:
        """See `access.WatchedAuthenticator`."""
        return self._changes.listen()
