"""Session tokens: what they say and how they are signed. JSON Web Tokens (RFC 7519, 8725) with HS256, which only auth makes and reads. Pure
but for the clock.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from services.platform.access.scopes import DEFAULT_SCOPES, SCOPES
from services.platform.access.sessions.session import REFUSED_TOKEN
from services.platform.access.sessions.shape import ALGORITHM, AUDIENCE, ISSUER, LONGEST, REQUIRED, TYPE, may_be_good
from services.platform.clock import Clock
from services.platform.errors import FailedPrecondition, InvalidArgument, PermissionDenied, Unauthenticated

DEFAULT_LIFETIME, SHORTEST = timedelta(minutes=15), timedelta(minutes=1)
READING = ("costs:read", "runs:read")
"""The scopes of a token that was asked for without any, as far as its key has them."""
_PURPOSE = b"convergence session tokens, version 1"


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionClaims:
    """What a token says."""

    session_token_id: str
    tenant_id: str
    api_key_id: str
    """The key for which it was issued: the token is good no longer than that is."""
    scopes: tuple[str, ...]
    """Never empty: for a key, none means the defaults."""
    user_id: str | None
    expires_at: datetime
    """UTC, whole seconds."""


class SessionTokens:
    """Signs with the first secret, reads what any of them has signed."""

    def __init__(self, secrets: Sequence[SecretStr], clock: Clock) -> None:
        """No secrets: tokens are off."""
        self._keys, self._clock = [_derived(one) for one in secrets], clock

    def issue(self, claims: SessionClaims) -> str:
        """The token. Raises FailedPrecondition if tokens are off."""
        if not self._keys:
            raise FailedPrecondition(
                "SESSION_TOKENS_OFF", "This installation issues no session tokens. Call from your backend, with the API key."
            )
        said = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": int(self._clock.now().timestamp()),
            "exp": int(claims.expires_at.timestamp()),
            "jti": claims.session_token_id,
            "tenant": claims.tenant_id,
            "key": claims.api_key_id,
            "scope": " ".join(claims.scopes),
        }
        if claims.user_id is not None:
            said["sub"] = claims.user_id
        return jwt.encode(said, self._keys[0], algorithm=ALGORITHM, headers={"typ": TYPE})

    def read(self, token: str) -> SessionClaims:
        """What a token of ours says that is not expired. Raises Unauthenticated."""
        for key in self._keys if may_be_good(token, now=self._clock.now()) else ():
            try:
                # Expiry is compared with our own clock; the rest is the library's.
                said = jwt.decode(
                    token,
                    key,
                    algorithms=[ALGORITHM],
                    issuer=ISSUER,
                    audience=AUDIENCE,
                    options={"require": [*REQUIRED], "strict_aud": True, "verify_exp": False, "verify_iat": False},
                )
                claims = SessionClaims(
                    session_token_id=said["jti"],
                    tenant_id=said["tenant"],
                    api_key_id=said["key"],
                    scopes=tuple(said["scope"].split()),
                    user_id=said.get("sub"),
                    expires_at=datetime.fromtimestamp(said["exp"], UTC),
                )
            except jwt.InvalidSignatureError:
                continue  # signed with another of the secrets
            except (jwt.PyJWTError, ValueError, RecursionError):
                break
            if self._clock.now() < claims.expires_at:
                return claims
            break
        raise Unauthenticated("TOKEN_INVALID", REFUSED_TOKEN)


def new_claims(  # noqa: PLR0913 - a key, and what was asked for
    *,
    tenant_id: str,
    api_key_id: str,
    key_scopes: Sequence[str],
    key_expires_at: datetime | None,
    scopes: Sequence[str],
    lifetime: timedelta | None,
    user_id: str | None,
    now: datetime,
) -> SessionClaims:
    """What a new token says: never more than its key may do, and no longer than the key. Raises InvalidArgument, PermissionDenied."""
    lifetime = DEFAULT_LIFETIME if lifetime is None else lifetime
    if not SHORTEST <= lifetime <= LONGEST:
        raise InvalidArgument("lifetime_seconds", f"use {_seconds(SHORTEST)} to {_seconds(LONGEST)}.")
    held = frozenset(key_scopes) or DEFAULT_SCOPES
    for index, scope in enumerate(scopes):
        if scope not in SCOPES:
            raise InvalidArgument(f"scopes[{index}]", f"use some of {', '.join(SCOPES)}.")
        if scope not in held:
            message = f"This API key lacks {scope}, so it cannot give it. It has {', '.join(sorted(held))}."
            raise PermissionDenied("SCOPE_MISSING", message, metadata={"scope": scope, "held": " ".join(sorted(held))})
    given = tuple(scope for scope in SCOPES if scope in (scopes or held.intersection(READING)))
    if not given:
        raise InvalidArgument("scopes", f"name at least one: this API key has none of {', '.join(READING)}, which are the default.")
    ends_at = min(filter(None, (now + lifetime, key_expires_at)))
    return SessionClaims(
        session_token_id=str(uuid.uuid4()),
        tenant_id=tenant_id,
        api_key_id=api_key_id,
        scopes=given,
        user_id=user_id,
        expires_at=datetime.fromtimestamp(int(ends_at.timestamp()), UTC),
    )


def _derived(secret: SecretStr) -> bytes:
    """A key of its own for this purpose: what is signed for another cannot be taken for a session token."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.get_secret_value().encode())


def _seconds(length: timedelta) -> int:
    return round(length.total_seconds())
