"""Authenticates API keys and session tokens by calling auth. Of a key only its hash is sent. A session token is sent as it is: it lasts
only minutes.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence

import grpc
import structlog
from convergence.auth.v1 import authentication_service_pb2 as messages
from convergence.auth.v1.authentication_service_pb2_grpc import AuthenticationServiceStub

from services.platform.access.api_keys import hash_key
from services.platform.access.key_holder import UNKNOWN_KEY, KeyHolder
from services.platform.access.sessions.session import Session
from services.platform.backoff import backoff
from services.platform.cache import RecentSet
from services.platform.errors import Unauthenticated
from services.platform.group_commit import GroupCommit
from services.platform.plan import PLAN_LIMITS, PlanLimits
from services.platform.timestamps import to_datetime

MAX_KEYS = 1_000
MAX_CONCURRENT_CALLS = 4
STRANGERS_SECONDS = 0.1
"""Seconds between two calls for strangers."""
MAX_STRANGE_TOKENS = 10
"""The most calls in this time for session tokens that were never good here. Each token takes a call, because only auth can read it."""
MAX_CONCURRENT_STRANGE_BATCHES = 20
"""For two seconds, as auth takes for a token of a key that it has to read from its tables."""

_log = structlog.get_logger()


class RemoteAuthenticator:
    """`access.WatchedAuthenticator` over a channel to auth.

    Look-ups share calls, in two queues, so that a key that was good before never waits for strangers. At most ten calls a second are sent
    for strangers, however many keys are guessed. If several keys are new, each waits at most a tenth of a second. For session tokens that
    are new here, at most a hundred calls a second are sent.
    """

    def __init__(self, channel: grpc.aio.Channel, *, known: int = 10_000) -> None:
        """`known`: for how many keys it is remembered that they were good."""
        self._stub = AuthenticationServiceStub(channel)
        self._good_before = RecentSet[str](known)
        self._good: GroupCommit[str, KeyHolder | None] = GroupCommit(self._ask, max_batch=MAX_KEYS, max_concurrent=MAX_CONCURRENT_CALLS)
        self._good_tokens_before = RecentSet[str](known)
        self._next_for_strange_tokens = -math.inf
        self._strange_tokens: GroupCommit[str, Session] = GroupCommit(
            self._ask_sessions,
            max_batch=MAX_STRANGE_TOKENS,
            before_flush=self._wait_for_strange_tokens,
            max_concurrent=MAX_CONCURRENT_STRANGE_BATCHES,
        )
        self._strangers: GroupCommit[str, KeyHolder | None] = GroupCommit(
            self._ask, max_batch=MAX_KEYS, max_concurrent=MAX_CONCURRENT_CALLS, batch_window_seconds=STRANGERS_SECONDS
        )

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        """The tenant and scopes of the key with this hash. Raises Unauthenticated for an unknown key, Unavailable if auth does not
        answer.
        """
        was_good = api_key_sha256 in self._good_before
        holder = await (self._good if was_good else self._strangers).submit(api_key_sha256)
        if holder is None:
            self._good_before.discard(api_key_sha256)
            raise Unauthenticated("API_KEY_INVALID", UNKNOWN_KEY)
        self._good_before.add(api_key_sha256)
        return holder

    async def authenticate_session(self, session_token: str) -> Session:
        """The holder of the token. Raises Unauthenticated for one that is not good, Unavailable if auth does not answer."""
        hashed = hash_key(session_token)
        ask = self._ask_session if hashed in self._good_tokens_before else self._strange_tokens.submit
        try:
            session = await ask(session_token)
        except Unauthenticated:
            self._good_tokens_before.discard(hashed)
            raise
        self._good_tokens_before.add(hashed)
        return session

    async def _ask_sessions(self, tokens: Sequence[str]) -> Sequence[Session | Exception]:
        return await asyncio.gather(*map(self._session_or_error, tokens))

    async def _wait_for_strange_tokens(self) -> None:
        """Each batch gets a start time of its own, even if several batches wait."""
        now = asyncio.get_running_loop().time()
        begins = max(now, self._next_for_strange_tokens)
        self._next_for_strange_tokens = begins + STRANGERS_SECONDS
        await asyncio.sleep(begins - now)

    async def _session_or_error(self, session_token: str) -> Session | Exception:
        try:
            return await self._ask_session(session_token)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the caller with this token
            return error

    async def _ask_session(self, session_token: str) -> Session:
        answer = await self._stub.AuthenticateSessionToken(messages.AuthenticateSessionTokenRequest(session_token=session_token))
        return Session(holder=_to_holder(answer.holder), session_token_id=answer.session_token_id, user_id=answer.user_id or None)

    async def _ask(self, hashes: Sequence[str]) -> Sequence[KeyHolder | None]:
        request = messages.AuthenticateApiKeysRequest(api_key_sha256s=hashes)
        found = (await self._stub.AuthenticateApiKeys(request)).holders
        return [_to_holder(found[one]) if one in found else None for one in hashes]

    async def changes(self) -> AsyncIterator[str]:
        """Tenants whose keys or status have changed; an empty string after each (re)connect, when changes may have been missed. Never
        ends.
        """
        for wait in backoff(first=0.5, most=5.0):
            try:
                async for change in self._stub.WatchKeyChanges(messages.WatchKeyChangesRequest()):
                    yield change.tenant_id
            except grpc.aio.AioRpcError as error:
                _log.info("key_changes_interrupted", code=error.code().name)
            await asyncio.sleep(wait)


def _to_holder(answer: messages.AuthenticateApiKeyResponse) -> KeyHolder:
    return KeyHolder(
        tenant_id=answer.tenant_id,
        api_key_id=answer.api_key_id,
        scopes=tuple(answer.scopes),
        tenant_active=answer.tenant_active,
        subscription_active=answer.subscription_active,
        expires_at=to_datetime(answer.expires_at) if answer.HasField("expires_at") else None,
        limits=PlanLimits(**{name: getattr(answer.limits, name) for name in PLAN_LIMITS}),
    )
