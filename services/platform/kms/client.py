"""Encrypts and decrypts secrets with Cloud KMS. The service's IAM role decides which of the two it may do: credentials encrypts, the
executor decrypts. CRC32C is checked both ways ("Verifying end-to-end data integrity" in KMS's documentation).
"""

from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from google.api_core import exceptions as google
from google.cloud import kms_v1

from services.platform.errors import Internal, InvalidArgument
from services.platform.kms.connection import KmsConnection, Remedies, crc32c, damaged
from services.platform.settings import ServiceSettings

MAX_BYTES, MAX_HSM_BYTES = 64 * 1024, 8 * 1024
"""Bytes of a plaintext under a software key; of plaintext and associated data together under an HSM key (KMS reference, EncryptRequest)."""

_REMEDIES: Remedies = {
    google.FailedPrecondition: "enable the key's version, or make an enabled version its primary; a destroyed one opens nothing any more",
    google.PermissionDenied: "grant this service's account cloudkms.cryptoKeyEncrypter (credentials) or cryptoKeyDecrypter (executor)",
    google.Unauthenticated: "give this service the credentials of a service account",
    google.NotFound: "set CONVERGENCE_KMS_KEY to the full name of a key that exists",
}
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
        self._key = settings.kms_key
        self._kms = KmsConnection(settings, key=self._key, remedies=_REMEDIES, unusable=_UNUSABLE)

    async def encrypt(self, plaintext: bytes, name: bytes) -> Sealed:
        """Encrypts `plaintext` with `name` as associated data. Raises Unavailable if KMS does not answer in time, Internal
        (KMS_KEY_UNUSABLE) for a key that is disabled, missing or not permitted, InvalidArgument for a plaintext over the limit: 64 KiB, or
        8 KiB under an HSM key.
        """
        request = kms_v1.EncryptRequest(
            name=self._key,
            plaintext=plaintext,
            plaintext_crc32c=crc32c(plaintext),
            additional_authenticated_data=name,
            additional_authenticated_data_crc32c=crc32c(name),
        )
        try:
            answer = await self._kms.call(self._kms.client.encrypt, request)
        except google.InvalidArgument as error:
            if len(plaintext) + len(name) <= MAX_HSM_BYTES:
                raise
            self._kms.log_refusal(error, f"{len(plaintext)} bytes were refused: a key of protection level SOFTWARE takes {MAX_BYTES}")
            raise InvalidArgument(
                "credentials",
                f"are {len(plaintext)} bytes, more than this service's KMS key takes ({MAX_HSM_BYTES} under an HSM key). Leave out what is "
                "not needed, or ask this service's operator for a software key. Nothing was stored.",
            ) from error
        if not (answer.verified_plaintext_crc32c and answer.verified_additional_authenticated_data_crc32c):
            raise damaged()
        if answer.ciphertext_crc32c != crc32c(answer.ciphertext):
            raise damaged()
        return Sealed(ciphertext=answer.ciphertext, key_version=answer.name)

    async def decrypt(self, ciphertext: bytes, name: bytes) -> bytes:
        """Decrypts what was encrypted with the same `name`. Raises Internal (SEAL_BROKEN) if it was not, else as `encrypt`."""
        request = kms_v1.DecryptRequest(
            name=self._key,
            ciphertext=ciphertext,
            ciphertext_crc32c=crc32c(ciphertext),
            additional_authenticated_data=name,
            additional_authenticated_data_crc32c=crc32c(name),
        )
        try:
            answer = await self._kms.call(self._kms.client.decrypt, request)
        except google.InvalidArgument as error:
            raise Internal("SEAL_BROKEN", "The stored credentials do not open for this tenant. Set them again.") from error
        if answer.plaintext_crc32c != crc32c(answer.plaintext):
            raise damaged()
        plaintext: bytes = answer.plaintext
        return plaintext

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._kms.__aexit__(kind, error, trace)
