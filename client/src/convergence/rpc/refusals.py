"""From a gRPC status to an error of ours."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
from convergence.rpc.errors import (
    AlreadyExists,
    ConvergenceError,
    DeadlineExceeded,
    Details,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "convergence"
KINDS: dict[grpc.StatusCode, type[ConvergenceError]] = {
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgument,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.ABORTED: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
    grpc.StatusCode.CANCELLED: ConvergenceError,
}
"""All others are Internal."""


def error_of(refused: Any, request_id: str) -> ConvergenceError:
    """The error of a `grpc.RpcError` or `grpc.aio.AioRpcError`. `request_id` is what was sent; the server's own takes precedence."""
    metadata = {**dict(refused.initial_metadata() or ()), **dict(refused.trailing_metadata() or ())}
    details = details_of(metadata.get("grpc-status-details-bin", b""), metadata.get("x-request-id") or request_id)
    if details.retry_after is None and (seconds := str(metadata.get("retry-after", ""))).isdecimal():
        # The gateway's own refusals have no details, but headers.
        details = replace(details, retry_after=timedelta(seconds=int(seconds)))
    kind = KINDS.get(refused.code(), Internal)
    return ConvergenceError.by_reason.get(details.reason, kind)(refused.details() or refused.code().name, details)


def details_of(status: bytes, request_id: str) -> Details:
    """What a serialized `google.rpc.Status` says. Of an ErrorInfo of another domain, e.g. a proxy's, nothing is taken."""
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry, request = error_details_pb2.RetryInfo(), error_details_pb2.RequestInfo()
    try:
        details = status_pb2.Status.FromString(status).details
    except DecodeError:
        return Details(request_id=request_id)
    for detail in details:
        for message in (info, bad, retry, request):
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)
    ours = info.domain == DOMAIN
    delay: timedelta | None = retry.retry_delay.ToTimedelta() if retry.HasField("retry_delay") else None
    return Details(
        reason=info.reason if ours else "",
        metadata=dict(info.metadata) if ours else {},
        field_violations=tuple(FieldViolation(field=v.field, description=v.description) for v in bad.field_violations),
        retry_after=delay,
        request_id=request.request_id or request_id,
    )
