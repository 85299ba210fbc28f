"""The gateway's routes: two for each public RPC, one for gRPC and one for REST."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from datetime import timedelta
from math import ceil
from typing import Any

from google.rpc import error_details_pb2, status_pb2

from gateway.documents import Document
from gateway.public_rpcs import PublicRpc
from gateway.settings import GatewaySettings
from gateway.traces import sampling
from services.platform.access.missing import missing_credential
from services.platform.errors import DOMAIN, ResourceExhausted, to_status

KIB = 1024
SMALL_BODY_BYTES = 16 * KIB
"""The most bytes of a REST body without a Content-Length. Any number of clients may hold such a body back, and each costs this much memory.
"""
BODY_BYTES = 64 * KIB
"""The most bytes of a REST body with a Content-Length. As a message it is at most 5.5 times as large (`[0,0,...]`): less than the services
take.
"""
CREDENTIALS_BYTES = 128 * KIB
"""64 KiB of JSON, quoted once more inside JSON."""
SET_CREDENTIALS = "/convergence.credentials.v1.CredentialService/SetCredentials"
CREDENTIALS_MESSAGE_BYTES = 72 * KIB
"""Over gRPC: 64 KiB, and what is around them."""
VERBS = {"GET": "GET|HEAD"}
FILTER = "type.googleapis.com/envoy.config.route.v3.FilterConfig"
GROUP = 3
"""So many bytes are four characters of base64."""
UNKNOWN_FIELD = (b"", b"\x7a\x02\0\0", b"\x7a\0")
"""Of protobuf, which readers pass over, by how many bytes more there have to be, or a group more than that."""
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


def grpc_routes(rpc: PublicRpc, settings: GatewaySettings) -> Iterator[dict[str, Any]]:
    """The placeholders of `configs/envoy/route.yaml`."""
    plain = {
        "RPC": f"{rpc.service}.{rpc.name}",
        "PATH": rpc.path,
        "HEADERS": [],
        "CLUSTER": rpc.owner,
        "LONGEST_SECONDS": settings.stream_seconds if rpc.streams else settings.timeout_seconds,
        "OPERATION": rpc.path.removeprefix("/"),
        "TRACED": sampling(rpc, settings),
    }
    if rpc.path != SET_CREDENTIALS:
        yield plain | _held(rpc, SMALL_BODY_BYTES, _limit(rpc), settings)
        return
    # Most clients of gRPC do not say how long a request is; one that does need not be counted among the large ones.
    small = {"name": "content-length", "range_match": {"start": 0, "end": SMALL_BODY_BYTES + 1}}
    yield plain | {"HEADERS": [small]} | _held(rpc, SMALL_BODY_BYTES, _limit(rpc), settings)
    yield plain | _held(rpc, CREDENTIALS_MESSAGE_BYTES, "large", settings)


def _held(rpc: PublicRpc, largest: int, limit: str, settings: GatewaySettings) -> dict[str, Any]:
    """The most bytes that the gateway holds of a gRPC request, for how many requests, and how it refuses more."""
    too_large = status_pb2.Status(code=3, message=f"The request is larger than {largest // KIB} KiB.")
    too_large.details.add().Pack(error_details_pb2.ErrorInfo(reason="BODY_TOO_LARGE", domain=DOMAIN))
    refusals = {"too_large": _refusal(too_large), "rate_limited": _refusal(_rate_limited(limit, settings))}
    return {"MESSAGE_BYTES": largest, "ACCESS": _access(rpc) | refusals, "LIMIT": limit}


def rest_routes(rpc: PublicRpc, settings: GatewaySettings) -> Iterator[dict[str, Any]]:
    """The placeholders of `configs/envoy/rest_route.yaml`."""
    verb = {"name": ":method", "string_match": {"safe_regex": {"regex": VERBS.get(rpc.verb, rpc.verb)}}}
    plain = {
        "RPC": f"{rpc.service}.{rpc.name}",
        "PATTERN": rpc.pattern,
        "HEADERS": [verb],
        "BODY_BYTES": SMALL_BODY_BYTES,
        "ACCESS": _access(rpc) | {"rest": True},
        "LIMIT": _limit(rpc),
        "OPERATION": rpc.path.removeprefix("/"),
        "TRACED": sampling(rpc, settings),
        "WATCH": {"@type": FILTER, "config": {}, "disabled": not rpc.streams},
    }
    if rpc.verb in WITH_BODY:
        # Rare, so that few at a time are let in.
        largest = CREDENTIALS_BYTES if rpc.path == SET_CREDENTIALS else BODY_BYTES
        large = {"name": "content-length", "range_match": {"start": SMALL_BODY_BYTES + 1, "end": largest + 1}}
        yield plain | {"HEADERS": [verb, large], "BODY_BYTES": largest, "LIMIT": "large"}
    yield plain


def other_methods(rpcs: Iterable[PublicRpc], documents: Iterable[Document]) -> Iterator[dict[str, Any]]:
    """The placeholders of `configs/envoy/other_methods.yaml`, once for each path of these, in their order."""
    methods = {document.pattern: {"GET", "HEAD"} for document in documents}
    for rpc in rpcs:
        also = {"HEAD"} if rpc.verb == "GET" and not rpc.streams else set[str]()
        methods.setdefault(rpc.pattern, set()).update({rpc.verb} | also)
    for pattern, allowed in methods.items():
        yield {"PATTERN": pattern, "ACCESS": {"allow": ", ".join(sorted(allowed))}}


def _access(rpc: PublicRpc) -> dict[str, Any]:
    """What `configs/envoy/lua/access.lua` reads."""
    context: dict[str, Any] = {"rpc": True}
    if refusal := missing_credential(rpc.rule):
        context |= {
            "credential": "x-admin-key" if rpc.rule.HasField("admin") else "x-api-key",
            "reason": refusal.reason,
            "message": refusal.message,
            "status_details": _encoded(to_status(refusal)),
        }
    return context


def _limit(rpc: PublicRpc) -> str:
    """A bucket of `configs/envoy/rate_limit.yaml`; none where the services count."""
    return "client" if rpc.rule.HasField("anyone") else ""


def _rate_limited(limit: str, settings: GatewaySettings) -> status_pb2.Status:
    """The error for a gRPC client that exceeds the bucket `limit`."""
    a_minute = settings.large_bodies_per_minute if limit == "large" else settings.anonymous_per_minute
    message = f"More than {a_minute} calls a minute of those that cost much, or need no key, from here or all. Wait as RetryInfo says."
    return to_status(ResourceExhausted("RATE_LIMITED", message, retry_after=timedelta(seconds=ceil(60 / a_minute))))


def _refusal(status: status_pb2.Status) -> dict[str, str]:
    """As `configs/envoy/lua/access.lua` sends it."""
    return {"code": str(status.code), "message": status.message, "details": _encoded(status)}


def _encoded(status: status_pb2.Status) -> str:
    """As metadata whose name ends in `-bin`, in whole groups of base64: `configs/envoy/lua/access.lua` adds to the message."""
    message = status.SerializeToString()
    return b64encode(message + UNKNOWN_FIELD[-len(message) % GROUP]).decode()
