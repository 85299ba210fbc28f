"""The error tree, and the one table from reasons to gRPC codes.

    ConvergenceError
    ├── Unauthenticated      the caller is not authenticated     401
    ├── PermissionDenied     known, but not allowed              403
    ├── NotFound             no such resource                    404
    ├── InvalidArgument      a bad field, which it names         400
    ├── AlreadyExists        it exists already; names it         409
    ├── FailedPrecondition   another step is needed first        400
    ├── ResourceExhausted    a limit; says when to retry         429
    ├── Unavailable          a dependency is down; retry         503
    ├── DeadlineExceeded     the caller's deadline passed         504
    └── Internal             a bug, or broken data               500

On the wire they are `google.rpc.Status` with `ErrorInfo` (AIP-193). `from_rpc` turns a peer's status back into the same error, so it
reaches the first caller unchanged. Messages say what to do next and never contain a secret or another system's text.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

import grpc
from convergence.errors.v1.error_reason_pb2 import ErrorReason
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

DOMAIN = "convergence"
PREFIX = "ERROR_REASON_"


class ConvergenceError(Exception):
    """An error for a caller. `reason` is a name of `ErrorReason` without its prefix; `metadata` holds facts for machines."""

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    usual_wait: ClassVar[timedelta | None] = None
    """The default of `retry_after`."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        field: str | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        """Raises ValueError for a reason that is not in the proto, or that belongs to another class."""
        ErrorReason.Value(PREFIX + reason)
        if not isinstance(self, REASONS.get(reason, ConvergenceError)):
            raise ValueError(f"{reason} is not a reason of {type(self).__name__}")  # noqa: TRY004 - a value, not a type, is wrong
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.field = field
        self.retry_after = self.usual_wait if retry_after is None else retry_after


class Unauthenticated(ConvergenceError):
    """The caller is not authenticated."""

    code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDenied(ConvergenceError):
    """The caller is authenticated but may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED


class NotFound(ConvergenceError):
    """The resource does not exist, or the caller may not see it."""

    code = grpc.StatusCode.NOT_FOUND


class InvalidArgument(ConvergenceError):
    """A field is missing or bad."""

    code = grpc.StatusCode.INVALID_ARGUMENT

    def __init__(self, field: str, message: str) -> None:
        """`field` is the path as the caller wrote it, e.g. `parameters.date`; `message` says what the field takes."""
        super().__init__("BAD_FIELD", f"{field}: {message}", metadata={"field": field}, field=field)


class AlreadyExists(ConvergenceError):
    """A resource of this identity exists already; `metadata` names it."""

    code = grpc.StatusCode.ALREADY_EXISTS


class FailedPrecondition(ConvergenceError):
    """Another step is needed first."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class ResourceExhausted(ConvergenceError):
    """A limit is reached; `retry_after` says when to retry, None that waiting does not help."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unavailable(ConvergenceError):
    """A dependency does not answer. Nothing is half-written; the call may be repeated."""

    code = grpc.StatusCode.UNAVAILABLE
    usual_wait = timedelta(seconds=2)


