"""The REST interface as OpenAPI 3, from the descriptor set: `python -m tools.openapi > gen/openapi.json`.

REST bindings, required fields, access rules and comments come from the protos; nothing is repeated here.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convergence.access.v1 import access_pb2
from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto

from tools.openapi_schema import Schemas

ROOT = Path(__file__).resolve().parents[1]

SECURITY = {
    "tenant": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A tenant's API key."},
    "session": {"type": "http", "scheme": "bearer", "description": "A session token of the tenant, for browsers."},
    "admin": {"type": "apiKey", "in": "header", "name": "X-Admin-Key", "description": "An admin key; its role says what it may do."},
    "operator": {"type": "http", "scheme": "bearer", "description": "An OpenID Connect token that the installation maps to a role."},
}
PROOFS = {"tenant": ("tenant", "session"), "admin": ("admin", "operator")}
"""Of each kind of caller, any one of these."""
ERROR = {
    "type": "object",
    "description": "google.rpc.Status. Decide on the reason of the ErrorInfo among the details, never on the message.",
    "required": ["code", "message", "details"],
    "properties": {
        "code": {"type": "integer", "format": "int32", "description": "google.rpc.Code."},
        "message": {"type": "string", "description": "For people."},
        "details": {"type": "array", "items": {"type": "object", "required": ["@type"], "properties": {"@type": {"type": "string"}}}},
    },
}
REFERENCE = {"$ref": "#/components/schemas/Error"}
RETRY_AFTER = {
    "description": "Seconds until it is worth trying again, at least 1. A 429 that waiting does not end has none.",
    "schema": {"type": "integer", "minimum": 1},
}
RETRIED = {"429": "A limit is reached", "503": "A service, BigQuery or KMS does not answer"}
USER_ID = {
    "name": "X-User-ID",
    "in": "header",
    "description": "Who is calling, as the frontend knows them. Recorded as it is, not verified.",
    "schema": {"type": "string", "maxLength": 128},
}


def openapi(descriptors: FileDescriptorSet) -> dict[str, Any]:
    """The document."""
    schemas = Schemas(descriptors)
    paths: dict[str, dict[str, Any]] = {}
    for service, method, name in _methods(descriptors):
        for verb, template, body in _bindings(method):
            path = re.sub(r"\{([\w.]+)=[^}]*\}", r"{\1}", template)
            paths.setdefault(path, {})[verb] = _operation(schemas, service, method, name, path=path, body=body)
    return {
        "openapi": "3.0.3",
        "info": {"title": "Convergence", "version": "1", "description": "Cloud-cost pipelines for many tenants."},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": {"Error": ERROR, **dict(sorted(schemas.components.items()))}, "securitySchemes": SECURITY},
    }


def _methods(descriptors: FileDescriptorSet) -> Iterator[tuple[str, MethodDescriptorProto, str]]:
    """Service name, method, full name of the method."""
    for file in descriptors.file:
        for service in file.service:
            for method in service.method:
                yield service.name, method, f".{file.package}.{service.name}.{method.name}"


def _bindings(method: MethodDescriptorProto) -> Iterator[tuple[str, str, str]]:
    """Verb, path template and body of each REST binding."""
    rule: http_pb2.HttpRule = method.options.Extensions[annotations_pb2.http]
    for one in (rule, *rule.additional_bindings):
        verb = one.WhichOneof("pattern")
        if verb:
            yield verb, getattr(one, verb), one.body


def _operation(schemas: Schemas, service: str, method: MethodDescriptorProto, name: str, *, path: str, body: str) -> dict[str, Any]:
    in_path = re.findall(r"\{([\w.]+)\}", path)
    fields = schemas.fields(method.input_type)
    in_query = [] if body == "*" else [field for field in fields if field not in {*in_path, body}]
    allowed = method.options.Extensions[access_pb2.allow].WhichOneof("caller")
    answer = schemas.reference(method.output_type)
    operation: dict[str, Any] = {
        "operationId": f"{service}_{method.name}",
        "tags": [service],
        "summary": schemas.comment(name),
        "security": [{proof: list[str]()} for proof in PROOFS.get(allowed or "", ())],
        "parameters": [
            *({"name": field, "in": "path", "required": True, "schema": fields[field]} for field in in_path),
            *({"name": field, "in": "query", "schema": fields[field]} for field in in_query),
            USER_ID,
        ],
        "responses": {
            "200": {
                "description": "OK",
                "content": {"text/event-stream": {"schema": answer}} if method.server_streaming else _json(answer),
            },
            **{
                status: {
                    "description": why,
                    "headers": {"Retry-After": RETRY_AFTER | {"required": status == "503"}},
                    "content": _json(REFERENCE),
                }
                for status, why in RETRIED.items()
            },
            "default": {"description": "Refused or failed", "content": _json(REFERENCE)},
        },
    }
    if body:
        schema = schemas.message(method.input_type, without=in_path) if body == "*" else fields[body]
        operation["requestBody"] = {"required": body == "*", "content": _json(schema)}
    return operation


def _json(schema: object) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def main() -> None:
    """Prints the document. Needs `make gen`."""
    descriptors = FileDescriptorSet.FromString((ROOT / "gen" / "descriptor.binpb").read_bytes())
    json.dump(openapi(descriptors), sys.stdout, indent=2)


if __name__ == "__main__":
    main()
