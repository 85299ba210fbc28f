"""What a token says (RFC 7519), and a public key as JWKS lists it (RFC 7517, 7518, 7638). Pure."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

LIFETIME: Final = timedelta(minutes=10)
CLAIMS: Final = ("iss", "sub", "aud", "iat", "nbf", "exp", "jti")


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentityToken:
    """A signed token."""

    token: str = field(repr=False)
    audience: str
    expires_at: datetime


def jwk_of(pem: bytes) -> dict[str, str]:
    """The public key in PEM as a JSON Web Key; its `kid` is its thumbprint. Raises ValueError for another key than RSA."""
    key = load_pem_public_key(pem)
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the signing key is no RSA key")  # noqa: TRY004 - a value, not a type, is wrong
    numbers = key.public_numbers()
    required = {"e": _of_number(numbers.e), "kty": "RSA", "n": _of_number(numbers.n)}
    thumbprint = hashlib.sha256(_json(required)).digest()  # RFC 7638: the required members, sorted
    return {**required, "use": "sig", "alg": "RS256", "kid": _base64url(thumbprint)}


def signing_input(claims: Mapping[str, str | int], kid: str) -> str:
    """The text that is signed."""
    header = {"alg": "RS256", "kid": kid, "typ": "JWT"}
    return f"{_base64url(_json(header))}.{_base64url(_json(claims))}"


def signed(text: str, signature: bytes) -> str:
    """The token."""
    return f"{text}.{_base64url(signature)}"


def claims_of(*, issuer: str, subject: str, audience: str, token_id: str, now: datetime) -> dict[str, str | int]:
    """One audience, ten minutes. `token_id` makes two tokens of one second differ, so that a cloud's log can tell them apart."""
    issued = int(now.timestamp())
    expires = issued + int(LIFETIME.total_seconds())
    return {"iss": issuer, "sub": subject, "aud": audience, "iat": issued, "nbf": issued, "exp": expires, "jti": token_id}


def _of_number(number: int) -> str:
    return _base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _json(value: Mapping[str, str | int]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
