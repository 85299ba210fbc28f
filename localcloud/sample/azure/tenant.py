"""The sample tenant's Azure: a directory with two applications, of which one writes its exports and one reads them, and their storage."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import requests
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import ContainerClient

from localcloud.azure.directory import ClientSecret, EntraApplication, FederatedCredential, RoleAssignment, Seed, StorageAccount
from localcloud.files import write_private
from localcloud.sample.azure.export import CONTAINER, CSV, DIRECTORY, PARQUET, deliver_azure
from localcloud.sample.azure.rows import azure_catalog, next_month
from services.clouds.access import CloudEndpoints, TenantAccess, no_token
from services.clouds.audiences import AZURE
from services.clouds.azure.identity import AzureIdentity

DIRECTORY_ID: Final = "72f98a10-6a1b-4d0e-9c57-0d3f0a9b1c01"
READER_ID: Final = "72f98a10-6a1b-4d0e-9c57-0d3f0a9b1c02"
WRITER_ID: Final = "72f98a10-6a1b-4d0e-9c57-0d3f0a9b1c03"
ACCOUNT: Final = "acmebilling"
AZURE_EXPORT: Final = f"{ACCOUNT}/{CONTAINER}/{DIRECTORY}/{PARQUET.name}"
"""The parameter `export` of the pipeline azure/cost/focus."""
AZURE_CSV_EXPORT: Final = f"{ACCOUNT}/{CONTAINER}/{DIRECTORY}/{CSV.name}"
_SECRET: Final = "sample~opens~the~emulator~only"  # noqa: S105 - as it says
_SECONDS: Final = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class AzureSample:
    """What was delivered."""

    export: str
    months: tuple[date, ...]
    """First days; the last one is the current month, unless it has no day yet."""
    rows: int
    """Of all months."""


def load_azure(endpoint: str, ca: Path, *, today: date, issuer: str, tenant_id: str) -> AzureSample:
    """Fills the emulator at `endpoint`: last month and this one to yesterday, as Parquet, and last month as CSV too; a reader with a
    secret, which also trusts `issuer`'s tokens about the tenant. Repeating the call gives the same.
    """
    seed = _seed(FederatedCredential(issuer=issuer, subject=tenant_id, audience=AZURE))
    answer = requests.put(f"{endpoint}/_admin/seed", data=seed.model_dump_json(), verify=str(ca), timeout=_SECONDS)
    answer.raise_for_status()
    yesterday, this = today - timedelta(days=1), today.replace(day=1)
    last = (this - timedelta(days=1)).replace(day=1)
    months = [last, *([this] if yesterday >= this else [])]
    with azure_writer(endpoint, ca) as container:
        with contextlib.suppress(ResourceExistsError):
            container.create_container()
        rows = sum(deliver_azure(container, month, yesterday) for month in months)
        deliver_azure(container, last, yesterday, export=CSV)
    return AzureSample(export=AZURE_EXPORT, months=tuple(months), rows=rows)


def restate_azure(endpoint: str, ca: Path, month: date) -> int:
    """Azure corrects a month that has ended: a credit more, one charge doubled. Its number of rows."""
    with azure_writer(endpoint, ca) as container:
        return deliver_azure(container, month, next_month(month) - timedelta(days=1), is_restated=True)


@contextlib.contextmanager
def azure_writer(endpoint: str, ca: Path) -> Iterator[ContainerClient]:
    """The container, as Cost Management sees it."""
    access = TenantAccess(
        tenant_id="",
        provider="AZURE",
        plaintext=json.dumps(_credentials(WRITER_ID) | {"client_secret": _SECRET}).encode(),
        session="sample",
        endpoints=CloudEndpoints(azure=endpoint, ca=ca),
        token_of=no_token,
    )
    identity = AzureIdentity(access)
    try:
        yield identity.container(ACCOUNT, CONTAINER)
    finally:
        identity.close()


def secret_credentials() -> dict[str, Any]:
    """The body of `POST .../credentials` with the reader's secret, which opens nothing but this machine's emulator."""
    return {"provider": "AZURE", "credentials": {**_credentials(READER_ID), "client_secret": _SECRET}}


def federated_azure_credentials() -> dict[str, Any]:
    """The same without a secret: the reader trusts this installation's tokens about the tenant."""
    return {"provider": "AZURE", "credentials": _credentials(READER_ID)}


def write_azure_credentials(path: Path) -> None:
    """Writes `secret_credentials`, mode 0600."""
    write_private(path, json.dumps(secret_credentials(), indent=1))


def _credentials(client_id: str) -> dict[str, str]:
    return {"directory_id": DIRECTORY_ID, "client_id": client_id, "subscription_id": azure_catalog()["subscriptions"][0]["id"]}


def _seed(trusted: FederatedCredential) -> Seed:
    secrets = (ClientSecret(value=_SECRET),)
    reads = RoleAssignment(account=ACCOUNT, container=CONTAINER, role="Storage Blob Data Reader")
    writes = RoleAssignment(account=ACCOUNT, container=CONTAINER, role="Storage Blob Data Contributor")
    return Seed(
        applications=(
            EntraApplication(directory_id=DIRECTORY_ID, client_id=READER_ID, secrets=secrets, federated=(trusted,), roles=(reads,)),
            EntraApplication(directory_id=DIRECTORY_ID, client_id=WRITER_ID, secrets=secrets, roles=(writes,)),
        ),
        accounts=(StorageAccount(name=ACCOUNT, directory_id=DIRECTORY_ID),),
    )
