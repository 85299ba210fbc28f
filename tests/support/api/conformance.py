"""Checks an answer against the OpenAPI document: fields, types, words, and the reasons of errors."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from tools.openapi.document import openapi
from tools.openapi.protos import Protos, RestRpc, read_descriptors
from tools.openapi.refusals import OF_OTHER_PATHS, refusals


@cache
def document() -> dict[str, Any]:
    """The document, made strict: an answer must not have a field that the document lacks, so that every field has a description."""
    found = openapi(read_descriptors())
    for name, schema in found["components"]["schemas"].items():
        if "properties" in schema and name not in {"Error", "ErrorInfo", "BadRequest", "RequestInfo", "RetryInfo"}:
            schema.setdefault("additionalProperties", False)
    return found


@cache
def rpcs() -> dict[str, RestRpc]:
    """All public RPCs, by name."""
    return {rpc.method.name: rpc for rpc in Protos.of(read_descriptors()).rpcs}


def find_rpc(method: str, path: str) -> str:
    """The name of the RPC that a request is for; empty: none."""
    bare = path.partition("?")[0]
    return next((name for name, verb, pattern in _patterns() if verb == method.lower() and pattern.fullmatch(bare)), "")


def faults(name: str, status: int, body: Any, reason: str) -> list[str]:
    """The faults of an RPC's answer; empty if it conforms."""
    if status != 200:
        return list(_faults_of_refusal(name, status, body, reason))
    [(kind, content)] = operation(name)["responses"]["200"]["content"].items()
    schema = content["schema"]
    if kind == "application/json" and not isinstance(body, str):
        return [f"{name}: {error.json_path}: {error.message[:300]}" for error in validator(schema).iter_errors(body)]
    return []


def operation(name: str) -> dict[str, Any]:
    """An RPC's operation."""
    return next(one for path in document()["paths"].values() for one in path.values() if one["operationId"] == name)


def validator(schema: Any) -> Draft202012Validator:
    """A validator for a schema of the document."""
    return Draft202012Validator({**schema, "components": document()["components"]})


def _faults_of_refusal(name: str, status: int, body: Any, reason: str) -> Iterator[str]:
    for error in validator({"$ref": "#/components/schemas/Error"}).iter_errors(body):
        yield f"{name}: {error.json_path}: {error.message[:300]}"
    if reason not in {*refusals(rpcs()[name]), *OF_OTHER_PATHS}:
        yield f"{name}: {status} {reason} is no declared refusal of it, see (convergence.contract.v1.refusals) in its proto"
    elif str(status) not in operation(name)["responses"]:
        yield f"{name}: {status} {reason}: this status is not documented"


@cache
def _patterns() -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    """Name, verb and pattern of the path."""
    return tuple((name, rpc.verb, re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/:]+", re.escape(rpc.template)))) for name, rpc in rpcs().items())
