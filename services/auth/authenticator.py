"""Authenticates API keys and session tokens from auth's own tables."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from enum import Enum, auto

import structlog

from services.auth.key_change_feed import KeyChangeFeed
from services.auth.key_digests import KeyDigests
from services.auth.key_memory import KeyMemory
from services.auth.key_usage import KeyUsage
from services.auth.sessions.tokens import SessionTokens
from services.auth.store import BY_ID, AuthStore, by_id
from services.platform.access.key_holder import UNKNOWN_KEY, KeyHolder
from services.platform.access.scopes import may
from services.platform.access.sessions.session import REFUSED_TOKEN, Session
from services.platform.clock import Clock
from services.platform.errors import ConvergenceError, Unauthenticated
from services.platform.group_commit import GroupCommit

MAX_CONCURRENT_LOOK_UPS = 4
MAX_CONCURRENT_FOR_STRANGERS = 2
MAX_STRANGERS = 2_000
"""Hashes of one statement; BigQuery bounds the size of a request."""
AFTER_A_REFUSAL_SECONDS = 1.0
"""Seconds between a statement that found no key for a stranger and the next statement for strangers."""

_log = structlog.get_logger()


class _Unread(Enum):
    """A handle that the memory does not answer: the hash of a key, or its id."""

    GOOD_BEFORE = auto()
    STRANGER = auto()


class LocalAuthenticator:
    """`access.WatchedAuthenticator` over auth's own tables, for auth itself and for the RPC that the other services call.

    Concurrent look-ups share one reading of the tables' version. Two kinds need no statement: what the memory knows, and a hash that is
    known to belong to no active key. The rest shares statements, in two queues, so that a key that was good before never waits for
    strangers. The number of statements a second for strangers is bounded, the more so while somebody guesses keys. So guessing takes
    nothing from good keys.

    Strangers need statements only where the digests of all keys are not known: after a change of the keys' table, until the first stranger
    was refused, and a minute after each reading; and always if there are more than MAX_DIGESTS keys, or if the version cannot be read.
    """

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        store: AuthStore,
        clock: Clock,
        *,
        memory: KeyMemory,
        digests: KeyDigests,
        usage: KeyUsage,
        changes: KeyChangeFeed,
        tokens: SessionTokens | None = None,
    ) -> None:
        """`tokens`: None: session tokens are off."""
        self._tokens = tokens or SessionTokens((), clock)
        self._store, self._clock, self._memory, self._digests = store, clock, memory, digests
        self._usage, self._changes = usage, changes
        self._recalls: GroupCommit[str, tuple[KeyHolder | None] | _Unread] = GroupCommit(
            self._recall, max_concurrent=MAX_CONCURRENT_LOOK_UPS
        )
        self._good_before: GroupCommit[str, KeyHolder | None] = GroupCommit(self._read, max_concurrent=MAX_CONCURRENT_LOOK_UPS)
        self._strangers: GroupCommit[str, KeyHolder | None] = GroupCommit(
            self._read_strangers,
            max_batch=MAX_STRANGERS,
            before_flush=self._wait_after_a_refusal,
            max_concurrent=MAX_CONCURRENT_FOR_STRANGERS,
        )
        self._next_for_strangers = -math.inf

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
        match await self._recalls.submit(handle):
            case (known,):
                holder = known
            case _Unread.GOOD_BEFORE:
                holder = await self._good_before.submit(handle)
            case _:
                holder = await self._strangers.submit(handle)
        if holder is None or (holder.expires_at is not None and holder.expires_at <= self._clock.now()):
            raise Unauthenticated("API_KEY_INVALID", UNKNOWN_KEY)
        self._usage.note(holder.api_key_id)
        return holder

    async def _recall(self, handles: Sequence[str]) -> Sequence[tuple[KeyHolder | None] | _Unread]:
        version = await self._store.key_version()
        known = self._memory.recall(version, handles)
        table = self._store.version_of_keys(version)

        def answer(handle: str) -> tuple[KeyHolder | None] | _Unread:
            if handle in known:
                return (known[handle],)
            # An id comes from a token of ours or with a good key, so it was good before.
            exists = handle.startswith(BY_ID) or self._digests.has(table, handle)
            if exists is False:
                return (None,)
            return _Unread.GOOD_BEFORE if exists or self._memory.was_good(handle) else _Unread.STRANGER

        return [answer(one) for one in handles]

    async def _read(self, handles: Sequence[str]) -> Sequence[KeyHolder | None]:
        # The version that the memory has was read before this statement, by whatever caller.
        version, to_read = self._memory.version, self._memory.to_read(handles)
        found = await self._store.find_key_holders(sorted(to_read), self._clock.now())
        self._memory.keep(version, {one: found.get(one) for one in to_read})
        return [found.get(one) for one in handles]

    async def _read_strangers(self, handles: Sequence[str]) -> Sequence[KeyHolder | None]:
        began = asyncio.get_running_loop().time()
        holders = await self._read(handles)
        if None in holders:
            self._next_for_strangers = began + AFTER_A_REFUSAL_SECONDS
            await self._read_digests()
        return holders

    async def _wait_after_a_refusal(self) -> None:
        await asyncio.sleep(max(0.0, self._next_for_strangers - asyncio.get_running_loop().time()))

    async def _read_digests(self) -> None:
        version, since = self._store.version_of_keys(self._memory.version), time.monotonic()
        if version is None or not self._digests.wants(version):
            return
        try:
            digests = await self._store.list_key_digests(self._clock.now(), limit=self._digests.most + 1)
        except ConvergenceError as error:
            _log.warning("key_digests_unreadable", reason=error.reason)
        else:
            self._digests.keep(version, digests, since=since)
