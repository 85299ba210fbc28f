"""Walks every RPC of every proto: each has an access rule, and peers' RPCs never share a service with public ones."""

import importlib

import pytest
from convergence.access.v1 import access_pb2  # noqa: F401 - registers the option before the descriptors are read
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from services.platform.rpc.rules import rule_of
from services.platform.settings import REPOSITORY

DESCRIPTORS = REPOSITORY / "gen" / "descriptor.binpb"
ROLES = {"provisioner", "scheduler"}
PUBLIC_ANYWAY = {
    "convergence.credentials.v1.IssuerService.GetOpenIdConfiguration",
    "convergence.credentials.v1.IssuerService.GetJsonWebKeySet",
}
SERVICES = {"auth", "credentials", "scheduler", "executor"}


def all_services() -> list[ServiceDescriptor]:
    files = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
    found = []
    for file in files.file:
        if file.package.startswith("convergence.") and file.service:
            module = importlib.import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
            found += list(module.DESCRIPTOR.services_by_name.values())
    return found


SERVICE_DESCRIPTORS = all_services()
METHODS = [method for service in SERVICE_DESCRIPTORS for method in service.methods]


def is_public(method: MethodDescriptor) -> bool:
    return bool(method.GetOptions().HasExtension(annotations_pb2.http))


def test_the_walk_finds_all_services() -> None:
    assert len(SERVICE_DESCRIPTORS) >= 8
    assert len(METHODS) >= 15


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_every_rpc_says_who_may_call(method: MethodDescriptor) -> None:
    rule = rule_of(method)
    assert rule is not None
    match rule.WhichOneof("caller"):
        case "admin":
            assert rule.admin.role in ROLES
            assert is_public(method)
        case "service":
            assert set(rule.service.names) <= SERVICES
            assert rule.service.names
            assert not is_public(method)
        case "tenant":
            assert is_public(method)
        case "anyone":
            assert method.full_name in PUBLIC_ANYWAY
            assert is_public(method)
        case kind:
            pytest.fail(f"{method.full_name} allows {kind}")


@pytest.mark.parametrize("service", SERVICE_DESCRIPTORS, ids=lambda service: service.full_name)
def test_a_service_is_all_public_or_all_for_peers(service: ServiceDescriptor) -> None:
    assert len({is_public(method) for method in service.methods}) <= 1
