"""Which proto services are reachable from outside: decided only by the protos."""

from pathlib import Path

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2


def public_services(descriptor: Path) -> list[str]:
    """Full names of all proto services in the descriptor set that have a REST binding, sorted.

    Raises FileNotFoundError if `make gen` has not run yet.
    """
    return sorted(name for name, service in _services(descriptor).items() if _has_rest_binding(service))


def streaming_services(descriptor: Path) -> frozenset[str]:
    """Full names of the proto services that stream their responses; such services contain nothing else. Raises as `public_services`
    does.
    """
    return frozenset(name for name, service in _services(descriptor).items() if any(method.server_streaming for method in service.method))


def owner(service: str) -> str:
    """The service of the suite that serves a proto service: `auth` for `convergence.auth.v1.QuotaService`."""
    return service.split(".")[1]


def _services(descriptor: Path) -> dict[str, descriptor_pb2.ServiceDescriptorProto]:
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor.read_bytes()).file
    return {f"{file.package}.{service.name}": service for file in files for service in file.service}


def _has_rest_binding(service: descriptor_pb2.ServiceDescriptorProto) -> bool:
    return any(method.options.HasExtension(annotations_pb2.http) for method in service.method)
