"""Access rules, read from the protos: the `convergence.access.v1.allow` option of every method."""

from functools import cache

from convergence.access.v1 import access_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor

OPEN_TO_PEERS = ("/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.ServerReflection/", "/grpc.reflection.v1.ServerReflection/")
"""gRPC's own services have no rule. Every mTLS peer may call them; the gateway does not route them."""


def find_method(path: str) -> MethodDescriptor | None:
    """The descriptor of `/package.Service/Method`; None if no such proto is loaded."""
    service, _, method = path.removeprefix("/").rpartition("/")
    try:
        found: MethodDescriptor = descriptor_pool.Default().FindMethodByName(f"{service}.{method}")
    except KeyError:
        return None
    return found


@cache
def rule_of(method: MethodDescriptor) -> access_pb2.Allow | None:
    """The access rule of `method`; None if it has none, and then every call is refused."""
    options = method.GetOptions()
    return options.Extensions[access_pb2.allow] if options.HasExtension(access_pb2.allow) else None
