"""A tenant whose three clouds are emulators: S3 and Blob Storage with what others have exported, behind gates that count and intervene."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.executor.settings import ExecutorSettings
from services.executor.sources.spool import SpoolRoom
from services.executor.store import Store
from services.executor.templates.catalog import Catalog
from services.executor.templates.step import Toolbox
from services.platform.settings import ServiceSettings
from tests.integration.executor.conftest import catalog, private_key, project, room, store, tenant, tools
from tests.support.aws import AwsAccount
from tests.support.azure import AzureServer, azure_server
from tests.support.executor.fakes import OwnSource
from tests.support.executor.tenant import Tenant
from tests.support.exports.clouds import AWS, AZURE, Clouds, stored_credentials
from tests.support.exports.gate import ObjectGate, object_gate
from tests.support.exports.world import CloudSources, World

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
def clouds(aws_emulator: str, azure: AzureServer, gates: dict[str, ObjectGate], tenant_id: str, tmp_path: Path) -> Clouds:
    """AWS and Azure alone."""
    account = AwsAccount(url=aws_emulator)
    return Clouds(
        tenant_id=tenant_id,
        account=account,
        azure=azure,
        gates=gates,
        settings=ExecutorSettings(spool_dir=tmp_path / "spool"),
        stored=stored_credentials(account),
    )


@pytest.fixture
def world(
    tenant: Tenant, tools: Toolbox, store: Store, catalog: Catalog, service_settings: ServiceSettings, clouds: Clouds, tmp_path: Path
) -> World:
    """With BigQuery and GCP."""
    clouds = replace(clouds, tenant_id=tenant.tenant_id)
    sources = CloudSources(gcp=OwnSource(tenant, service_settings), clouds=clouds)
    made = replace(tools, sources=sources, spool=SpoolRoom(tmp_path / "spool"))
    return World(tenant=tenant, tools=made, store=store, catalog=catalog, clouds=clouds)


@pytest.fixture
def name() -> str:
    """Of an export that no other test has."""
    return f"focus-{uuid.uuid4().hex[:8]}"
