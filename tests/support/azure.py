"""The local Azure inside the test process, and what tests seed it with."""

import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from azure.storage.blob import ContainerClient

from localcloud.azure.directory import ClientSecret, EntraApplication, FederatedCredential, RoleAssignment, Seed, StorageAccount
from localcloud.azure.server import LocalAzure, serving_azure
from localcloud.certs import mint
from services.clouds.access import AccessRefused, CloudEndpoints, TenantAccess
from services.clouds.azure.identity import AzureIdentity

DIRECTORY, OTHER_DIRECTORY = "8f3c1f52-0b7e-4b8e-9f55-6f6f27f8d001", "8f3c1f52-0b7e-4b8e-9f55-6f6f27f8d002"
READER, WRITER, STRANGER, OTHER = (f"4d1c2b6a-7a0e-4c38-a1d4-0000000000{number:02}" for number in (1, 2, 3, 4))
SECRET, EXPIRED = "reader~secret~0001", "expired~secret~0001"
ACCOUNT, CLOSED, FOREIGN, CONTAINER = "acmetests", "acmeclosed", "acmeforeign", "exports"
ISSUER, TENANT = "http://issuer.example", "acme_corp"
FEDERATED = FederatedCredential(issuer=ISSUER, subject=TENANT, audience="api://AzureADTokenExchange")


def _application(client_id: str, *roles: RoleAssignment, directory_id: str = DIRECTORY, **more: Any) -> EntraApplication:
    secrets = (ClientSecret(value=SECRET), ClientSecret(value=EXPIRED, expires_at=datetime(2026, 1, 1, tzinfo=UTC)))
    return EntraApplication(directory_id=directory_id, client_id=client_id, secrets=secrets, roles=roles, **more)


SEED = Seed(
    applications=(
        _application(
            READER, *(RoleAssignment(account=one, role="Storage Blob Data Reader") for one in (ACCOUNT, CLOSED)), federated=(FEDERATED,)
        ),
        _application(WRITER, RoleAssignment(account=ACCOUNT, role="Storage Blob Data Contributor")),
        _application(STRANGER),
        _application(OTHER, directory_id=OTHER_DIRECTORY),
    ),
    accounts=(
        StorageAccount(name=ACCOUNT, directory_id=DIRECTORY),
        StorageAccount(name=CLOSED, directory_id=DIRECTORY, firewall=True),
        StorageAccount(name=FOREIGN, directory_id=OTHER_DIRECTORY),
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AzureServer:
    """A running local Azure."""

    azure: LocalAzure
    url: str
    ca: Path
    blobs: str = ""
    """Where blobs are, if elsewhere: tokens are ours also there."""

    def identity(self, client_id: str = READER, **credentials: str | None) -> AzureIdentity:
        """As an application with SECRET, unless `credentials` say something else."""
        identity = AzureIdentity(self.access(client_id, **credentials))
        if self.blobs:
            identity._endpoints = replace(identity._endpoints, azure=self.blobs)
        return identity

    def access(self, client_id: str = READER, token: str | None = None, **credentials: str | None) -> TenantAccess:
        """`token`: the identity token of a tenant without a secret."""
        stored = {"directory_id": DIRECTORY, "client_id": client_id, "client_secret": None if token else SECRET, **credentials}

        def token_of(_: str) -> str:
            if token is None:
                raise AccessRefused("No token.")
            return token

        return TenantAccess(
            tenant_id=TENANT,
            provider="AZURE",
            plaintext=json.dumps({name: value for name, value in stored.items() if value is not None}).encode(),
            session="run-1",
            endpoints=CloudEndpoints(azure=self.url, ca=self.ca),
            token_of=token_of,
        )

    def served(self) -> list[str]:
        """Requests since the last call, without those that sign in."""
        found = [one for one in self.azure.requests if "/oauth2/" not in one and ".well-known" not in one]
        self.azure.requests.clear()
        return found


@contextlib.contextmanager
def azure_server(folder: Path) -> Iterator[AzureServer]:
    """A local Azure with SEED."""
    mint(folder / "certs")
    azure = LocalAzure(folder / "azure")
    azure.directories.seed(SEED)
    with serving_azure(azure, "127.0.0.1", 0, folder / "certs") as port:
        yield AzureServer(azure=azure, url=f"https://127.0.0.1:{port}", ca=folder / "certs" / "ca.pem")


@contextlib.contextmanager
def writing(server: AzureServer, container: str = CONTAINER) -> Iterator[ContainerClient]:
    """A client that may write, of a container that exists."""
    identity = server.identity(WRITER)
    client = identity.container(ACCOUNT, container)
    try:
        if not client.exists():
            client.create_container()
        yield client
    finally:
        identity.close()


def put(client: ContainerClient, name: str, content: bytes) -> None:
    """Writes a blob, whether there is one or not."""
    client.upload_blob(name, io.BytesIO(content), length=len(content), overwrite=True)


def manifest_json(files: Mapping[str, int] | Sequence[Mapping[str, Any]], **changes: Any) -> dict[str, Any]:
    """A manifest as Azure writes it, of a run over the whole of March 2026. `files`: names and sizes; `changes`: into runInfo or
    exportConfig, by key, or in its place.
    """
    blobs = [{"blobName": name, "byteCount": size} for name, size in files.items()] if isinstance(files, Mapping) else list(files)
    content: dict[str, Any] = {
        "manifestVersion": "2024-04-01",
        "byteCount": sum(blob.get("byteCount", 0) for blob in blobs),
        "blobCount": len(blobs),
        "dataRowCount": 10 * len(blobs),
        "exportConfig": {
            "exportName": "daily-focus",
            "resourceId": "/subscriptions/1/providers/Microsoft.CostManagement/exports/daily-focus",
            "dataVersion": "1.2-preview",
            "apiVersion": "2023-07-01-preview",
            "type": "FocusCost",
            "timeFrame": "MonthToDate",
            "granularity": "Daily",
        },
        "deliveryConfig": {
            "partitionData": True,
            "dataOverwriteBehavior": "CreateNewReport",
            "fileFormat": "Parquet",
            "compressionMode": "Snappy",
            "containerUri": "/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/acmebilling",
            "rootFolderPath": "finops",
        },
        "runInfo": {
            "executionType": "Scheduled",
            "submittedTime": "2026-04-02T05:04:06.5234447Z",
            "runId": "bbac73f1-9a05-4de6-84ab-c72b568a03b4",
            "startDate": "2026-03-01T00:00:00",
            "endDate": "2026-03-31T00:00:00Z",
        },
        "blobs": blobs,
    }
    for key, value in changes.items():
        place = next((part for part in (content["runInfo"], content["exportConfig"], content["deliveryConfig"]) if key in part), content)
        place[key] = value
    return content
