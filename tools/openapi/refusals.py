"""Why each call may be refused, and with which HTTP status."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from convergence.contract.v1 import contract_pb2
from convergence.errors.v1.error_reason_pb2 import ErrorReason

from tools.openapi.protos import Protos, RestRpc
from tools.openapi.words import words

ERROR_REASON: Final = ".convergence.errors.v1.ErrorReason"
BY_GATEWAY = ("REQUEST_MALFORMED", "REQUEST_TIMEOUT", "HEADERS_TOO_LARGE", "GATEWAY_OVERLOADED", "RATE_LIMITED")
"""Of any call."""
WITH_BODY = ("BODY_TOO_LARGE", "CONTENT_ENCODING_NOT_SUPPORTED")
BY_ANY_SERVICE = ("BAD_FIELD", "SERVICE_UNAVAILABLE", "SERVICE_TIMEOUT", "INTERNAL")
OF_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "tenant": ("API_KEY_MISSING", "API_KEY_INVALID", "TOKEN_INVALID", "BIGQUERY_UNAVAILABLE"),
    "admin": ("ADMIN_KEY_MISSING", "ADMIN_KEY_INVALID", "TOKEN_INVALID", "ADMIN_ROLE_DENIED", "BIGQUERY_UNAVAILABLE"),
}
"""By kind of caller. The keys themselves are in BigQuery."""
OF_OTHER_PATHS = ("PATH_NOT_FOUND", "METHOD_NOT_ALLOWED")
"""Of what is no call at all: `/` in an id makes it another path."""
NEVER_SENT = ("TOO_MANY_FAILED_ATTEMPTS",)

_STATUS = re.compile(r"\b(\d{3})(?:, by the gateway)?: ")


def refusals(rpc: RestRpc) -> tuple[str, ...]:
    """The reasons for which this RPC may be refused over REST, in the order of their numbers."""
    return tuple(sorted(set(_refusals(rpc)), key=lambda reason: ErrorReason.Value(f"ERROR_REASON_{reason}")))


def statuses(protos: Protos) -> dict[str, tuple[int, ...]]:
    """The HTTP statuses that each reason is sent with: its comment begins with them."""
    found = words(protos.enums[ERROR_REASON])
    return {reason: tuple(map(int, _STATUS.findall(protos.comment(f"{ERROR_REASON}.{value}")))) for reason, value in found.items()}


def _refusals(rpc: RestRpc) -> Iterator[str]:
    yield from BY_GATEWAY
    yield from BY_ANY_SERVICE
    if rpc.body:
        yield from WITH_BODY
    rule = rpc.allow
    caller = rule.WhichOneof("caller") or ""
    yield from OF_KEYS.get(caller, ())
    if caller == "tenant":
        if "{tenant_id}" in rpc.template:
            yield "TENANT_MISMATCH"
        if rule.tenant.scope:
            yield "SCOPE_MISSING"
        if not rule.tenant.even_if_suspended:
            yield "TENANT_NOT_ACTIVE"
            yield "SUBSCRIPTION_NOT_ACTIVE"
    if "{" in rpc.template:
        yield from OF_OTHER_PATHS
    for number in rpc.method.options.Extensions[contract_pb2.refusals].reasons:
        yield ErrorReason.Name(number).removeprefix("ERROR_REASON_")
