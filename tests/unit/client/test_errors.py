"""Errors by reason: as the services send them, as a class, with all that came along."""

import pickle

import pytest
from convergence.api import reasons
from convergence.client import errors
from convergence.errors.v1.error_reason_pb2 import ErrorReason
from convergence.executor.v1 import run_pb2

from services.platform import errors as service
from tests.unit.client.conftest import Caller
from tests.unit.client.scripted import Refusal
from tools.client_code.reasons import SAME, UNUSED, class_name

REASONS = [name.removeprefix(service.PREFIX) for name in ErrorReason.keys()[1:]]
GATEWAY = {
    "REQUEST_MALFORMED": "InvalidArgument",
    "PATH_NOT_FOUND": "NotFound",
    "REQUEST_TIMEOUT": "DeadlineExceeded",
    "BODY_TOO_LARGE": "InvalidArgument",
    "HEADERS_TOO_LARGE": "InvalidArgument",
    "CONTENT_ENCODING_NOT_SUPPORTED": "InvalidArgument",
    "METHOD_NOT_ALLOWED": "InvalidArgument",
    "GATEWAY_OVERLOADED": "Unavailable",
    "ORIGIN_NOT_ALLOWED": "PermissionDenied",
}


@pytest.mark.parametrize("reason", sorted(set(REASONS) - UNUSED - SAME))
def test_each_reason_has_a_class_of_the_suite_s_kind(reason: str) -> None:
    cls = getattr(errors, class_name(reason))
    kind = GATEWAY.get(reason) or service.REASONS[reason].__name__
    assert cls.__mro__[1] is getattr(errors, kind)
    assert errors.ConvergenceError.by_reason[reason] is cls
    assert cls.__doc__


def test_the_gateway_s_reasons_are_those_that_the_suite_says() -> None:
    assert set(GATEWAY) == service.GATEWAY_REASONS
    assert set(errors.ConvergenceError.by_reason) == set(REASONS) - UNUSED - SAME
    assert set(reasons.__all__) < set(errors.__all__)


async def test_an_error_has_all_that_came_with_it(caller: Caller) -> None:
    error = service.AlreadyExists("RUN_OVERLAPS", "Another run covers the day.", metadata={"pipeline_logging_id": "run-7"})
    caller.script.on("RunPipeline", Refusal(error=error))
    with pytest.raises(errors.RunOverlaps) as raised:
        await caller.call(lambda client: client.pipelines.run("gcp/cost/billing"))
    found = raised.value
    assert (found.reason, found.message, found.request_id) == ("RUN_OVERLAPS", "Another run covers the day.", "r-1")
    assert found.metadata == {"pipeline_logging_id": "run-7"}
    assert str(found) == "Another run covers the day. (reason RUN_OVERLAPS, request r-1)"
    again = pickle.loads(pickle.dumps(found))
    assert (type(again), again.metadata, again.request_id, str(again)) == (errors.RunOverlaps, found.metadata, "r-1", str(found))


async def test_a_bad_field_is_named(caller: Caller) -> None:
    caller.script.on("RunPipeline", Refusal(error=service.InvalidArgument("parameters.date", "takes YYYY-MM-DD.")))
    with pytest.raises(errors.BadField) as raised:
        await caller.call(lambda client: client.pipelines.run("gcp/cost/billing", {"date": "soon"}))
    [violation] = raised.value.field_violations
    assert (violation.field, violation.description) == ("parameters.date", "parameters.date: takes YYYY-MM-DD.")


async def test_a_reason_that_is_newer_than_the_client_is_its_kind(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(errors.ConvergenceError.by_reason, "RUN_NOT_FOUND")
    caller.script.on("GetRun", Refusal(error=service.NotFound("RUN_NOT_FOUND", "No such run.")))
    with pytest.raises(errors.NotFound) as raised:
        await caller.call(lambda client: client.runs.get("run-1"))
    assert (type(raised.value), raised.value.reason) == (errors.NotFound, "RUN_NOT_FOUND")


async def test_no_answer_at_all_still_has_the_request_s_id(caller: Caller) -> None:
    caller.script.on("CreateApiKey", Refusal())
    with pytest.raises(errors.Unavailable) as raised:
        await caller.call(lambda client: client.keys.create())
    sent = caller.script.sent["CreateApiKey"][0].metadata["x-request-id"]
    assert (raised.value.reason, raised.value.request_id) == ("", sent)


async def test_details_that_cannot_be_read_do_not_hide_the_refusal(caller: Caller) -> None:
    caller.script.on("CreateApiKey", Refusal(trailers=(("grpc-status-details-bin", b"\xff\xff"),)))
    with pytest.raises(errors.Unavailable, match="no answer"):
        await caller.call(lambda client: client.keys.create())


def test_a_failed_run_is_an_error_with_the_run() -> None:
    failed = errors.RunFailed(run_pb2.Run(pipeline_logging_id="run-1", pipeline_id="acme-gcp", status="FAILED", error_message="No export."))
    assert str(failed) == "Run run-1 of acme-gcp is FAILED: No export."
    assert pickle.loads(pickle.dumps(failed)).run == failed.run
