"""The keys that an issuer publishes, kept in memory."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWTError

from services.platform.errors import Unavailable
from services.platform.oidc.fetch import Fetch, NotRead
from services.platform.oidc.trusted_issuers import TrustedIssuer

ALGORITHMS = ("RS256", "ES256")
MIN_RSA_BITS = 2048
REFRESH_SECONDS = 600.0
"""The keys are read again when they are older: a key that the issuer has withdrawn is accepted no longer than this."""
KEEP_SECONDS = 6 * 3600.0
"""... unless the issuer does not answer: then they are used so long."""
AGAIN_SECONDS = 60.0
"""From one reading to the next, whatever keys tokens name."""
AGAIN_WITHOUT_SECONDS = 5.0
"""The same while there are no keys."""
DISCOVERY = "/.well-known/openid-configuration"

_log = structlog.get_logger()


class IssuerKeys:
    """One issuer's keys, by `kid`. Concurrent callers share a reading."""

    def __init__(self, issuer: TrustedIssuer, fetch: Fetch, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._issuer, self._jwks_uri = issuer.issuer, issuer.jwks_uri
        self._fetch, self._monotonic = fetch, monotonic
        self._keys: Mapping[str, PyJWK] = {}
        self._read_at = self._tried_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> PyJWK | None:
        """The key of this id; None if the issuer publishes none. Raises Unavailable if its keys cannot be read."""
        if self._reading is None and self._is_due(kid):
            self._tried_at = self._monotonic()
            self._reading = asyncio.create_task(self._read())
        # A key that is known and fresh is used at once: tokens that name unknown keys must not make good ones wait for the issuer.
        if self._reading is not None and not self._is_fresh(kid):
            # If one caller disconnects, the others still get the keys.
            await asyncio.shield(self._reading)
        if self._age() >= KEEP_SECONDS:
            unread = f"The keys of {self._issuer} cannot be read, so its tokens cannot be verified"
            raise Unavailable("SERVICE_UNAVAILABLE", f"{unread}. Try again in a moment, or send an admin key.")
        return self._keys.get(kid)

    def _age(self) -> float:
        return self._monotonic() - self._read_at

    def _is_due(self, kid: str) -> bool:
        again = AGAIN_SECONDS if self._age() < KEEP_SECONDS else AGAIN_WITHOUT_SECONDS
        if self._monotonic() - self._tried_at < again:
            return False
        return not self._is_fresh(kid)

    def _is_fresh(self, kid: str) -> bool:
        return kid in self._keys and self._age() < REFRESH_SECONDS

    async def _read(self) -> None:
        asked = self._monotonic()
        try:
            self._keys, self._read_at = await self._published(), asked
        except NotRead as error:
            _log.warning("issuer_keys_not_read", issuer=self._issuer, problem=str(error), keys_kept=len(self._keys))
        finally:
            self._reading = None

    async def _published(self) -> dict[str, PyJWK]:
        document = await self._fetch(self._jwks_uri or await self._discovered())
        listed = document.get("keys")
        if not isinstance(listed, list):
            raise NotRead("its key set has no list of keys")
        keys = {str(one["kid"]): key for one in listed if isinstance(one, dict) and "kid" in one and (key := _usable(one))}
        if not keys:
            raise NotRead("it publishes no key for RS256 or ES256")
        return keys

    async def _discovered(self) -> str:
        document = await self._fetch(self._issuer.rstrip("/") + DISCOVERY)
        if document.get("issuer") != self._issuer:  # OpenID Connect Discovery 1.0, section 4.3
            raise NotRead("its discovery document names another issuer")
        return str(document.get("jwks_uri"))


def _usable(jwk: dict[str, Any]) -> PyJWK | None:
    """The key, if it verifies signatures by one of our algorithms; None for all others, such as keys of future kinds."""
    if jwk.get("use", "sig") != "sig":
        return None
    try:
        key = PyJWK(jwk)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    if key.algorithm_name not in ALGORITHMS or (isinstance(key.key, RSAPublicKey) and key.key.key_size < MIN_RSA_BITS):
        return None
    return key
