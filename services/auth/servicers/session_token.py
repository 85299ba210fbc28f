"""SessionTokenService: decode, call the domain, encode."""

from datetime import timedelta
from typing import Any

import grpc
from convergence.auth.v1 import session_token_service_pb2, session_token_service_pb2_grpc

from services.auth.authenticator import LocalAuthenticator
from services.auth.sessions.tokens import SessionTokens, new_claims
from services.platform.access.caller import USER_ID_LENGTH, current_caller
from services.platform.clock import Clock
from services.platform.errors import InvalidArgument, PermissionDenied
from services.platform.rpc.secret_texts import has_secret
from services.platform.timestamps import to_timestamp

type Context = grpc.aio.ServicerContext[Any, Any]


class SessionTokenServicer(session_token_service_pb2_grpc.SessionTokenServiceServicer):
    """SessionTokenService, as the proto describes it."""

    def __init__(self, authenticator: LocalAuthenticator, tokens: SessionTokens, clock: Clock) -> None:
        self._authenticator, self._tokens, self._clock = authenticator, tokens, clock

    async def CreateSessionToken(
        self, request: session_token_service_pb2.CreateSessionTokenRequest, context: Context
    ) -> session_token_service_pb2.CreateSessionTokenResponse:
        """Raises InvalidArgument, PermissionDenied, FailedPrecondition."""
        caller = current_caller()
        if caller.session_token_id is not None:
            raise PermissionDenied("CALLER_DENIED", "A session token cannot make another one. Ask your backend, which has the API key.")
        if len(request.user_id) > USER_ID_LENGTH or not request.user_id.isprintable():
            raise InvalidArgument("user_id", f"use at most {USER_ID_LENGTH} printable characters.")
        if has_secret(request.user_id, {}):
            raise InvalidArgument("user_id", "is recorded, and what was sent looks like a key or token. Send the id of your user.")
        key = await self._authenticator.holder_of(request.tenant_id, caller.api_key_id or "")
        claims = new_claims(
            tenant_id=key.tenant_id,
            api_key_id=key.api_key_id,
            key_scopes=key.scopes,
            key_expires_at=key.expires_at,
            scopes=request.scopes,
            lifetime=timedelta(seconds=request.lifetime_seconds) if request.HasField("lifetime_seconds") else None,
            user_id=request.user_id or None,
            now=self._clock.now(),
        )
        return session_token_service_pb2.CreateSessionTokenResponse(
            session_token=self._tokens.issue(claims),
            session_token_id=claims.session_token_id,
            tenant_id=claims.tenant_id,
            scopes=claims.scopes,
            user_id=claims.user_id or "",
            expires_at=to_timestamp(claims.expires_at),
        )
