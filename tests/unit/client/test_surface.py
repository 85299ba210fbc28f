"""Every public RPC is reachable by exactly one method, of both clients, typed as the protos say."""

import inspect
from collections.abc import Iterator
from types import ModuleType

import pytest
from convergence.client import AsyncClient, Client
from convergence.rpc.method import Method
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2

from services.platform.settings import REPOSITORY

DESCRIPTORS = descriptor_pb2.FileDescriptorSet.FromString((REPOSITORY / "gen/descriptor.binpb").read_bytes())
PUBLIC = {
    f"/{file.package}.{service.name}/{method.name}"
    for file in DESCRIPTORS.file
    for service in file.service
    for method in service.method
    if method.options.HasExtension(annotations_pb2.http)
}


def resources(client: object) -> dict[str, object]:
    return {name: value for name, value in vars(client).items() if not name.startswith("_") and name != "connection"}


def paths(client: object) -> Iterator[tuple[str, str]]:
    """The path of the RPC that each public method of each resource names in its code, with the method's name."""
    for name, resource in resources(client).items():
        module = inspect.getmodule(type(resource))
        assert isinstance(module, ModuleType)
        for method, function in inspect.getmembers(type(resource), inspect.isfunction):
            rpc = getattr(module, f"_{method.upper()}", None)
            if not method.startswith("_") and isinstance(rpc, Method):
                assert f"_{method.upper()}" in function.__code__.co_names
                yield rpc.path, f"{name}.{method}"


@pytest.fixture(name="clients")
def _clients() -> list[object]:
    return [Client("http://127.0.0.1:1", api_key="k", tenant_id="t"), AsyncClient("http://127.0.0.1:1", api_key="k", tenant_id="t")]


def test_each_public_rpc_is_one_method_of_both_clients(clients: list[object]) -> None:
    sync, asynchronous = (sorted(paths(client)) for client in clients)
    assert sync == asynchronous
    assert [path for path, _ in sync] == sorted(PUBLIC)
