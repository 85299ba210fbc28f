"""Recognises what cannot be a session token of ours, so that it costs no call to auth. Pure, without the secret, which only auth has."""

import base64
import binascii
import json
from datetime import datetime, timedelta
from typing import Any

ALGORITHM, TYPE = "HS256", "convergence-session+jwt"
ISSUER, AUDIENCE = "convergence", "convergence-tenant"
REQUIRED = ("exp", "jti", "tenant", "key", "scope")
"""Claims, beside the issuer and the audience."""
LONGEST = timedelta(hours=1)
"""A token lasts no longer."""
CLOCKS_DIFFER = timedelta(minutes=5)
"""Auth's clock may be ahead of ours by this."""
MAX_CHARACTERS = 4096
SIGNATURE_BYTES = 32


def may_be_good(token: str, *, now: datetime) -> bool:
    """True if nothing but its signature and its key are left to verify. `now` is UTC.

    Only one spelling of a token is accepted. Decoders of base64 ignore padding, foreign characters and the last bits, so without this rule
    one token could be written as many different texts.
    """
    parts = token.split(".") if len(token) <= MAX_CHARACTERS else []
    match [_decoded(part) for part in parts]:
        case [bytes(header), bytes(claims), bytes(signature)]:
            is_ours = len(signature) == SIGNATURE_BYTES and _object(header) == {"alg": ALGORITHM, "typ": TYPE}
            return is_ours and _are_good(_object(claims), now)
        case _:
            return False


def _decoded(part: str) -> bytes | None:
    """The bytes of base64url without padding, in its one spelling."""
    try:
        found = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if base64.urlsafe_b64encode(found).rstrip(b"=").decode() == part else None


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _are_good(claims: dict[str, Any], now: datetime) -> bool:
    if (claims.get("iss"), claims.get("aud")) != (ISSUER, AUDIENCE) or not all(name in claims for name in REQUIRED):
        return False
    ends_at = claims["exp"]
    latest = (now + LONGEST + CLOCKS_DIFFER).timestamp()
    return type(ends_at) is int and now.timestamp() < ends_at <= latest
