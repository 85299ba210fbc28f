"""Headers and parameters of requests and answers that are in no proto."""

from typing import Any, Final

PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "UserId": {
        "name": "X-User-ID",
        "in": "header",
        "description": "Who is calling, as the frontend knows them. Recorded as it is, not verified.",
        "schema": {"type": "string", "maxLength": 128},
    },
    "RequestId": {
        "name": "X-Request-ID",
        "in": "header",
        "description": "An id of the call for its way through all logs; without it, the gateway makes one. It is sent back.",
        "schema": {"type": "string", "maxLength": 128},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A name of this request, e.g. a UUID. Repeated within 24 hours, it has no further effect and gets the first answer: "
        "so a call without an answer can be sent again.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    },
    "AccessToken": {
        "name": "access_token",
        "in": "query",
        "description": "A session token, for EventSource, which cannot send a header. Not a key: addresses are kept in logs and histories.",
        "schema": {"type": "string"},
    },
    "LastEventId": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The `id` of the last event that was received: only later ones are sent. EventSource sends it when it reconnects.",
        "schema": {"type": "string"},
    },
}
"""By the name of their component."""

HEADERS: Final[dict[str, dict[str, Any]]] = {
    "RequestId": {"description": "The call's id: as it was sent, or a new one.", "required": True, "schema": {"type": "string"}},
    "RetryAfter": {
        "description": "Seconds until it is worth trying again. A 429 that waiting does not end has none.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "RetryAfterAlways": {
        "description": "Seconds until it is worth trying again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit": {
        "description": 'What is left of the calls of a minute: `"default";r=599;t=1`, r calls, and all of them again in t seconds; after'
        " the last, the next in t seconds.",
        "schema": {"type": "string"},
    },
    "RateLimitPolicy": {
        "description": 'The limit: `"default";q=600;w=60`, q calls in w seconds.',
        "schema": {"type": "string"},
    },
}
"""By the name of their component."""


def parameter(name: str) -> dict[str, str]:
    """A reference to a parameter of `PARAMETERS`."""
    return {"$ref": f"#/components/parameters/{name}"}


def answer_headers(*, status: int, is_authenticated: bool) -> dict[str, Any]:
    """The headers of an answer with this status."""
    names = {"X-Request-ID": "RequestId"}
    if status == 429:  # noqa: PLR2004
        names["Retry-After"] = "RetryAfter"
    if status == 503:  # noqa: PLR2004
        names["Retry-After"] = "RetryAfterAlways"
    if is_authenticated and status in {200, 429}:
        names |= {"RateLimit": "RateLimit", "RateLimit-Policy": "RateLimitPolicy"}
    return {header: {"$ref": f"#/components/headers/{name}"} for header, name in names.items()}
