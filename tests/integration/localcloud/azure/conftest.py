from collections.abc import Iterator

import pytest

from tests.support.azure import AzureServer, azure_server


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    """One local Azure for all tests of this folder."""
    with azure_server(tmp_path_factory.mktemp("azure")) as server:
        yield server


@pytest.fixture(scope="session")
def blobs(azure: AzureServer) -> AzureServer:
    """Blob Storage: ours."""
    return azure
