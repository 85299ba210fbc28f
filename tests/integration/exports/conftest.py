"""A tenant whose three clouds are emulators: S3 and Blob Storage with what others have exported, behind gates that count and intervene."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.clouds.access import CloudEndpoints
from services.executor.settings import ExecutorSettings
from services.executor.store import Store
from services.executor.templates.catalog import Catalog
from services.executor.templates.step import Toolbox
from services.platform.settings import ServiceSettings
from tests.integration.executor.conftest import catalog, private_key, project, room, store, tenant, tools
from tests.support.aws import AwsAccount
from tests.support.azure import DIRECTORY, READER, SECRET, AzureServer, azure_server
from tests.support.executor.fakes import OwnSource
from tests.support.executor.tenant import Tenant
from tests.support.exports.gate import ObjectGate, object_gate
from tests.support.exports.world import AWS, AZURE, CloudSources, World

__all__ = ["catalog", "private_key", "project", "room", "store", "tenant", "tools"]


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    with azure_server(tmp_path_factory.mktemp("azure")) as server:
        yield server


@pytest.fixture(scope="session")
def gates(aws_emulator: str, azure: AzureServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ObjectGate]]:
    folder = tmp_path_factory.mktemp("gates")
    with (
        object_gate(ObjectGate(upstream=aws_emulator), folder) as s3,
        object_gate(ObjectGate(upstream=azure.url), folder) as blobs,
    ):
        yield {AWS: s3, AZURE: blobs}


@pytest.fixture
def world(
    tenant: Tenant,
    tools: Toolbox,
    store: Store,
    catalog: Catalog,
    service_settings: ServiceSettings,
    aws_emulator: str,
    azure: AzureServer,
    gates: dict[str, ObjectGate],
    tmp_path: Path,
) -> World:
    (tmp_path / "spool").mkdir(exist_ok=True)
    account = AwsAccount(url=aws_emulator)
    user = account.user({"Version": "2012-10-17", "Statement": _reads(account.bucket)})
    settings = ExecutorSettings(**{**service_settings.model_dump(), "spool_dir": tmp_path / "spool"})
    sources = CloudSources(
        gcp=OwnSource(tenant, service_settings),
        tenant_id=tenant.tenant_id,
        settings=settings,
        endpoints=CloudEndpoints(aws=gates[AWS].url, azure=gates[AZURE].url, ca=gates[AZURE].ca),
        stored={
            "AWS": json.dumps(user).encode(),
            "AZURE": json.dumps({"directory_id": DIRECTORY, "client_id": READER, "client_secret": SECRET}).encode(),
        },
    )
    made = replace(tools, sources=sources, spool_dir=tmp_path / "spool")
    return World(tenant=tenant, tools=made, store=store, catalog=catalog, account=account, azure=azure, gates=gates)


@pytest.fixture
def name() -> str:
    """Of an export that no other test has."""
    return f"focus-{uuid.uuid4().hex[:8]}"


def _reads(bucket: str) -> list[dict[str, object]]:
    return [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{bucket}"},
    ]
