from collections.abc import Iterator

import pytest
from azure.storage.blob import ContainerClient

from tests.support.azure import AzureServer, azure_server, writing


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    """One local Azure for all tests of this folder; each has a container of its own."""
    with azure_server(tmp_path_factory.mktemp("azure")) as server:
        yield server


@pytest.fixture
def container(azure: AzureServer, request: pytest.FixtureRequest) -> Iterator[ContainerClient]:
    """Where the tenant's Cost Management writes."""
    with writing(azure, f"c{abs(hash(request.node.nodeid)) % 10**12}") as client:
        yield client
