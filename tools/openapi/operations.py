"""One RPC as an operation."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from convergence.contract.v1 import contract_pb2

from tools.openapi.errors import CODES
from tools.openapi.examples import Example, Examples
from tools.openapi.headers import answer_headers, parameter
from tools.openapi.prose import first_sentence, paragraphs
from tools.openapi.protos import Protos, RestRpc
from tools.openapi.refusals import refusals
from tools.openapi.schemas import Schema, Schemas

PROOFS: Final = {"tenant": ("tenant", "session"), "admin": ("admin", "operator")}
"""Of each kind of caller, any one of these."""
_EVENTS: Final = "text/event-stream"
FRAMES: Final = "Frames of `id` and `data`, with an empty line after each."
NOTHING_LEFT: Final = "The run has ended, and the event of `Last-Event-ID` was its last. EventSource does not connect again."


@dataclass(frozen=True, kw_only=True, slots=True)
class Operations:
    """Describes RPCs; `schemas` collects what they refer to."""

    protos: Protos
    schemas: Schemas
    statuses: Mapping[str, tuple[int, ...]]
    """HTTP statuses by reason."""
    run_bodies: Mapping[str, Schema]
    examples: Examples

    def describe(self, rpc: RestRpc) -> dict[str, Any]:
        """The operation."""
        summary, rest = first_sentence(self.protos.comment(rpc.full_name))
        caller = rpc.allow.WhichOneof("caller") or ""
        operation: dict[str, Any] = {
            "operationId": rpc.method.name,
            "tags": [rpc.title],
            "summary": summary,
            "description": paragraphs(rest, _who(rpc)),
            "security": [{proof: list[str]()} for proof in PROOFS.get(caller, ())],
            "parameters": self._parameters(rpc),
        }
        if rpc.body:
            operation["requestBody"] = self._body(rpc)
        ended = {"204": {"description": NOTHING_LEFT}} if rpc.method.server_streaming else {}
        return operation | {"responses": {"200": self._answer(rpc), **ended, **self._errors(rpc)}}

    def _parameters(self, rpc: RestRpc) -> list[dict[str, Any]]:
        fields = self.schemas.fields(rpc.method.input_type, in_answer=False)
        in_path = path_fields(rpc)
        in_query = [] if rpc.body == "*" else [field for field in fields if field not in {*in_path, rpc.body}]
        example = self.examples.calls.get(rpc.method.name)
        found = [_parameter(field, fields[field], "path", example.path if example else {}) for field in in_path]
        found += [_parameter(field, fields[field], "query", example.query if example else {}) for field in in_query]
        found += [parameter("UserId"), parameter("RequestId")]
        if rpc.method.options.Extensions[contract_pb2.idempotency_key]:
            found.append(parameter("IdempotencyKey"))
        if rpc.method.server_streaming:
            found += [parameter("LastEventId"), parameter("AccessToken")]
        return found

    def _body(self, rpc: RestRpc) -> dict[str, Any]:
        if rpc.body == "*":
            schema = self.schemas.message(rpc.method.input_type, without=path_fields(rpc), in_answer=False)
        else:
            schema = self.schemas.fields(rpc.method.input_type, in_answer=False)[rpc.body]
            if rpc.body == "parameters":
                schema = {
                    "description": schema["description"],
                    "anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in self.run_bodies],
                }
        content = {"schema": schema, **_shown(self.examples.calls.get(rpc.method.name), "body")}
        return {"required": "anyOf" in schema or bool(schema.get("required")), "content": {"application/json": content}}

    def _answer(self, rpc: RestRpc) -> dict[str, Any]:
        schema = self.schemas.reference(rpc.method.output_type, in_answer=True)
        example = _shown(self.examples.calls.get(rpc.method.name), "answer")
        headers = answer_headers(status=200, is_authenticated=bool(rpc.allow.WhichOneof("caller") in PROOFS))
        if not rpc.method.server_streaming:
            return {"description": "OK", "headers": headers, "content": {"application/json": {"schema": schema, **example}}}
        return {
            "description": "Server-sent events until the run has ended. The `data` of each is one JSON object in a line, its `id` "
            "the place to go on from with `Last-Event-ID` after the connection was lost.",
            "headers": headers,
            "content": {
                _EVENTS: {
                    "schema": {
                        "type": "string",
                        "description": FRAMES,
                        "x-event-data": schema,
                    },
                    **example,
                }
            },
        }

    def _errors(self, rpc: RestRpc) -> dict[str, Any]:
        by_status = defaultdict[int, list[str]](list)
        for reason in refusals(rpc):
            for status in self.statuses[reason]:
                by_status[status].append(reason)
        is_authenticated = rpc.allow.WhichOneof("caller") in PROOFS
        return {str(status): _error(status, reasons, is_authenticated=is_authenticated) for status, reasons in sorted(by_status.items())}


def path_fields(rpc: RestRpc) -> list[str]:
    """The fields in the path, in order."""
    return re.findall(r"\{([\w.]+)[=}]", rpc.template)


def _parameter(name: str, schema: Schema, place: str, example: Mapping[str, str]) -> dict[str, Any]:
    described = {key: value for key, value in schema.items() if key != "description"}
    inner = described["allOf"][0] if "allOf" in described else described
    shown = {"example": _read(example[name], inner)} if name in example else {}
    return {"name": name, "in": place, "required": place == "path", "description": schema["description"], "schema": inner, **shown}


def _read(text: str, schema: Schema) -> object:
    """The value that a text in a URL stands for."""
    match schema.get("type"):
        case "array":
            return [text]
        case "integer":
            return int(text)
        case "boolean":
            return text == "true"
        case _:
            return text


def _error(status: int, reasons: list[str], *, is_authenticated: bool) -> dict[str, Any]:
    examples = {reason: {"$ref": f"#/components/examples/{reason}"} for reason in reasons}
    return {
        "description": f"{CODES[status]}: {', '.join(f'`{reason}`' for reason in reasons)}.",
        "headers": answer_headers(status=status, is_authenticated=is_authenticated),
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}, "examples": examples}},
    }


def _shown(example: Example | None, part: str) -> dict[str, Any]:
    value = getattr(example, part, None)
    return {} if value is None else {"example": value}


def _who(rpc: RestRpc) -> str:
    rule = rpc.allow
    match rule.WhichOneof("caller"):
        case "tenant":
            scope = f"a key with the scope `{rule.tenant.scope}`" if rule.tenant.scope else "any key of the tenant"
            return f"Needs {scope}." + (" Also for a tenant that is not ACTIVE." if rule.tenant.even_if_suspended else "")
        case "admin":
            return f"Needs an admin key or an operator's token with the role `{rule.admin.role}`."
        case _:
            return "Open to anyone, without a key."