class DeadlineExceeded(ConvergenceError):
    """The caller's own deadline passed. The call may have taken effect."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class Internal(ConvergenceError):
    """A bug, or corrupt data."""


REASONS: dict[str, type[ConvergenceError]] = {
    "API_KEY_MISSING": Unauthenticated,
    "API_KEY_INVALID": Unauthenticated,
    "ADMIN_KEY_MISSING": Unauthenticated,
    "ADMIN_KEY_INVALID": Unauthenticated,
    "ADMIN_ROLE_DENIED": PermissionDenied,
    "TENANT_MISMATCH": PermissionDenied,
    "TENANT_NOT_ACTIVE": PermissionDenied,
    "SUBSCRIPTION_NOT_ACTIVE": PermissionDenied,
    "CALLER_DENIED": PermissionDenied,
    "SCOPE_MISSING": PermissionDenied,
    "TOO_MANY_FAILED_ATTEMPTS": ResourceExhausted,
    "BAD_FIELD": InvalidArgument,
    "TENANT_NOT_FOUND": NotFound,
    "API_KEY_NOT_FOUND": NotFound,
    "CREDENTIALS_NOT_FOUND": NotFound,
    "TEMPLATE_NOT_FOUND": NotFound,
    "RUN_NOT_FOUND": NotFound,
    "SCHEDULE_NOT_FOUND": NotFound,
    "SCHEDULED_RUN_NOT_FOUND": NotFound,
    "CREDENTIALS_MISSING": FailedPrecondition,
    "FEDERATION_OFF": FailedPrecondition,
    "CREDENTIALS_NOT_FEDERATED": FailedPrecondition,
    "RUN_NOT_RETRYABLE": FailedPrecondition,
    "API_KEY_NOT_ACTIVE": FailedPrecondition,
    "RUN_HAS_ENDED": FailedPrecondition,
    "COSTS_TOO_LARGE": FailedPrecondition,
    "CREDENTIALS_REFUSED": FailedPrecondition,
    "ACCESS_LACKING": FailedPrecondition,
    "ACCESS_OPEN": FailedPrecondition,
    "RUN_OVERLAPS": AlreadyExists,
    "DATASET_NOT_OURS": FailedPrecondition,
    "DAILY_LIMIT_REACHED": ResourceExhausted,
    "MONTHLY_LIMIT_REACHED": ResourceExhausted,
    "MONTHLY_COST_LIMIT_REACHED": ResourceExhausted,
    "CONCURRENT_LIMIT_REACHED": ResourceExhausted,
    "CHECK_RUNNING": ResourceExhausted,
    "RATE_LIMITED": ResourceExhausted,
    "QUEUE_LIMIT_REACHED": ResourceExhausted,
    "WATCH_LIMIT_REACHED": ResourceExhausted,
    "SCHEDULE_LIMIT_REACHED": FailedPrecondition,
    "SESSION_TOKENS_OFF": FailedPrecondition,
    "IDEMPOTENCY_KEY_REUSED": FailedPrecondition,
    "TEMPLATE_BROKEN": FailedPrecondition,
    "TENANT_OFFBOARDED": FailedPrecondition,
    "LOCATION_FIXED": FailedPrecondition,
    "EXPORT_REFUSED": FailedPrecondition,
    "NOT_A_NOTIFICATION_TARGET": FailedPrecondition,
    "TOKEN_INVALID": Unauthenticated,
    "BIGQUERY_UNAVAILABLE": Unavailable,
    "CLOUD_UNAVAILABLE": Unavailable,
    "KMS_UNAVAILABLE": Unavailable,
    "SERVICE_UNAVAILABLE": Unavailable,
    "SERVICE_TIMEOUT": DeadlineExceeded,
    "SEAL_BROKEN": Internal,
    "KMS_KEY_UNUSABLE": Internal,
    "INTERNAL": Internal,
}

# Raised by the gateway only, before a call reaches a service.
GATEWAY_REASONS = frozenset(
    {
        "REQUEST_MALFORMED",
        "PATH_NOT_FOUND",
        "REQUEST_TIMEOUT",
        "BODY_TOO_LARGE",
        "HEADERS_TOO_LARGE",
        "CONTENT_ENCODING_NOT_SUPPORTED",
        "METHOD_NOT_ALLOWED",
        "GATEWAY_OVERLOADED",
        "ORIGIN_NOT_ALLOWED",
    }
)


def to_status(error: ConvergenceError, request_id: str = "") -> status_pb2.Status:
    """The error as sent on the wire, with the request id that the logs carry."""
    status = status_pb2.Status(code=error.code.value[0], message=error.message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata))
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.message)
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromTimedelta(error.retry_after)
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    if request_id:
        status.details.add().Pack(error_details_pb2.RequestInfo(request_id=request_id))
    return status


def no_such_tenant(tenant_id: str) -> NotFound:
    """The error of a call that reads or changes a tenant that does not exist: its id is probably mistyped."""
    return NotFound("TENANT_NOT_FOUND", f"There is no tenant {tenant_id}. GET /api/v1/tenants lists those that exist.")


def not_provisioned(tenant_id: str) -> NotFound:
    """The error of a call that makes something for a tenant that does not exist: it is probably made too early."""
    return NotFound("TENANT_NOT_FOUND", f"There is no tenant {tenant_id} yet. Provision it with PUT /api/v1/tenants/{tenant_id} first.")


def from_rpc(call: grpc.aio.AioRpcError, peer: str) -> ConvergenceError:
    """A peer's status as the error that it raised. No answer, or none within our deadline, is UNAVAILABLE; an unexpected error of the peer
    is INTERNAL.
    """
    status = rpc_status.from_call(call)
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details if status else ():
        for message in (info, bad, retry):
            detail.Unpack(message)
    if info.domain == DOMAIN and info.reason in REASONS and call.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
        if bad.field_violations:
            field = bad.field_violations[0].field
            return InvalidArgument(field, call.details().removeprefix(f"{field}: ") if call.details() else "")
        after = retry.retry_delay.ToTimedelta() if retry.HasField("retry_delay") else None
        return REASONS[info.reason](info.reason, call.details() or "", metadata=info.metadata, retry_after=after)
    # UNKNOWN is gRPC's own word for a connection that broke in the middle of an answer: our services never say it.
    broken = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN}
    if call.code() in broken:
        return Unavailable("SERVICE_UNAVAILABLE", f"The {peer} service does not answer. Try again in a moment.")
    return Internal("INTERNAL", f"The {peer} service gave no usable answer ({call.code().name}).")
