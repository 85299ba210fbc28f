"""What the system tests hold answers to."""

import json

import pytest

from tests.support.api.conformance import faults, find_rpc
from tests.support.api.same_shape import shape
from tests.support.attacks.new_log_lines import is_undeclared_refusal

KEY = {"api_key_id": "1", "tenant_id": "acme", "scopes": [], "is_active": True}
ERROR = "type.googleapis.com/google.rpc.ErrorInfo"


def refusal(reason: str) -> dict[str, object]:
    return {"code": 5, "message": "No.", "details": [{"@type": ERROR, "reason": reason, "domain": "convergence"}]}


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/api/v1/pipelines/runs/acme/1?page_size=2", "GetRun"),
        ("GET", "/api/v1/pipelines/runs/acme/1:watch", "WatchRun"),
        ("POST", "/api/v1/pipelines/runs/acme/1:cancel", "CancelRun"),
        ("GET", "/api/v1/tenants/acme/costs/days", "ListCostDays"),
        ("PATCH", "/api/v1/pipelines/runs/acme/1", ""),
        ("GET", "/healthz", ""),
    ],
)
def test_a_request_is_known_by_its_path(method: str, path: str, name: str) -> None:
    assert find_rpc(method, path) == name


def test_an_answer_must_be_as_the_document_says() -> None:
    good = {"api_keys": [KEY], "next_page_token": ""}
    assert faults("ListApiKeys", 200, good, "") == []
    for wrong, found in (
        ({"api_keys": []}, "'next_page_token' is a required property"),
        ({**good, "colour": "red"}, "'colour' was unexpected"),
        ({**good, "api_keys": [{**KEY, "is_active": "yes"}]}, "'yes' is not of type 'boolean'"),
    ):
        assert found in "".join(faults("ListApiKeys", 200, wrong, ""))


def test_a_word_must_be_declared() -> None:
    answer = {"pipeline_logging_id": "1", "tenant_id": "acme", "status": "RUNNING", "message": "Started."}
    assert faults("RunPipeline", 200, answer, "") == []
    assert "'PAUSED' is not one of" in "".join(faults("RunPipeline", 200, {**answer, "status": "PAUSED"}, ""))


def test_a_refusal_must_be_declared() -> None:
    assert faults("GetRun", 404, refusal("RUN_NOT_FOUND"), "RUN_NOT_FOUND") == []
    assert "is no declared refusal" in "".join(faults("GetRun", 400, refusal("RUN_HAS_ENDED"), "RUN_HAS_ENDED"))
    assert "this status is not documented" in "".join(faults("GetRun", 409, refusal("RUN_NOT_FOUND"), "RUN_NOT_FOUND"))
    assert faults("GetRun", 404, {"error": "not found"}, "")


def test_a_logged_refusal_must_be_declared() -> None:
    def line(reason: str | None, rpc: str = "GetRun") -> str:
        return json.dumps({"event": "rpc", "rpc": f"/convergence.executor.v1.PipelineService/{rpc}", "reason": reason})

    assert is_undeclared_refusal(line("RUN_HAS_ENDED"))
    assert not any(map(is_undeclared_refusal, (line("RUN_NOT_FOUND"), line(None), line("RUN_HAS_ENDED", "Reserve"), "not JSON")))


def test_shapes_differ_by_fields_types_and_words() -> None:
    value = {"runs": [{"status": "RUNNING", "rows": 1}, {"status": "FAILED"}], "token": ""}
    assert shape(value) == shape({"token": "x", "runs": [{"status": "FAILED", "rows": 2}, {"status": "RUNNING"}]})
    for other in ({**value, "more": 1}, {**value, "token": 1}, {"runs": [{"status": "RUNNING", "rows": 1}], "token": ""}):
        assert shape(value) != shape(other)
