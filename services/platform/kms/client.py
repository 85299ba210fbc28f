"""Encrypts and decrypts secrets with Cloud KMS. The process's IAM role decides which of the two it may do: credentials encrypts, the
executor decrypts, the re-encrypt job does both. CRC32C is checked both ways ("Verifying end-to-end data integrity" in KMS's documentation).
"""

from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self

from google.api_core import exceptions as google
from google.cloud import kms_v1

from services.platform.errors import Internal, InvalidArgument
from services.platform.kms.connection import KmsConnection, Remedies, crc32c
from services.platform.kms.versions import is_of_another_key, version_number
from services.platform.settings import ServiceSettings

MAX_BYTES, MAX_HSM_BYTES = 64 * 1024, 8 * 1024
"""Bytes of a plaintext under a software key; of plaintext and associated data together under an HSM key (KMS reference, EncryptRequest)."""

_REMEDIES: Remedies = {
    google.FailedPrecondition: "enable the key's version, or make an enabled version its primary; a destroyed one opens nothing any more",
    google.PermissionDenied: "grant this process's account cloudkms.cryptoKeyEncrypter (credentials), cryptoKeyDecrypter (executor) or "
    "cryptoKeyEncrypterDecrypter (the re-encrypt job)",
    google.Unauthenticated: "give this service the credentials of a service account",
    google.NotFound: "set CONVERGENCE_KMS_KEY to the full name of a key that exists",
}
_NO_SUCH_USE = "set CONVERGENCE_KMS_KEY to the full name of a key, not of a version, of purpose ENCRYPT_DECRYPT"
_ANOTHER_KEY = (
    "these credentials were encrypted with another key than CONVERGENCE_KMS_KEY and those of CONVERGENCE_TENANT_LOCATIONS: name it there "
    "again, and re-encrypt before you change it"
)
_BROKEN = "decryption failed"
"""What KMS says of a ciphertext that it could not open, in lower case; it has no code of its own for that."""
_UNUSABLE = (
    "The key that encrypts credentials cannot be used at the moment, and nothing was changed. Tell the operator: "
    "the log says why as kms_refused. If the key is gone for good, set the credentials again once there is a new one."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """A ciphertext, and the key version that encrypted it."""

    ciphertext: bytes = field(repr=False)
    key_version: str


class Kms:
    """A process's KMS client."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.keys, self.key_in = settings.kms_keys, settings.kms_key_in
        """Full names; this installation's first."""
        self._kms = KmsConnection(settings, key=settings.kms_key, remedies=_REMEDIES, unusable=_UNUSABLE)

    async def encrypt(self, plaintext: bytes, name: bytes, *, key: str | None = None) -> Sealed:
        """Encrypts `plaintext` with `name` as associated data, by the primary version of `key`, one of `ServiceSettings.kms_keys` (None:
        the first). Raises Unavailable if KMS does not answer in time, Internal (KMS_KEY_UNUSABLE) for a key that is disabled, missing or
        not permitted, InvalidArgument for a plaintext over the limit: 64 KiB, or 8 KiB under an HSM key.
        """
        key = key or self.keys[0]
        request = kms_v1.EncryptRequest(
            name=key,
            plaintext=plaintext,
            plaintext_crc32c=crc32c(plaintext),
            additional_authenticated_data=name,
            additional_authenticated_data_crc32c=crc32c(name),
        )
        try:
            answer = await self._kms.call(self._kms.client.encrypt, request, is_whole=partial(_is_encrypted, key=key))
        except google.InvalidArgument as error:
            if len(plaintext) + len(name) <= MAX_HSM_BYTES:
                raise self._kms.refused(error, _NO_SUCH_USE, key=key) from error
            remedy = f"{len(plaintext)} bytes were refused: a key of protection level SOFTWARE takes {MAX_BYTES}"
            self._kms.log_refusal(error, remedy, key=key)
            raise InvalidArgument(
                "credentials",
                f"are {len(plaintext)} bytes, more than this service's KMS key takes ({MAX_HSM_BYTES} under an HSM key). Leave out what is "
                "not needed, or ask this service's operator for a software key. Nothing was stored.",
            ) from error
        return Sealed(ciphertext=answer.ciphertext, key_version=answer.name)

    async def decrypt(self, ciphertext: bytes, name: bytes, *, key_version: str | None = None) -> bytes:
        """Decrypts what was encrypted with the same `name`. `key_version`: the full name of the version that encrypted it, if it is known;
        it decides which of our keys is used. A key that is not ours is never used: an account that may write the table must not choose the
        key.

        Raises Internal (SEAL_BROKEN) if KMS says that this ciphertext, which arrived whole, does not open with this name; Internal
        (KMS_KEY_UNUSABLE) as `encrypt`, and KeyVersionUnusable for a version that is disabled, destroyed or another key's; Unavailable.
        """
        key = self.key_of(key_version)
        request = kms_v1.DecryptRequest(
            name=key,
            ciphertext=ciphertext,
            ciphertext_crc32c=crc32c(ciphertext),
            additional_authenticated_data=name,
            additional_authenticated_data_crc32c=crc32c(name),
        )
        try:
            answer = await self._kms.call(self._kms.client.decrypt, request, is_whole=_is_decrypted)
        except google.InvalidArgument as error:
            if is_of_another_key(key_version, key):
                raise self._kms.refused(error, _ANOTHER_KEY, key=key, is_version=True) from error
            if _BROKEN not in error.message.lower():
                raise self._kms.refused(error, _NO_SUCH_USE, key=key) from error
            raise Internal("SEAL_BROKEN", "The stored credentials do not open for this tenant. Set them again.") from error
        plaintext: bytes = answer.plaintext
        return plaintext

    def key_of(self, version: str | None) -> str:
        """Our key to which a version (full name) belongs; our first key if it belongs to none, or is None."""
        return next((key for key in self.keys if version_number(version, key) is not None), self.keys[0])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._kms.__aexit__(kind, error, trace)


def _is_encrypted(answer: kms_v1.EncryptResponse, *, key: str) -> bool:
    """True if KMS encrypted what was sent, with our key, and the ciphertext arrived as it was sent."""
    verified = answer.verified_plaintext_crc32c and answer.verified_additional_authenticated_data_crc32c
    ours = version_number(answer.name, key) is not None
    return bool(verified and ours and answer.ciphertext_crc32c == crc32c(answer.ciphertext))


def _is_decrypted(answer: kms_v1.DecryptResponse) -> bool:
    return bool(answer.plaintext_crc32c == crc32c(answer.plaintext))
