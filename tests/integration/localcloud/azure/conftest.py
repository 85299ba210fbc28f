import base64
import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from localcloud.ports import free_ports
from localcloud.processes.readiness import https_answers
from localcloud.rest import until
from services.platform.settings import REPOSITORY
from tests.support.azure import ACCOUNT, AzureServer, azure_server

AZURITE = REPOSITORY / ".cache/azurite/node_modules/.bin/azurite-blob"


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    """One local Azure for all tests of this folder."""
    with azure_server(tmp_path_factory.mktemp("azure")) as server:
        yield server


@pytest.fixture(scope="session", params=["ours", *(["azurite"] if os.environ.get("AZURITE") else [])])
def blobs(azure: AzureServer, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    """Blob Storage: ours, and Azurite too with AZURITE=1, see `make test-azurite`."""
    if request.param == "ours":
        yield azure
        return
    with azurite(azure.ca.parent, tmp_path_factory.mktemp("azurite")) as url:
        yield replace(azure, blobs=url)


@contextlib.contextmanager
def azurite(certs: Path, folder: Path) -> Iterator[str]:
    """Microsoft's emulator of Blob Storage, which takes our tokens: it looks at issuer, audience and times, not at the signature."""
    [port] = free_ports(1)
    options = {"--oauth": "basic", "--cert": certs / "azure.pem", "--key": certs / "azure.key", "--blobPort": port, "--location": folder}
    command = [
        str(AZURITE),
        *(str(word) for option in options.items() for word in option),
        "--silent",
        "--skipApiVersionCheck",
        "--disableTelemetry",
    ]
    accounts = {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{base64.b64encode(bytes(64)).decode()}"}
    is_ready = https_answers(f"https://127.0.0.1:{port}/", certs / "ca.pem")
    with subprocess.Popen(command, env={**os.environ, **accounts}) as process:
        try:
            until(is_ready, lambda problem: problem is None, seconds=30)
            yield f"https://127.0.0.1:{port}"
        finally:
            process.terminate()
