"""Why a call may be refused: the document, the protos and the services agree."""

import re
from functools import cache
from typing import Any

from grpc import StatusCode

from gateway.refusals import REFUSALS
from services.platform.errors import GATEWAY_REASONS, REASONS
from tools.openapi.document import openapi
from tools.openapi.protos import ROOT, Protos, read_descriptors
from tools.openapi.refusals import NEVER_SENT, refusals, statuses

HTTP = {
    StatusCode.UNAUTHENTICATED: 401,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.NOT_FOUND: 404,
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.FAILED_PRECONDITION: 400,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DEADLINE_EXCEEDED: 504,
    StatusCode.INTERNAL: 500,
}
"""The status that Envoy makes of a code."""


@cache
def protos() -> Protos:
    return Protos.of(read_descriptors())


@cache
def operations() -> dict[str, Any]:
    paths = openapi(read_descriptors())["paths"].values()
    return {operation["operationId"]: operation for path in paths for operation in path.values()}


def sent() -> set[str]:
    """The reasons that the services' code names."""
    texts = [path.read_text() for path in (ROOT / "services").rglob("*.py") if path.name != "errors.py"]
    named = {reason for text in texts for reason in re.findall(r'"([A-Z]+(?:_[A-Z]+)*)"', text)}
    named |= {"BAD_FIELD"} if any("InvalidArgument(" in text for text in texts) else set()
    return (named | {f"{limit}_LIMIT_REACHED" for limit in named}) & set(REASONS)


def test_each_reason_says_its_status_as_it_is_sent() -> None:
    found = statuses(protos())
    assert {reason for reason, codes in found.items() if not codes} == set(NEVER_SENT)
    for reason, kind in REASONS.items():
        if reason not in NEVER_SENT:
            assert HTTP[kind.code] in found[reason], reason
    for refusal in REFUSALS:
        if refusal.reason in GATEWAY_REASONS:
            assert refusal.http in found[refusal.reason], refusal


def test_no_reason_is_declared_that_no_code_sends() -> None:
    declared = {reason for rpc in protos().rpcs for reason in refusals(rpc)}
    assert declared - sent() - GATEWAY_REASONS == set()


def test_every_reason_that_is_sent_is_declared_of_a_call() -> None:
    declared = {reason for rpc in protos().rpcs for reason in refusals(rpc)}
    to_peers_only = {"CREDENTIALS_NOT_FEDERATED"}
    assert set(REASONS) - declared - set(NEVER_SENT) == to_peers_only


def test_each_call_lists_its_statuses_with_an_example_of_each_reason() -> None:
    shown = operations()["GetRun"]["responses"]
    assert {"400", "401", "403", "404", "429", "503", "504"} <= set(shown)
    assert set(shown["404"]["content"]["application/json"]["examples"]) == {"RUN_NOT_FOUND", "PATH_NOT_FOUND"}
    assert "409" not in shown
    assert "409" in operations()["RunPipeline"]["responses"]


def test_when_to_retry_is_a_header() -> None:
    for operation in operations().values():
        assert operation["responses"]["429"]["headers"]["Retry-After"] == {"$ref": "#/components/headers/RetryAfter"}
        assert operation["responses"]["503"]["headers"]["Retry-After"] == {"$ref": "#/components/headers/RetryAfterAlways"}
