"""The gateway's routes: two for each public RPC, one for gRPC and one for REST."""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from google.rpc import error_details_pb2, status_pb2

from localcloud.gateway.public_rpcs import PublicRpc
from localcloud.gateway.settings import GatewaySettings
from services.platform.access.missing import missing_credential
from services.platform.errors import DOMAIN, to_status

KIB = 1024
BODY_BYTES = 64 * KIB
"""Of a REST body. As a message it is at most 5.5 times as large, as `[0,0,...]` is: less than the services take."""
LARGE_BODY_BYTES = 128 * KIB
LARGE_BODIES = frozenset({"/convergence.credentials.v1.CredentialService/SetCredentials"})
"""RPCs that take up to `LARGE_BODY_BYTES`: 64 KiB of JSON, quoted once more inside JSON."""
MESSAGE_BYTES = 72 * KIB
"""Of a request over gRPC: 64 KiB of credentials, and what is around them."""
TOO_LARGE = status_pb2.Status(code=3, message=f"The request is larger than {MESSAGE_BYTES // KIB} KiB.")
TOO_LARGE.details.add().Pack(error_details_pb2.ErrorInfo(reason="BODY_TOO_LARGE", domain=DOMAIN))
VERBS = {"GET": "GET|HEAD"}


def grpc_route(rpc: PublicRpc, settings: GatewaySettings) -> dict[str, Any]:
    """The placeholders of `configs/envoy/route.yaml`."""
    return {
        "RPC": f"{rpc.service}.{rpc.name}",
        "PATH": rpc.path,
        "CLUSTER": rpc.owner,
        "LONGEST_SECONDS": settings.stream_seconds if rpc.streams else settings.timeout_seconds,
        "MESSAGE_BYTES": MESSAGE_BYTES,
        "ACCESS": _access(rpc),
        "LIMIT": "client" if rpc.rule.HasField("anyone") else "",
    }


def rest_routes(rpc: PublicRpc) -> Iterator[dict[str, Any]]:
    """The placeholders of `configs/envoy/rest_route.yaml`."""
    verb = {"name": ":method", "string_match": {"safe_regex": {"regex": VERBS.get(rpc.verb, rpc.verb)}}}
    plain = {
        "RPC": f"{rpc.service}.{rpc.name}",
        "PATTERN": rpc.pattern,
        "HEADERS": [verb],
        "BODY_BYTES": BODY_BYTES,
        "ACCESS": _access(rpc) | {"rest": True},
        "LIMIT": "client" if rpc.rule.HasField("anyone") else "",
    }
    if rpc.path in LARGE_BODIES:
        # Those that say so beforehand. They are rare, so that few at a time are let in.
        large = {"name": "content-length", "range_match": {"start": BODY_BYTES + 1, "end": LARGE_BODY_BYTES + 1}}
        yield plain | {"HEADERS": [verb, large], "BODY_BYTES": LARGE_BODY_BYTES, "LIMIT": "large"}
    yield plain


def _access(rpc: PublicRpc) -> dict[str, Any]:
    """What `configs/envoy/access.lua` reads."""
    context: dict[str, Any] = {"rpc": True, "too_large": TOO_LARGE.message, "too_large_details": _encoded(TOO_LARGE)}
    if refusal := missing_credential(rpc.rule):
        context |= {
            "credential": "x-admin-key" if rpc.rule.HasField("admin") else "x-api-key",
            "reason": refusal.reason,
            "message": refusal.message,
            "status_details": _encoded(to_status(refusal)),
        }
    return context


def _encoded(status: status_pb2.Status) -> str:
    """As metadata whose name ends in `-bin`."""
    return b64encode(status.SerializeToString()).decode().rstrip("=")
