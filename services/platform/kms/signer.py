"""Signs with an asymmetric key of Cloud KMS: RS256, the one algorithm that all three clouds' federation takes (Entra takes no other).

The private key never leaves KMS. CRC32C is checked both ways.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

from google.api_core import exceptions as google
from google.cloud import kms_v1

from services.platform.kms.connection import KmsConnection, Remedies, crc32c
from services.platform.settings import ServiceSettings

_Algorithm = kms_v1.CryptoKeyVersion.CryptoKeyVersionAlgorithm
_State = kms_v1.CryptoKeyVersion.CryptoKeyVersionState

RS256: Final = frozenset(
    {_Algorithm.RSA_SIGN_PKCS1_2048_SHA256, _Algorithm.RSA_SIGN_PKCS1_3072_SHA256, _Algorithm.RSA_SIGN_PKCS1_4096_SHA256}
)
"""The algorithms whose signatures are RS256 (RFC 7518, section 3.3)."""
PAGE: Final = 100

_REMEDIES: Remedies = {
    google.FailedPrecondition: "enable a version of the signing key, or create one",
    google.PermissionDenied: "grant credentials' account cloudkms.signer, cloudkms.publicKeyViewer and cloudkms.viewer on the signing key",
    google.Unauthenticated: "give this service the credentials of a service account",
    google.NotFound: "set CONVERGENCE_TOKEN_SIGNING_KEY to the full name of a key that exists",
    google.InvalidArgument: "set CONVERGENCE_TOKEN_SIGNING_KEY to the full name of a key of purpose ASYMMETRIC_SIGN, for RS256",
}
_UNUSABLE = "The key that signs identity tokens cannot be used at the moment. Tell the operator: the log says why as kms_refused."


@dataclass(frozen=True, kw_only=True, slots=True)
class SigningVersion:
    """A version of the signing key that may sign."""

    name: str
    """Its full name, `.../cryptoKeyVersions/{number}`."""
    generated_at: datetime
    """When its key was there: from then on it is listed as enabled."""


class KmsSigner:
    """A process's client of one signing key. All methods raise Unavailable (KMS_UNAVAILABLE) and Internal (KMS_KEY_UNUSABLE)."""

    def __init__(self, settings: ServiceSettings, *, key: str) -> None:
        """`key`: the full name of a key of purpose ASYMMETRIC_SIGN."""
        self._key = key
        self._kms = KmsConnection(settings, key=key, remedies=_REMEDIES, unusable=_UNUSABLE)

    async def enabled_versions(self) -> list[SigningVersion]:
        """The enabled versions for RS256, the oldest first. Versions that are being generated, disabled or destroyed are no part of it."""
        found, token = list[kms_v1.CryptoKeyVersion](), ""
        while True:
            request = kms_v1.ListCryptoKeyVersionsRequest(parent=self._key, page_size=PAGE, page_token=token)
            page = await self._kms.call(self._kms.client.list_crypto_key_versions, request)
            found += page.crypto_key_versions
            token = page.next_page_token
            if not token:
                break
        usable = [SigningVersion(name=one.name, generated_at=_generated_at(one)) for one in found if _signs(one)]
        return sorted(usable, key=lambda one: (one.generated_at, one.name))

    async def public_key(self, version: str) -> bytes:
        """The version's public key in PEM (SubjectPublicKeyInfo)."""
        answer = await self._kms.call(
            self._kms.client.get_public_key,
            kms_v1.GetPublicKeyRequest(name=version),
            is_whole=lambda key: key.name == version and key.pem_crc32c == crc32c(key.pem.encode()),
        )
        pem: bytes = answer.pem.encode()
        return pem

    async def sign(self, version: str, message: bytes) -> bytes:
        """The signature of the message with this version. Only its SHA-256 is sent."""
        digest = hashlib.sha256(message).digest()
        request = kms_v1.AsymmetricSignRequest(name=version, digest=kms_v1.Digest(sha256=digest), digest_crc32c=crc32c(digest))
        answer = await self._kms.call(
            self._kms.client.asymmetric_sign,
            request,
            is_whole=lambda signed: (
                signed.name == version and signed.verified_digest_crc32c and signed.signature_crc32c == crc32c(signed.signature)
            ),
        )
        signature: bytes = answer.signature
        return signature

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._kms.__aexit__(kind, error, trace)


def _signs(version: kms_v1.CryptoKeyVersion) -> bool:
    return version.state == _State.ENABLED and version.algorithm in RS256


def _generated_at(version: Any) -> datetime:
    # Absent from versions that were imported. The client's own class of datetime is not ours to pass on.
    at = version.generate_time or version.create_time
    return datetime.fromtimestamp(at.timestamp(), UTC)
