"""The stand-ins for Google's access tokens: JSON Web Tokens that name their holder. They are signed with a key of this process, which
publishes the key as an issuer does. The local BigQuery reads the identity in them, and checks them with `localcloud.oidc`.
"""

import base64
import json
import uuid
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

LIFETIME: Final = timedelta(hours=1)
AUDIENCE: Final = "google-apis"
"""The audience of every access token."""


class AccessTokens:
    """Tokens of earlier processes are worth nothing: clients get new ones when theirs is refused."""

    def __init__(self, url: str, *, lifetime: timedelta = LIFETIME) -> None:
        """`url`: where this process is found. `lifetime`: how long a token lasts."""
        self.url, self.lifetime = url, lifetime
        self._holders: dict[str, tuple[str, datetime]] = {}
        self._key, self._kid = _key_of_this_process(), str(uuid.uuid4())

    def issue(self, subject: str, scope: str, now: datetime) -> tuple[str, datetime]:
        """A token for a principal or a service account's e-mail address, and when it expires."""
        expires_at = datetime.fromtimestamp(int((now + self.lifetime).timestamp()), UTC)
        claims = {
            "iss": self.url,
            "sub": subject,
            "aud": AUDIENCE,
            "scope": scope,
            "jti": str(uuid.uuid4()),
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
        }
        signed = f"{_part({'alg': 'RS256', 'kid': self._kid})}.{_part(claims)}"
        token = f"{signed}.{_text(self._key.sign(signed.encode(), PKCS1v15(), SHA256()))}"
        self._holders = {one: held for one, held in self._holders.items() if held[1] > now} | {token: (subject, expires_at)}
        return token, expires_at

    def holder(self, token: str, now: datetime) -> str | None:
        """To whom a token was issued; None if it is none of this process, or has expired."""
        subject, expires_at = self._holders.get(token, (None, now))
        return subject if now < expires_at else None

    def jwks(self) -> dict[str, Any]:
        """The key set."""
        numbers = self._key.public_key().public_numbers()
        modulus = _text(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big"))
        return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self._kid, "n": modulus, "e": "AQAB"}]}

    def discovery(self) -> dict[str, Any]:
        """Where it is."""
        return {"issuer": self.url, "jwks_uri": f"{self.url}/.well-known/jwks.json"}


@cache
def _key_of_this_process() -> RSAPrivateKey:
    """Made once: it takes a tenth of a second."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def _part(value: dict[str, Any]) -> str:
    return _text(json.dumps(value).encode())


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
