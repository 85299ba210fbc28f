"""Requests that schemathesis makes of the OpenAPI document, led further by values that exist."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

import schemathesis
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.settings import GatewaySettings
from tools.openapi.document import openapi

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@cache
def operations() -> Mapping[str, Any]:
    """Schemathesis' operations, by the RPC's name. Keys are shown by the tests, so they are no part of what is generated."""
    document = openapi(FileDescriptorSet.FromString(GatewaySettings().descriptor.read_bytes()))
    document["components"].pop("securitySchemes")
    for path in document["paths"].values():
        for operation in path.values():
            del operation["security"]
    found: list[Any] = [result.ok() for result in cast("Any", schemathesis.openapi.from_dict(document)).get_all_operations()]
    return {operation.definition.raw["operationId"]: operation for operation in found}


@st.composite
def cases(draw: st.DrawFn, operation: Any, known: Mapping[str, Sequence[str]]) -> Case[Any]:
    """A request as the document has it, or just not as the document has it."""
    mode = draw(st.sampled_from((GenerationMode.POSITIVE, GenerationMode.POSITIVE, GenerationMode.NEGATIVE)))
    case: Case[Any] = draw(operation.as_strategy(generation_mode=mode))
    for values in (case.path_parameters, case.query, case.body):
        if isinstance(values, dict):
            for name in values:
                if name == "tenant_id" or (name in known and draw(st.booleans())):
                    values[name] = draw(st.sampled_from(known[name]))
    return case
