"""Encrypts and decrypts secrets with Cloud KMS. The service's IAM role decides which of the two it may do: credentials encrypts, the
executor decrypts. CRC32C is checked both ways ("Verifying end-to-end data integrity" in KMS's documentation).
"""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import google_crc32c
import grpc
import structlog
from google.api_core import exceptions as google
from google.cloud import kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcAsyncIOTransport

from services.platform.backoff import backoff
from services.platform.errors import Internal, InvalidArgument, Unavailable
from services.platform.settings import ServiceSettings

MAX_BYTES, MAX_HSM_BYTES = 64 * 1024, 8 * 1024
"""Bytes of a plaintext under a software key; of plaintext and associated data together under an HSM key (KMS reference, EncryptRequest)."""

_TRANSIENT = (google.ServiceUnavailable, google.DeadlineExceeded, google.InternalServerError, google.ResourceExhausted, TimeoutError)
_UNUSABLE: dict[type[google.GoogleAPICallError], str] = {
    google.FailedPrecondition: "enable the key's version, or make an enabled version its primary; a destroyed one opens nothing any more",
    google.PermissionDenied: "grant this service's account cloudkms.cryptoKeyEncrypter (credentials) or cryptoKeyDecrypter (executor)",
    google.Unauthenticated: "give this service the credentials of a service account",
    google.NotFound: "set CONVERGENCE_KMS_KEY to the full name of a key that exists",
}
"""Errors that last until the operator acts, and what to do."""
# Without these, a channel that lost its server waits up to two minutes before it reconnects.
_RECONNECT = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000))
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """A ciphertext, and the key version that encrypted it."""

    ciphertext: bytes = field(repr=False)
    key_version: str


class Kms:
    """A process's KMS client."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._key = settings.kms_key
        self._deadline = settings.kms_deadline_seconds
        self._channel: grpc.aio.Channel | None = None
        if settings.kms_emulator_host:
            self._channel = grpc.aio.insecure_channel(settings.kms_emulator_host, options=_RECONNECT)
            transport: Any = KeyManagementServiceGrpcAsyncIOTransport(channel=self._channel)
            self._client = kms_v1.KeyManagementServiceAsyncClient(transport=transport)
        else:
            self._client = kms_v1.KeyManagementServiceAsyncClient()

    async def encrypt(self, plaintext: bytes, name: bytes) -> Sealed:
        """Encrypts `plaintext` with `name` as associated data. Raises Unavailable if KMS does not answer in time, Internal
        (KMS_KEY_UNUSABLE) for a key that is disabled, missing or not permitted, InvalidArgument for a plaintext over the limit: 64 KiB, or
        8 KiB under an HSM key.
        """
        request = kms_v1.EncryptRequest(
            name=self._key,
            plaintext=plaintext,
            plaintext_crc32c=_crc32c(plaintext),
            additional_authenticated_data=name,
            additional_authenticated_data_crc32c=_crc32c(name),
        )
        try:
            answer = await self._call(self._client.encrypt, request)
        except google.InvalidArgument as error:
            if len(plaintext) + len(name) <= MAX_HSM_BYTES:
                raise
            self._log_refusal(error, f"{len(plaintext)} bytes were refused: a key of protection level SOFTWARE takes {MAX_BYTES}")
            raise InvalidArgument(
                "credentials",
                f"are {len(plaintext)} bytes, more than this service's KMS key takes ({MAX_HSM_BYTES} under an HSM key). Leave out what is "
                "not needed, or ask this service's operator for a software key. Nothing was stored.",
            ) from error
        if not (answer.verified_plaintext_crc32c and answer.verified_additional_authenticated_data_crc32c):
            raise _garbled()
        if answer.ciphertext_crc32c != _crc32c(answer.ciphertext):
            raise _garbled()
        return Sealed(ciphertext=answer.ciphertext, key_version=answer.name)

    async def decrypt(self, ciphertext: bytes, name: bytes) -> bytes:
        """Decrypts what was encrypted with the same `name`. Raises Internal (SEAL_BROKEN) if it was not, else as `encrypt`."""
        request = kms_v1.DecryptRequest(
            name=self._key,
            ciphertext=ciphertext,
            ciphertext_crc32c=_crc32c(ciphertext),
            additional_authenticated_data=name,
            additional_authenticated_data_crc32c=_crc32c(name),
        )
        try:
            answer = await self._call(self._client.decrypt, request)
        except google.InvalidArgument as error:
            raise Internal("SEAL_BROKEN", "The stored credentials do not open for this tenant. Set them again.") from error
        if answer.plaintext_crc32c != _crc32c(answer.plaintext):
            raise _garbled()
        plaintext: bytes = answer.plaintext
        return plaintext

    async def _call(self, method: Any, request: Any) -> Any:
        deadline = asyncio.get_running_loop().time() + self._deadline
        for wait in backoff():
            left = deadline - asyncio.get_running_loop().time()
            try:
                return await method(request, timeout=max(0.1, left), retry=None)
            except tuple(_UNUSABLE) as error:
                self._log_refusal(error, _UNUSABLE[type(error)])
                raise Internal(
                    "KMS_KEY_UNUSABLE",
                    "The key that encrypts credentials cannot be used at the moment, and nothing was changed. Tell the operator: "
                    "the log says why as kms_refused. If the key is gone for good, set the credentials again once there is a new one.",
                ) from error
            except (*_TRANSIENT, google.InvalidArgument) as error:
                if not isinstance(error, _TRANSIENT) and not _is_damage(error):
                    raise
                if left - wait <= 0:
                    _log.warning("kms_unavailable", error=type(error).__name__)
                    raise Unavailable(
                        "KMS_UNAVAILABLE",
                        "KMS does not answer. Try again in a moment.",
                        retry_after=timedelta(seconds=5),
                    ) from error
            await asyncio.sleep(wait)
        raise AssertionError("backoff never ends")

    def _log_refusal(self, error: google.GoogleAPICallError, remedy: str) -> None:
        """Logs it for the operator. KMS's text names keys, versions and permissions, never the plaintext."""
        _log.error("kms_refused", cause=type(error).__name__, key=self._key, kms_says=error.message, remedy=remedy)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._client.transport.close()  # type: ignore[no-untyped-call]


def _crc32c(data: bytes) -> int:
    value: int = google_crc32c.value(data)
    return value


def _is_damage(error: google.GoogleAPICallError) -> bool:
    """True if KMS computed another checksum than we sent. KMS has no code of its own for that."""
    return "crc32c" in error.message.lower() or "checksum" in error.message.lower()


def _garbled() -> Unavailable:
    return Unavailable("KMS_UNAVAILABLE", "The bytes were damaged on their way to or from KMS. Try again.")
