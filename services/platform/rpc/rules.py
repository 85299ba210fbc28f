"""Who may call which RPC, read from the protos: every method's `convergence.access.v1.allow` option."""

from convergence.access.v1 import access_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor

OPEN_TO_PEERS = ("/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.ServerReflection/", "/grpc.reflection.v1.ServerReflection/")
"""gRPC's own services carry no rule; every mTLS peer may call them, and the gateway does not route them."""


def find_method(path: str) -> MethodDescriptor | None:
    """The descriptor of `/package.Service/Method`; None if no such proto is loaded."""
    service, _, method = path.removeprefix("/").rpartition("/")
    try:
        found: MethodDescriptor = descriptor_pool.Default().FindMethodByName(f"{service}.{method}")
    except KeyError:
        return None
    return found


def rule_of(method: MethodDescriptor) -> access_pb2.Allow | None:
    """Who may call `method`; None if it does not say, and then nobody may."""
    options = method.GetOptions()
    return options.Extensions[access_pb2.allow] if options.HasExtension(access_pb2.allow) else None
