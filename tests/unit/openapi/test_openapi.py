"""The OpenAPI document is valid and matches the protos."""

from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from openapi_spec_validator import validate

from tools.openapi import ROOT, openapi


@pytest.fixture(scope="module")
def descriptors() -> FileDescriptorSet:
    return FileDescriptorSet.FromString((ROOT / "gen/descriptor.binpb").read_bytes())


@pytest.fixture(scope="module")
def document(descriptors: FileDescriptorSet) -> dict[str, Any]:
    return openapi(descriptors)


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {operation["operationId"]: operation for path in document["paths"].values() for operation in path.values()}


def test_it_is_valid(document: dict[str, Any]) -> None:
    validate(document)


def test_every_rpc_with_a_rest_binding_is_there_and_no_other(document: dict[str, Any], descriptors: FileDescriptorSet) -> None:
    expected = {
        f"{service.name}_{method.name}"
        for file in descriptors.file
        for service in file.service
        for method in service.method
        if method.options.HasExtension(annotations_pb2.http)
    }
    assert set(operations(document)) == expected


def test_every_call_says_which_key_it_needs(document: dict[str, Any]) -> None:
    """From the access rule."""
    security = {name: operation["security"] for name, operation in operations(document).items()}
    assert security["QuotaService_GetQuota"] == [{"tenant": []}, {"session": []}]
    assert security["TenantService_PutTenant"] == [{"admin": []}, {"operator": []}]
    open_to_anyone = {"IssuerService_GetOpenIdConfiguration", "IssuerService_GetJsonWebKeySet"}
    assert {name for name, keys in security.items() if not keys} == open_to_anyone
    assert document["components"]["securitySchemes"]["tenant"]["name"] == "X-API-Key"


def test_a_call_is_described_as_it_is_made(document: dict[str, Any]) -> None:
    """Path, body without what the path holds, required fields, and the types that JSON has for them."""
    put = document["paths"]["/api/v1/tenants/{tenant_id}"]["put"]
    body = put["requestBody"]["content"]["application/json"]["schema"]
    assert "tenant_id" not in body["properties"]
    assert body["required"] == ["company_name"]
    assert body["properties"]["daily_limit"]["type"] == "integer"

    run = document["paths"]["/api/v1/pipelines/run/{tenant_id}/{provider}/{domain}/{template}"]["post"]
    assert [one["name"] for one in run["parameters"] if one["in"] == "path"] == ["tenant_id", "provider", "domain", "template"]
    assert run["requestBody"]["content"]["application/json"]["schema"]["additionalProperties"] is True

    runs = document["paths"]["/api/v1/pipelines/runs/{tenant_id}"]["get"]
    assert [one["name"] for one in runs["parameters"] if one["in"] == "query"] == ["status", "pipeline", "date", "page_size", "page_token"]
    rows = document["components"]["schemas"]["convergence.executor.v1.Run"]["properties"]["rows_processed"]
    assert (rows["type"], rows["format"]) == ("string", "int64")


def test_errors_have_one_shape_and_everything_a_description(document: dict[str, Any]) -> None:
    for operation in operations(document).values():
        assert operation["summary"]
        for status in ("429", "503", "default"):
            answer = operation["responses"][status]
            assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}
            assert ("Retry-After" in answer.get("headers", {})) == (status != "default")
        required = {status: operation["responses"][status]["headers"]["Retry-After"]["required"] for status in ("429", "503")}
        assert required == {"429": False, "503": True}
    for name, schema in document["components"]["schemas"].items():
        assert schema["description"], name
        assert all(schema["properties"].values()), name
