"""Every public RPC is reachable by exactly one method, of both clients, typed as the protos say."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from convergence.client import AsyncClient, Client
from convergence.rpc.method import Method
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2

from services.platform.settings import REPOSITORY
from tools.client_code.surface import Surface, SurfaceError

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


def test_what_takes_an_idempotency_key_gets_one() -> None:
    surface = Surface(REPOSITORY / "gen/descriptor.binpb", REPOSITORY / "client/methods.toml")
    rpcs = [rpc for resource in surface.resources() for rpc in resource.rpcs]
    assert {rpc.path for rpc in rpcs if rpc.idempotency_key} == {rpc.path for rpc in rpcs if "`Idempotency-Key`" in rpc.about}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('get = "QuotaService.GetQuota"', ""),
        ('get = "QuotaService.GetQuota"', 'get = "QuotaService.GetQuota"\nread = "QuotaService.GetQuota"'),
        ('get = "QuotaService.GetQuota"', 'get = "QuotaService.GetQuota"\nreserve = "LedgerService.Reserve"'),
    ],
)
def test_a_description_that_leaves_out_repeats_or_publishes_an_rpc_is_refused(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "methods.toml"
    path.write_text((REPOSITORY / "client/methods.toml").read_text().replace(before, after))
    with pytest.raises(SurfaceError, match=r"QuotaService\.GetQuota|LedgerService\.Reserve"):
        Surface(REPOSITORY / "gen/descriptor.binpb", path).resources()
