"""Authenticates API keys and session tokens by calling auth. Only a key's hash is sent; a token, which lasts minutes, itself."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import structlog
from convergence.auth.v1 import authentication_service_pb2 as messages
from convergence.auth.v1.authentication_service_pb2_grpc import AuthenticationServiceStub

from services.platform.access.key_holder import KeyHolder
from services.platform.access.sessions.session import Session
from services.platform.backoff import backoff
from services.platform.plan import PLAN_LIMITS, PlanLimits
from services.platform.timestamps import to_datetime

_log = structlog.get_logger()


class RemoteAuthenticator:
    """`access.WatchedAuthenticator` over a channel to auth."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = AuthenticationServiceStub(channel)

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        """The tenant and scopes of the key with this hash. Raises Unauthenticated for an unknown key, Unavailable if auth does not
        answer.
        """
        return _holder(await self._stub.AuthenticateApiKey(messages.AuthenticateApiKeyRequest(api_key_sha256=api_key_sha256)))

    async def authenticate_session(self, session_token: str) -> Session:
        """The holder of the token. Raises Unauthenticated for one that is not good, Unavailable if auth does not answer."""
        answer = await self._stub.AuthenticateSessionToken(messages.AuthenticateSessionTokenRequest(session_token=session_token))
        return Session(holder=_holder(answer.holder), session_token_id=answer.session_token_id, user_id=answer.user_id or None)

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


def _holder(answer: messages.AuthenticateApiKeyResponse) -> KeyHolder:
    return KeyHolder(
        tenant_id=answer.tenant_id,
        api_key_id=answer.api_key_id,
        scopes=tuple(answer.scopes),
        tenant_active=answer.tenant_active,
        subscription_active=answer.subscription_active,
        expires_at=to_datetime(answer.expires_at) if answer.HasField("expires_at") else None,
        limits=PlanLimits(**{name: getattr(answer.limits, name) for name in PLAN_LIMITS}),
    )
