"""A connection to Cloud KMS: calls with retries until a deadline, and the errors that callers get."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import google_crc32c
import grpc
import structlog
from google.api_core import exceptions as google
from google.cloud import kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcAsyncIOTransport
from opentelemetry.trace import SpanKind

from services.platform.backoff import backoff
from services.platform.errors import Internal, Unavailable
from services.platform.metrics.process import kms_call
from services.platform.settings import ServiceSettings
from services.platform.tracing import calls, tracer

type Remedies = Mapping[type[google.GoogleAPICallError], str]
"""Errors that last until the operator acts, and what to do."""

_TRANSIENT = (
    *(google.ServiceUnavailable, google.DeadlineExceeded, google.InternalServerError, google.ResourceExhausted),
    *(google.Aborted, google.Cancelled, google.Unknown, google.DataLoss),
)
_ANY_OTHER = "see kms_says; nothing that this service does on its own ends it"
# Without these, a channel that lost its server waits up to two minutes before it reconnects.
_RECONNECT = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000))
_log = structlog.get_logger()


class KeyVersionUnusable(Internal):
    """The version is disabled or destroyed, or it is another key's (KMS_KEY_UNUSABLE). What other versions encrypted may still open."""


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

    async def call(self, method: Any, request: Any, *, is_whole: Callable[[Any], bool] = lambda _: True) -> Any:
        """The answer to one of the client's methods. `is_whole`: True if the answer's checksums and names are right. Otherwise the answer
        was damaged on its way, and the call is repeated.

        Raises Unavailable (KMS_UNAVAILABLE) if there is none in time, Internal (KMS_KEY_UNUSABLE; KeyVersionUnusable for a version's
        state) for an error that lasts, and InvalidArgument of the client unless there is a remedy for it.
        """
        # The client's methods are named as the RPCs, in lower case: `asymmetric_sign`.
        rpc = method.__name__.title().replace("_", "")
        name, attributes = calls.of_rpc(f"google.cloud.kms.v1.KeyManagementService/{rpc}")
        with tracer.span(name, attributes, kind=SpanKind.CLIENT):
            return await self._call(method, request, is_whole)

    async def _call(self, method: Any, request: Any, is_whole: Callable[[Any], bool]) -> Any:
        deadline = asyncio.get_running_loop().time() + self._deadline
        for wait in backoff():
            left = deadline - asyncio.get_running_loop().time()
            failure: Exception | None = None
            try:
                with kms_call(getattr(method, "__name__", "call")) as counted:
                    answer = await method(request, timeout=max(0.1, left), retry=None)
                    if is_whole(answer):
                        return answer
                    counted.code = "DATA_LOSS"
            except TimeoutError as error:
                failure = error
            except google.GoogleAPICallError as error:
                if not _may_pass(error):
                    if isinstance(error, google.InvalidArgument) and google.InvalidArgument not in self._remedies:
                        raise
                    raise self.refused(error, key=getattr(request, "name", "")) from error
                failure = error
            if left - wait <= 0:
                _log.warning("kms_unavailable", error=type(failure).__name__ if failure else "damaged")
                message = "KMS does not answer." if failure else "The bytes were damaged on their way to or from KMS."
                raise Unavailable("KMS_UNAVAILABLE", f"{message} Try again in a moment.", retry_after=timedelta(seconds=5)) from failure
            await asyncio.sleep(wait)
        raise AssertionError("backoff never ends")

    def refused(self, error: google.GoogleAPICallError, remedy: str = "", *, key: str = "", is_version: bool = False) -> Internal:
        """The error for a caller whom only the operator can help; logs it. `remedy`: empty: the remedy for this kind of error. `key`: the
        key's name, if it may not be the connection's. `is_version`: the error concerns only one version, as a FailedPrecondition does.
        """
        self.log_refusal(error, remedy or self._remedies.get(type(error), _ANY_OTHER), key=key)
        kind = KeyVersionUnusable if is_version or isinstance(error, google.FailedPrecondition) else Internal
        return kind("KMS_KEY_UNUSABLE", self._unusable)

    def log_refusal(self, error: google.GoogleAPICallError, remedy: str, *, key: str = "") -> None:
        """Logs it for the operator. KMS's text names keys, versions and permissions, never the plaintext."""
        _log.error("kms_refused", cause=type(error).__name__, key=key or self._key, kms_says=error.message, remedy=remedy)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.client.transport.close()  # type: ignore[no-untyped-call]


def crc32c(data: bytes) -> int:
    """The checksum that KMS's `*_crc32c` fields hold."""
    value: int = google_crc32c.value(data)
    return value


def _may_pass(error: google.GoogleAPICallError) -> bool:
    return isinstance(error, _TRANSIENT) or (isinstance(error, google.InvalidArgument) and _is_damage(error))


def _is_damage(error: google.GoogleAPICallError) -> bool:
    """True if KMS computed another checksum than we sent. KMS has no code of its own for that."""
    return "crc32c" in error.message.lower() or "checksum" in error.message.lower()
