"""Verifies tokens of trusted issuers (RFC 7519, RFC 8725)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt

from services.platform.errors import Unauthenticated
from services.platform.oidc.fetch import Fetch, fetch_json
from services.platform.oidc.issuer_keys import ALGORITHMS, IssuerKeys
from services.platform.oidc.trusted_issuers import TrustedIssuer

MAX_CHARACTERS = 8192
LEEWAY_SECONDS = 30
"""By which the issuer's clock and ours may differ."""
MAX_LIFETIME_SECONDS = 24 * 3600
"""Nothing revokes a token, so one that lasts for ever is a key that cannot be taken back."""
_REQUIRED = ["iss", "aud", "sub", "iat", "exp"]


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedToken:
    """What a token says, whose signature, issuer, audience and times are good."""

    trust: Sequence[TrustedIssuer]
    """The entries of the setting for its issuer and audience."""
    claims: Mapping[str, Any] = field(repr=False)


class TokenVerifier:
    """For the issuers of the setting."""

    def __init__(self, trusted: Sequence[TrustedIssuer], *, fetch: Fetch = fetch_json) -> None:
        self._trusted = trusted
        self._keys = {one.issuer: IssuerKeys(one, fetch) for one in trusted}

    async def verify(self, token: str) -> VerifiedToken:
        """Raises Unauthenticated for a token that is not good, Unavailable while its issuer's keys cannot be read."""
        header, claimed = _parsed(token)
        if header.get("alg") not in ALGORITHMS:
            raise _invalid(f"It is not signed by {' or '.join(ALGORITHMS)}.")
        trust = [one for one in self._trusted if (one.issuer, one.audience) == (claimed.get("iss"), claimed.get("aud"))]
        if not trust:
            raise _invalid("Its issuer and audience are not those that this installation takes tokens of.")
        key = await self._keys[trust[0].issuer].find(str(header.get("kid")))
        if key is None:
            raise _invalid("Its issuer does not publish the key that it names.")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                issuer=trust[0].issuer,
                audience=trust[0].audience,
                leeway=LEEWAY_SECONDS,
                options={"require": _REQUIRED, "strict_aud": True},
            )
        except jwt.ExpiredSignatureError:
            raise _invalid("It has expired.") from None
        except (jwt.PyJWTError, ValueError, OverflowError, TypeError):
            raise _invalid("Its signature or one of its claims is not good.") from None
        if int(claims["exp"]) - int(claims["iat"]) > MAX_LIFETIME_SECONDS:
            raise _invalid("It lasts longer than a day.")
        return VerifiedToken(trust=trust, claims=claims)


def _parsed(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims, unverified: only to choose the key that verifies them."""
    try:
        if len(token) > MAX_CHARACTERS:
            raise _invalid(f"It is longer than {MAX_CHARACTERS} characters.")
        claims = jwt.decode(token, options={"verify_signature": False})
        return jwt.get_unverified_header(token), claims
    except (jwt.PyJWTError, ValueError, OverflowError, TypeError, RecursionError):
        raise _invalid("It is no JSON Web Token.") from None


def _invalid(why: str) -> Unauthenticated:
    # Never quotes the token.
    return Unauthenticated("TOKEN_INVALID", f"This token is not accepted. {why} Get a new one from your identity provider.")
