"""Errors: their schema, and an example of each reason."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from tools.openapi.protos import Protos
from tools.openapi.refusals import ERROR_REASON, statuses
from tools.openapi.schemas import Schema

DETAILS: Final = ("ErrorInfo", "BadRequest", "RetryInfo", "RequestInfo")
_TYPES: Final = "type.googleapis.com/google.rpc."
CODES: Final = {
    400: "The request is wrong, or another step is needed first",
    401: "The call is not authenticated",
    403: "The caller may not do this",
    404: "There is no such thing",
    405: "Not with this method",
    408: "The request did not arrive in time",
    409: "It exists already",
    413: "The body is too large",
    415: "The body is encoded in a way that is not read",
    429: "A limit is reached",
    431: "The headers are too large",
    500: "A fault of this installation",
    501: "The transfer encoding is not read",
    503: "A part of the suite, BigQuery, KMS or a tenant's cloud does not answer",
    504: "It took too long; it may have been done",
}
"""What each status means here."""


def error_schemas() -> dict[str, Schema]:
    """`Error` and its parts, but for `ErrorReason`."""
    return {
        "Error": {
            "type": "object",
            "description": "google.rpc.Status. Decide on the reason of the ErrorInfo among the details, never on the message.",
            "required": ["code", "message", "details"],
            "properties": {
                "code": {"type": "integer", "format": "int32", "description": "google.rpc.Code."},
                "message": {"type": "string", "description": "For people."},
                "details": {
                    "type": "array",
                    "description": "The first is an ErrorInfo.",
                    "items": {"oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in DETAILS]},
                },
            },
        },
        "ErrorInfo": _detail(
            "ErrorInfo",
            {
                "description": "Why the call was refused.",
                "required": ["reason", "domain"],
                "properties": {
                    "reason": {"allOf": [{"$ref": "#/components/schemas/ErrorReason"}], "description": "Decide on this."},
                    "domain": {"type": "string", "const": "convergence", "description": "Always `convergence`."},
                    "metadata": {"type": "object", "description": "Facts for machines.", "additionalProperties": {"type": "string"}},
                },
            },
        ),
        "BadRequest": _detail(
            "BadRequest",
            {
                "description": "Which field is wrong.",
                "required": ["field_violations"],
                "properties": {
                    "field_violations": {
                        "type": "array",
                        "description": "One for each field.",
                        "items": {
                            "type": "object",
                            "required": ["field", "description"],
                            "properties": {
                                "field": {"type": "string", "description": "The field as it was sent, e.g. `parameters.date`."},
                                "description": {"type": "string", "description": "What it takes."},
                                "reason": {"type": "string", "description": "Not used."},
                            },
                        },
                    }
                },
            },
        ),
        "RetryInfo": _detail(
            "RetryInfo",
            {
                "description": "When to try again, as `Retry-After` says it, too.",
                "required": ["retry_delay"],
                "properties": {
                    "retry_delay": {
                        "type": "string",
                        "description": "Seconds, e.g. `5s`; hours if a limit of the day is reached.",
                    }
                },
            },
        ),
        "RequestInfo": _detail(
            "RequestInfo",
            {
                "description": "Which call it was.",
                "required": ["request_id"],
                "properties": {
                    "request_id": {"type": "string", "description": "The call's `X-Request-ID`: quote it when you ask for help."},
                    "serving_data": {"type": "string", "description": "Not used."},
                },
            },
        ),
    }


def error_examples(protos: Protos, recorded: Mapping[str, Any], wanted: Collection[str]) -> dict[str, Any]:
    """An example of each of these reasons: the recorded answer, otherwise one made of the reason's comment."""
    examples = {}
    for reason, found in statuses(protos).items():
        if reason not in wanted:
            continue
        comment = protos.comment(f"{ERROR_REASON}.ERROR_REASON_{reason}").partition(": ")[2]
        body = recorded.get(reason) or {"code": _CODE[found[0]], "message": comment, "details": [_info(reason)]}
        examples[reason] = {"summary": f"{reason}, {' or '.join(map(str, found))}", "description": comment, "value": body}
    return examples


def _info(reason: str) -> dict[str, Any]:
    return {"@type": f"{_TYPES}ErrorInfo", "reason": reason, "domain": "convergence"}


def _detail(name: str, schema: Schema) -> Schema:
    kind = {"type": "string", "const": f"{_TYPES}{name}", "description": "Tells the details apart."}
    return {
        "type": "object",
        "description": schema["description"],
        "required": ["@type", *schema["required"]],
        "properties": {"@type": kind, **schema["properties"]},
    }


_CODE = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 408: 4, 409: 6, 413: 3, 415: 3, 429: 8, 431: 3, 500: 13, 503: 14, 504: 4}
"""google.rpc.Code of each status."""
