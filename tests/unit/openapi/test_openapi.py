"""The OpenAPI document is valid and matches the protos."""

from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from openapi_spec_validator import OpenAPIV31SpecValidator

from tools.openapi.document import openapi
from tools.openapi.protos import read_descriptors


@pytest.fixture(scope="module")
def descriptors() -> FileDescriptorSet:
    return read_descriptors()


@pytest.fixture(scope="module")
def document(descriptors: FileDescriptorSet) -> dict[str, Any]:
    return openapi(descriptors)


@pytest.fixture(scope="module")
def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {operation["operationId"]: operation for path in document["paths"].values() for operation in path.values()}


def test_it_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_every_rpc_with_a_rest_binding_is_there_and_no_other(operations: dict[str, Any], descriptors: FileDescriptorSet) -> None:
    expected = [
        method.name
        for file in descriptors.file
        for service in file.service
        for method in service.method
        if method.options.HasExtension(annotations_pb2.http)
    ]
    assert sorted(operations) == sorted(expected)


def test_every_call_says_which_key_it_needs(document: dict[str, Any], operations: dict[str, Any]) -> None:
    """From the access rule."""
    security = {name: operation["security"] for name, operation in operations.items()}
    assert security["GetQuota"] == [{"tenant": []}, {"session": []}]
    assert security["PutTenant"] == [{"admin": []}, {"operator": []}]
    assert {name for name, keys in security.items() if not keys} == {"GetOpenIdConfiguration", "GetJsonWebKeySet"}
    assert document["components"]["securitySchemes"]["tenant"]["name"] == "X-API-Key"
    assert "scope `runs:read`" in operations["GetRun"]["description"]


def test_a_call_is_described_as_it_is_made(document: dict[str, Any], operations: dict[str, Any]) -> None:
    """Path, body without what the path holds, required fields, and the types that JSON has for them."""
    body = operations["PutTenant"]["requestBody"]["content"]["application/json"]["schema"]
    assert "tenant_id" not in body["properties"]
    assert body["required"] == ["company_name"]
    assert body["properties"]["daily_limit"]["type"] == "integer"

    run = operations["RunPipeline"]
    assert [one["name"] for one in run["parameters"] if one.get("in") == "path"] == ["tenant_id", "provider", "domain", "template"]

    runs = operations["ListRuns"]
    assert [one["name"] for one in runs["parameters"] if one.get("in") == "query"] == [
        "status",
        "pipeline",
        "date",
        "page_size",
        "page_token",
    ]
    rows = document["components"]["schemas"]["Run"]["properties"]["rows_processed"]
    assert (rows["type"], rows["format"]) == ("string", "int64")


def test_headings_are_short_and_the_rest_is_below(operations: dict[str, Any], document: dict[str, Any]) -> None:
    assert operations["GetRun"]["summary"] == "One run with its steps and the verdicts of its quality checks"
    assert {name: operation["summary"] for name, operation in operations.items() if len(operation["summary"]) > 180} == {}
    assert operations["GetRun"]["tags"] == ["Pipelines"]
    assert {tag["name"]: tag["description"] for tag in document["tags"]}["Pipelines"].startswith("Runs pipelines")


def test_what_is_always_printed_is_required(document: dict[str, Any]) -> None:
    """Of an answer; of a request, what the service requires."""
    schemas = document["components"]["schemas"]
    run = schemas["Run"]
    assert {"status", "attempt", "steps", "days_not_over"} <= set(run["required"])
    assert {"user_id", "started_at", "parameters", "cost_usd"}.isdisjoint(run["required"])
    assert set(run["required"]) < set(run["properties"])


def test_words_are_enums_with_what_each_means(document: dict[str, Any], operations: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["RunStatus"]["enum"] == ["RUNNING", "COMPLETED", "FAILED", "CANCELLED"]
    assert "- `CANCELLED`: It was cancelled" in schemas["RunStatus"]["description"]
    assert schemas["TriggerType"]["enum"] == ["api", "scheduler", "backfill"]
    assert schemas["Run"]["properties"]["status"]["allOf"] == [{"$ref": "#/components/schemas/RunStatus"}]
    either = schemas["Credential"]["properties"]["access_status"]["anyOf"]
    assert either == [{"$ref": "#/components/schemas/LastAccessVerdict"}, {"type": "string", "const": ""}]
    status = next(one for one in operations["ListRuns"]["parameters"] if one.get("name") == "status")
    assert status["schema"] == {"$ref": "#/components/schemas/RunStatus"}


def test_headers_are_parameters(operations: dict[str, Any], document: dict[str, Any]) -> None:
    def headers(name: str) -> set[str]:
        references = [one["$ref"].rpartition("/")[2] for one in operations[name]["parameters"] if "$ref" in one]
        return {document["components"]["parameters"][reference]["name"] for reference in references}

    assert headers("RunPipeline") == headers("CreateSchedule") == {"X-User-ID", "X-Request-ID", "Idempotency-Key"}
    assert headers("GetRun") == {"X-User-ID", "X-Request-ID"}
    assert headers("WatchRun") == {"X-User-ID", "X-Request-ID", "Last-Event-ID", "access_token"}
    for operation in operations.values():
        assert operation["responses"]["200"]["headers"]["X-Request-ID"] == {"$ref": "#/components/headers/RequestId"}
    assert "RateLimit" in operations["GetRun"]["responses"]["200"]["headers"]


def test_a_run_takes_what_its_template_takes(document: dict[str, Any], operations: dict[str, Any]) -> None:
    bodies = operations["RunPipeline"]["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    assert {"$ref": "#/components/schemas/GcpCostBillingParameters"} in bodies
    billing = document["components"]["schemas"]["GcpCostBillingParameters"]
    assert billing["additionalProperties"] is False
    assert billing["properties"]["days"]["enum"] == ["changed"]
    assert operations["ValidatePipeline"]["requestBody"]["content"]["application/json"]["schema"]["anyOf"] == bodies


def test_a_stream_is_described_as_one(operations: dict[str, Any]) -> None:
    content = operations["WatchRun"]["responses"]["200"]["content"]
    assert content["text/event-stream"]["schema"]["x-event-data"] == {"$ref": "#/components/schemas/RunEvent"}
    assert content["text/event-stream"]["schema"]["type"] == "string"


def test_everything_has_a_description(document: dict[str, Any], operations: dict[str, Any]) -> None:
    for name, operation in operations.items():
        assert operation["summary"], name
        assert operation["description"], name
    for name, schema in document["components"]["schemas"].items():
        assert schema["description"], name
        assert all(field.get("description") for field in schema.get("properties", {}).values()), name
