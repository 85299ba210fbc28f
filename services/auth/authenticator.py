"""Authenticates API keys from auth's own tables."""

from collections.abc import AsyncIterator, Sequence

from services.auth.key_change_feed import KeyChangeFeed
from services.auth.key_memory import KeyMemory
from services.auth.key_usage import KeyUsage
from services.auth.store import AuthStore
from services.platform.access.key_holder import UNKNOWN_KEY, KeyHolder
from services.platform.clock import Clock
from services.platform.errors import Unauthenticated
from services.platform.group_commit import GroupCommit

MAX_CONCURRENT_LOOK_UPS = 4


class LocalAuthenticator:
    """`access.WatchedAuthenticator` over auth's own tables, for auth itself and for the RPC that the other services call.

    Concurrent look-ups share one reading of the tables' version, and one statement if the memory does not answer: hundreds of tenants that
    call at once do not cause hundreds of statements.
    """

    def __init__(self, store: AuthStore, clock: Clock, memory: KeyMemory, usage: KeyUsage, changes: KeyChangeFeed) -> None:
        self._store, self._clock, self._memory = store, clock, memory
        self._usage, self._changes = usage, changes
        self._look_ups: GroupCommit[str, KeyHolder | None] = GroupCommit(self._look_up, max_concurrent=MAX_CONCURRENT_LOOK_UPS)

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        """The holder of the key with this hash. Raises Unauthenticated for an unknown key, Unavailable if BigQuery does not answer."""
        holder = await self._look_ups.submit(api_key_sha256)
        if holder is None or (holder.expires_at is not None and holder.expires_at <= self._clock.now()):
            raise Unauthenticated("API_KEY_INVALID", UNKNOWN_KEY)
        self._usage.note(holder.api_key_id)
        return holder

    def changes(self) -> AsyncIterator[str]:
        """The changes that this process makes, see `KeyChangeFeed.subscribe`."""
        return self._changes.subscribe()

    async def _look_up(self, hashes: Sequence[str]) -> Sequence[KeyHolder | None]:
        version = await self._store.key_version()
        known = self._memory.recall(version, set(hashes))
        read = dict[str, KeyHolder | None]()
        if known.to_read:
            found = await self._store.find_key_holders(sorted(known.to_read), self._clock.now())
            read = {one: found.get(one) for one in known.to_read}
            self._memory.keep(version, read)
        return [read[one] if one in read else known.holders[one] for one in hashes]
