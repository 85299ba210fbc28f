"""Authenticates API keys and session tokens from auth's own tables."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from services.auth.key_change_feed import KeyChangeFeed
from services.auth.key_memory import KeyMemory
from services.auth.key_usage import KeyUsage
from services.auth.session_tokens import SessionTokens
from services.auth.store import BY_ID, AuthStore, by_id
from services.platform.access.key_holder import UNKNOWN_KEY, KeyHolder
from services.platform.access.scopes import may
from services.platform.access.sessions.session import REFUSED_TOKEN, Session
from services.platform.clock import Clock
from services.platform.errors import Unauthenticated
from services.platform.group_commit import GroupCommit

MAX_CONCURRENT_LOOK_UPS = 4


class LocalAuthenticator:
    """`access.WatchedAuthenticator` over auth's own tables, for auth itself and for the RPC that the other services call.

    Concurrent look-ups share one reading of the tables' version, and one statement if the memory does not answer: hundreds of tenants that
    call at once do not cause hundreds of statements.
    """

    def __init__(
        self,
        store: AuthStore,
        clock: Clock,
        memory: KeyMemory,
        usage: KeyUsage,
        changes: KeyChangeFeed,
        tokens: SessionTokens | None = None,
    ) -> None:
        """`tokens`: None: session tokens are off."""
        self._store, self._clock, self._memory = store, clock, memory
        self._tokens = tokens or SessionTokens((), clock)
        self._usage, self._changes = usage, changes
        self._look_ups: GroupCommit[str, KeyHolder | None] = GroupCommit(self._look_up, max_concurrent=MAX_CONCURRENT_LOOK_UPS)

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        """The holder of the key with this hash. Raises Unauthenticated for an unknown key, Unavailable if BigQuery does not answer."""
        # The id of a key, which is no secret, must not do for the key.
        if api_key_sha256.startswith(BY_ID):
            raise Unauthenticated("API_KEY_INVALID", UNKNOWN_KEY)
        return await self._holder(api_key_sha256)

    async def authenticate_session(self, session_token: str) -> Session:
        """The holder of a session token. Raises Unauthenticated if it is not good, Unavailable if BigQuery does not answer."""
        said = self._tokens.read(session_token)
        try:
            key = await self.holder_of(said.tenant_id, said.api_key_id)
        except Unauthenticated:
            raise Unauthenticated("TOKEN_INVALID", REFUSED_TOKEN) from None
        # No scopes would mean the default ones.
        scopes = tuple(scope for scope in said.scopes if may(scope, key.scopes))
        if not scopes:
            raise Unauthenticated("TOKEN_INVALID", REFUSED_TOKEN)
        ends_at = min(said.expires_at, key.expires_at or said.expires_at)
        return Session(holder=replace(key, scopes=scopes, expires_at=ends_at), session_token_id=said.session_token_id, user_id=said.user_id)

    async def holder_of(self, tenant_id: str, api_key_id: str) -> KeyHolder:
        """The holder of the key of this id. Raises Unauthenticated if it is no longer active, Unavailable if BigQuery does not answer."""
        return await self._holder(by_id(tenant_id, api_key_id))

    def changes(self) -> AsyncIterator[str]:
        """The changes that this process makes, see `KeyChangeFeed.subscribe`."""
        return self._changes.subscribe()

    async def _holder(self, handle: str) -> KeyHolder:
        holder = await self._look_ups.submit(handle)
        if holder is None or (holder.expires_at is not None and holder.expires_at <= self._clock.now()):
            raise Unauthenticated("API_KEY_INVALID", UNKNOWN_KEY)
        self._usage.note(holder.api_key_id)
        return holder

    async def _look_up(self, handles: Sequence[str]) -> Sequence[KeyHolder | None]:
        version = await self._store.key_version()
        known = self._memory.recall(version, set(handles))
        read = dict[str, KeyHolder | None]()
        if known.to_read:
            found = await self._store.find_key_holders(sorted(known.to_read), self._clock.now())
            read = {one: found.get(one) for one in known.to_read}
            self._memory.keep(version, read)
        return [read[one] if one in read else known.holders[one] for one in handles]
