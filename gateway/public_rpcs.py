"""Which RPCs are reachable from outside, and as what: decided only by the protos."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from convergence.access.v1 import access_pb2
from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2

VARIABLE = re.compile(r"\\\{\w+\\\}")
"""A path's variable after `re.escape`. All of ours are one segment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicRpc:
    """An RPC that the gateway routes."""

    service: str
    """The full name of its proto service."""
    name: str
    verb: str
    """HTTP's, e.g. `PUT`."""
    template: str
    """The path over REST, e.g. `/api/v1/tenants/{tenant_id}`."""
    rule: access_pb2.Allow
    streams: bool
    """It streams its responses."""
    request: str
    """The full name of its request message: no other RPC has it."""
    in_query: tuple[str, ...]
    """The request's fields that belong into the query."""
    in_body: tuple[str, ...]
    """Those that belong into the body by their names."""
    body_is_field: bool
    """The body is one field, e.g. the parameters of a run, whose name it does not have."""

    @property
    def path(self) -> str:
        """The path over gRPC."""
        return f"/{self.service}/{self.name}"

    @property
    def owner(self) -> str:
        """The service of the suite that serves it: `auth` for `convergence.auth.v1.QuotaService`."""
        return self.service.split(".")[1]

    @property
    def pattern(self) -> str:
        """A regular expression for the paths over REST that the transcoder takes for this RPC, without the query."""
        return VARIABLE.sub("[^/]+", re.escape(self.template)) + ("" if ":" in self.template else "/?")


def public_rpcs(descriptor: Path) -> list[PublicRpc]:
    """All RPCs in the descriptor set that have a REST binding. Of two whose patterns fit a path, the one that the transcoder takes comes
    first.

    Raises FileNotFoundError if `make gen` has not run yet.
    """
    # A path with a verb (`{id}:watch`) also fits the pattern without it.
    return sorted(_bound(descriptor), key=lambda rpc: (":" not in rpc.template, rpc.path))


def public_services(descriptor: Path) -> list[str]:
    """Full names of all proto services in the descriptor set that have such an RPC, sorted. Raises as `public_rpcs` does."""
    return sorted({rpc.service for rpc in public_rpcs(descriptor)})


def _bound(descriptor: Path) -> Iterator[PublicRpc]:
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor.read_bytes()).file
    fields = {f".{file.package}.{one.name}": [field.name for field in one.field] for file in files for one in file.message_type}
    for file in files:
        for service in file.service:
            for method in service.method:
                if method.options.HasExtension(annotations_pb2.http):
                    yield _rpc(f"{file.package}.{service.name}", method, fields.get(method.input_type, []))


def _rpc(service: str, method: descriptor_pb2.MethodDescriptorProto, fields: list[str]) -> PublicRpc:
    binding: http_pb2.HttpRule = method.options.Extensions[annotations_pb2.http]
    verb = binding.WhichOneof("pattern") or ""
    free = tuple(name for name in fields if name != binding.body and f"{{{name}}}" not in getattr(binding, verb))
    return PublicRpc(
        service=service,
        name=method.name,
        verb=verb.upper(),
        template=getattr(binding, verb),
        rule=method.options.Extensions[access_pb2.allow],
        streams=method.server_streaming,
        request=method.input_type.removeprefix("."),
        in_query=() if binding.body == "*" else free,
        in_body=free if binding.body == "*" else (),
        body_is_field=binding.body not in {"", "*"},
    )
