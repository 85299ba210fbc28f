"""The promises of an OpenAPI document as lines of text, so that two releases can be compared, and a change be read in a diff.

Most lines are offers, which a later release must keep. Those with ` needs ` are demands, which a later release must not add.
"""

from collections.abc import Iterator
from typing import Any, Final

from tools.openapi.schemas import Schema

NEEDS: Final = " needs "
_REFERENCE: Final = "#/components/schemas/"


def outline(document: dict[str, Any]) -> list[str]:
    """The lines, sorted. Descriptions, examples and errors are no part of it; what pipelines take is promised by their templates."""
    return sorted({*_operations(document), *_components(document)})


def _operations(document: dict[str, Any]) -> Iterator[str]:
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            call = f"{verb.upper()} {path}"
            yield f"{call} is {operation['operationId']}"
            yield from (f"{call} by {proof}" for security in operation["security"] for proof in security)
            for parameter in operation["parameters"]:
                found = _resolved(document, parameter)
                name = f"{found['in']} {found['name']}"
                yield from _field(document, f"{call} takes {name}", found["schema"])
                if found.get("required"):
                    yield f"{call}{NEEDS}{name}"
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                yield from _message(document, f"{call} takes body", schema)
                yield from (f"{call}{NEEDS}body {name}" for name in schema.get("required", ()))
            for kind, content in operation["responses"]["200"]["content"].items():
                yield f"{call} answers {kind} {_type(document, content['schema'])}"


def _components(document: dict[str, Any]) -> Iterator[str]:
    """Of answers, and of messages within requests. Their names are a promise, too: generated clients are made of them."""
    for name, schema in document["components"]["schemas"].items():
        if name.endswith("Parameters"):
            continue
        yield from _message(document, f"{name} has", schema)
        yield from (f"{name} always has {field}" for field in schema.get("required", ()))
        yield from (f"{name} = {word}" for word in schema.get("enum", ()))


def _message(document: dict[str, Any], start: str, schema: Schema) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        yield from _field(document, f"{start} {name}", field)


def _field(document: dict[str, Any], start: str, schema: Schema) -> Iterator[str]:
    yield f"{start}: {_type(document, schema)}"
    yield from (f"{start} = {word}" for word in _words(document, schema))


def _type(document: dict[str, Any], schema: Schema) -> str:
    """A word is a string, whether it is declared as such or not."""
    if "allOf" in schema:
        return _type(document, schema["allOf"][0])
    if "anyOf" in schema or "oneOf" in schema:
        return "|".join(sorted({_type(document, one) for one in schema.get("anyOf") or schema["oneOf"]}))
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REFERENCE)
        target = document["components"]["schemas"][name]
        return name if "properties" in target else _type(document, target)
    kind = schema.get("type", "any")
    if kind == "array":
        return f"[{_type(document, schema['items'])}]"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"{{{_type(document, schema['additionalProperties'])}}}"
    return f"{kind} {schema['format']}" if "format" in schema else str(kind)


def _words(document: dict[str, Any], schema: Schema) -> list[str]:
    for one in (*schema.get("allOf", ()), *schema.get("anyOf", ())):
        return _words(document, one)
    if "$ref" in schema:
        return _words(document, document["components"]["schemas"][schema["$ref"].removeprefix(_REFERENCE)])
    return [str(word) for word in schema.get("enum", ())]


def _resolved(document: dict[str, Any], parameter: dict[str, Any]) -> dict[str, Any]:
    reference = parameter.get("$ref")
    found: dict[str, Any] = document["components"]["parameters"][reference.rpartition("/")[2]] if reference else parameter
    return found
