"""AuthenticationService, for the other services: decode, call the domain, encode."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

import grpc
from convergence.auth.v1 import (
    authentication_service_pb2,
    authentication_service_pb2_grpc,
)

from services.auth.authenticator import LocalAuthenticator
from services.auth.key_change_feed import KeyChangeFeed
from services.platform.access.key_holder import KeyHolder
from services.platform.errors import InvalidArgument, Unauthenticated
from services.platform.timestamps import to_timestamp

MAX_KEYS = 1_000
"""Of one question."""

type Context = grpc.aio.ServicerContext[Any, Any]


class AuthenticationServicer(authentication_service_pb2_grpc.AuthenticationServiceServicer):
    """AuthenticationService, as the proto describes it."""

    def __init__(self, authenticator: LocalAuthenticator, changes: KeyChangeFeed) -> None:
        self._authenticator = authenticator
        self._changes = changes

    async def WatchKeyChanges(
        self, request: authentication_service_pb2.WatchKeyChangesRequest, context: Context
    ) -> AsyncIterator[authentication_service_pb2.KeyChange]:
        """An empty tenant id first, then the tenant of each change. Ends when the process stops."""
        async with aclosing(self._changes.subscribe()) as changes:
            async for tenant_id in changes:
                yield authentication_service_pb2.KeyChange(tenant_id=tenant_id)

    async def AuthenticateApiKey(
        self, request: authentication_service_pb2.AuthenticateApiKeyRequest, context: Context
    ) -> authentication_service_pb2.AuthenticateApiKeyResponse:
        """Raises Unauthenticated."""
        return _holder_to_proto(await self._authenticator.authenticate(request.api_key_sha256))

    async def AuthenticateSessionToken(
        self, request: authentication_service_pb2.AuthenticateSessionTokenRequest, context: Context
    ) -> authentication_service_pb2.AuthenticateSessionTokenResponse:
        """Raises Unauthenticated."""
        session = await self._authenticator.authenticate_session(request.session_token)
        return authentication_service_pb2.AuthenticateSessionTokenResponse(
            holder=_holder_to_proto(session.holder), session_token_id=session.session_token_id, user_id=session.user_id or ""
        )

    async def AuthenticateApiKeys(
        self, request: authentication_service_pb2.AuthenticateApiKeysRequest, context: Context
    ) -> authentication_service_pb2.AuthenticateApiKeysResponse:
        """Raises InvalidArgument."""
        hashes = set(request.api_key_sha256s)
        if len(hashes) > MAX_KEYS:
            raise InvalidArgument("api_key_sha256s", f"ask for at most {MAX_KEYS:,} keys.")
        found = dict(zip(hashes, await asyncio.gather(*map(self._find, hashes)), strict=True))
        return authentication_service_pb2.AuthenticateApiKeysResponse(
            holders={hashed: _holder_to_proto(holder) for hashed, holder in found.items() if holder is not None}
        )

    async def _find(self, hashed: str) -> KeyHolder | None:
        try:
            return await self._authenticator.authenticate(hashed)
        except Unauthenticated:
            return None


def _holder_to_proto(holder: KeyHolder) -> authentication_service_pb2.AuthenticateApiKeyResponse:
    return authentication_service_pb2.AuthenticateApiKeyResponse(
        tenant_id=holder.tenant_id,
        api_key_id=holder.api_key_id,
        scopes=holder.scopes,
        tenant_active=holder.tenant_active,
        subscription_active=holder.subscription_active,
        expires_at=to_timestamp(holder.expires_at),
        limits=authentication_service_pb2.PlanLimits(**asdict(holder.limits)),
    )
