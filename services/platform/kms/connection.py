"""A connection to Cloud KMS: calls with retries until a deadline, and the errors that callers get."""

import asyncio
from collections.abc import Mapping
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
from services.platform.errors import Internal, Unavailable
from services.platform.settings import ServiceSettings

type Remedies = Mapping[type[google.GoogleAPICallError], str]
"""Errors that last until the operator acts, and what to do."""

_TRANSIENT = (google.ServiceUnavailable, google.DeadlineExceeded, google.InternalServerError, google.ResourceExhausted, TimeoutError)
# Without these, a channel that lost its server waits up to two minutes before it reconnects.
_RECONNECT = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000))
_log = structlog.get_logger()


class KmsConnection:
    """Google's asynchronous client, or the emulator's at `KMS_EMULATOR_HOST`. An async context manager."""

    def __init__(self, settings: ServiceSettings, *, key: str, remedies: Remedies, unusable: str) -> None:
        """`key`: the name that is logged. `unusable`: the message to a caller when the operator has to act first."""
        self._key, self._remedies, self._unusable = key, remedies, unusable
        self._deadline = settings.kms_deadline_seconds
        if settings.kms_emulator_host:
            channel = grpc.aio.insecure_channel(settings.kms_emulator_host, options=_RECONNECT)
            transport: Any = KeyManagementServiceGrpcAsyncIOTransport(channel=channel)
            self.client = kms_v1.KeyManagementServiceAsyncClient(transport=transport)
        else:
            self.client = kms_v1.KeyManagementServiceAsyncClient()

    async def call(self, method: Any, request: Any) -> Any:
        """The answer to one of the client's methods. Raises Unavailable (KMS_UNAVAILABLE) if there is none in time, Internal
        (KMS_KEY_UNUSABLE) for an error with a remedy, and the client's own error for any other.
        """
        deadline = asyncio.get_running_loop().time() + self._deadline
        for wait in backoff():
            left = deadline - asyncio.get_running_loop().time()
            try:
                return await method(request, timeout=max(0.1, left), retry=None)
            except tuple(self._remedies) as error:
                self.log_refusal(error, self._remedies[type(error)])
                raise Internal("KMS_KEY_UNUSABLE", self._unusable) from error
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

    def log_refusal(self, error: google.GoogleAPICallError, remedy: str) -> None:
        """Logs it for the operator. KMS's text names keys, versions and permissions, never the plaintext."""
        _log.error("kms_refused", cause=type(error).__name__, key=self._key, kms_says=error.message, remedy=remedy)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.client.transport.close()  # type: ignore[no-untyped-call]


def crc32c(data: bytes) -> int:
    """The checksum that KMS's `*_crc32c` fields hold."""
    value: int = google_crc32c.value(data)
    return value


def damaged() -> Unavailable:
    """The error for bytes whose checksum does not match."""
    return Unavailable("KMS_UNAVAILABLE", "The bytes were damaged on their way to or from KMS. Try again.")


def _is_damage(error: google.GoogleAPICallError) -> bool:
    """True if KMS computed another checksum than we sent. KMS has no code of its own for that."""
    return "crc32c" in error.message.lower() or "checksum" in error.message.lower()
