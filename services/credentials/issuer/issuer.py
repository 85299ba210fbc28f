"""Signs identity tokens with KMS, and knows the keys that verify them."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from services.credentials.issuer.signing_keys import PublishedKey, published_since, signing_key
from services.credentials.issuer.token import IdentityToken, claims_of, jwk_of, signed, signing_input
from services.platform.cache import TtlCache
from services.platform.clock import Clock
from services.platform.errors import Internal, Unavailable
from services.platform.kms.signer import KmsSigner

REFRESH: Final = timedelta(minutes=1)
"""How often KMS is asked for the key's versions: a disabled one is published for so long."""
_KEYS: Final = "keys"
_log = structlog.get_logger()


class TokenIssuer:
    """Issues tokens under one URL. All methods raise Unavailable and Internal as `KmsSigner` does."""

    def __init__(self, signer: KmsSigner, *, url: str, overlap: timedelta, clock: Clock, refresh: timedelta = REFRESH) -> None:
        """`overlap`: how long a version is published before it signs."""
        self.url = url
        self._signer = signer
        self._overlap = overlap
        self._clock = clock
        self._kept: TtlCache[str, Sequence[PublishedKey]] = TtlCache(seconds=refresh.total_seconds(), size=1)
        self._published: Sequence[PublishedKey] | None = None

    async def published(self) -> Sequence[PublishedKey]:
        """The key set, the oldest version first. KMS is asked once a minute; if it does not answer, the last answer stays."""
        return await self._kept.get(_KEYS, self._load)

    async def mint(self, *, subject: str, audience: str) -> IdentityToken:
        """A new token. The caller has checked that this subject may have a token for this audience."""
        key = await self._signing_key()
        try:
            return await self._signed(key, subject, audience)
        except Internal:
            # Disabled since it was listed: another version goes on, if there is one.
            self._kept.drop(_KEYS)
            other = await self._signing_key()
            if other.version == key.version:
                raise
            return await self._signed(other, subject, audience)

    async def _signed(self, key: PublishedKey, subject: str, audience: str) -> IdentityToken:
        claims = claims_of(issuer=self.url, subject=subject, audience=audience, token_id=str(uuid.uuid4()), now=self._clock.now())
        text = signing_input(claims, key.jwk["kid"])
        signature = await self._signer.sign(key.version, text.encode())
        return IdentityToken(token=signed(text, signature), audience=audience, expires_at=datetime.fromtimestamp(int(claims["exp"]), UTC))

    async def _signing_key(self) -> PublishedKey:
        key = signing_key(await self.published(), overlap=self._overlap, now=self._clock.now())
        if key is None:
            _log.error("signing_key_has_no_version", remedy="create a version of the signing key, or enable one, for RS256")
            raise Internal("KMS_KEY_UNUSABLE", "No version of the key that signs identity tokens is enabled. Tell the operator.")
        return key

    async def _load(self, _: str) -> Sequence[PublishedKey]:
        try:
            self._published = await self._read()
        except (Unavailable, Internal):
            if self._published is None:
                raise
            _log.warning("signing_keys_not_refreshed")
        return self._published

    async def _read(self) -> list[PublishedKey]:
        versions = await self._signer.enabled_versions()
        since = published_since(self._published, versions, self._clock.now())
        # A version's key never changes, so it is read once.
        jwks = {key.version: key.jwk for key in self._published or ()}
        return [
            PublishedKey(
                version=one.name,
                since=since[one.name],
                jwk=jwks.get(one.name) or jwk_of(await self._signer.public_key(one.name)),
            )
            for one in versions
        ]
