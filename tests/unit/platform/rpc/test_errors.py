"""The error table: every reason has a class, a code, and survives the wire."""

from datetime import timedelta

import grpc
import pytest
from convergence.errors.v1.error_reason_pb2 import ErrorReason
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from gateway.refusals import REFUSALS
from services.platform.errors import (
    GATEWAY_REASONS,
    PREFIX,
    REASONS,
    ConvergenceError,
    DeadlineExceeded,
    InvalidArgument,
    Unavailable,
    from_rpc,
    to_status,
)


def over_the_wire(error: ConvergenceError) -> ConvergenceError:
    status = rpc_status.to_status(to_status(error, "request-1"))
    call = grpc.aio.AioRpcError(status.code, grpc.aio.Metadata(), grpc.aio.Metadata(*status.trailing_metadata), details=status.details)
    return from_rpc(call, "auth")


def test_every_reason_of_the_proto_has_a_class_and_no_other() -> None:
    assert {PREFIX + reason for reason in (*REASONS, *GATEWAY_REASONS)} == set(ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}


def test_the_gateways_own_refusals_have_reasons_of_the_proto() -> None:
    its = {refusal.reason for refusal in REFUSALS if refusal.http != 401}
    assert its == GATEWAY_REASONS | {"SERVICE_UNAVAILABLE", "SERVICE_TIMEOUT", "RATE_LIMITED"}


@pytest.mark.parametrize("reason", [reason for reason in REASONS if reason not in {"BAD_FIELD", "SERVICE_TIMEOUT"}])
def test_an_error_is_the_same_after_it_crossed_a_service(reason: str) -> None:
    error = REASONS[reason](reason, "Do this next.", metadata={"tenant_id": "acme"}, retry_after=timedelta(seconds=7))
    again = over_the_wire(error)
    assert (type(again), again.reason, again.message, again.metadata, again.retry_after) == (
        type(error),
        reason,
        "Do this next.",
        {"tenant_id": "acme"},
        timedelta(seconds=7),
    )


def test_a_bad_field_keeps_its_name() -> None:
    again = over_the_wire(InvalidArgument("parameters.date", "use YYYY-MM-DD."))
    assert (type(again), again.field, again.message) == (InvalidArgument, "parameters.date", "parameters.date: use YYYY-MM-DD.")


def test_details_are_what_aip_193_asks_for() -> None:
    status = to_status(InvalidArgument("provider", "use GCP, AWS or AZURE."), "request-1")
    info, bad, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RequestInfo()
    assert [status.details[n].Unpack(kind) for n, kind in enumerate((info, bad, request))] == [True] * 3
    assert (info.reason, info.domain, bad.field_violations[0].field, request.request_id) == (
        "BAD_FIELD",
        "convergence",
        "provider",
        "request-1",
    )


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
def test_a_peer_that_does_not_answer_is_unavailable(code: grpc.StatusCode) -> None:
    error = from_rpc(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details="tcp stack trace"), "auth")
    assert isinstance(error, Unavailable)
    assert "tcp" not in error.message


def test_a_reason_belongs_to_its_class() -> None:
    with pytest.raises(ValueError, match="is not a reason of"):
        Unavailable("API_KEY_MISSING", "no")


def test_a_peer_that_was_too_slow_for_us_is_unavailable_to_our_caller_who_would_have_waited() -> None:
    error = over_the_wire(DeadlineExceeded("SERVICE_TIMEOUT", "This took longer than you wait."))
    assert (type(error), error.reason) == (Unavailable, "SERVICE_UNAVAILABLE")
    assert error.retry_after is not None
