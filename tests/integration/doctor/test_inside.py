"""What the doctor inside finds in BigQuery, KMS and the other services: each is broken, and found by its name."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import grpc
import pytest
from google.cloud import kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport

from localcloud.ports import free_ports
from services.doctor.checks import control_tables, kms_key, peers, roles
from services.doctor.finding import Finding
from services.doctor.world import SERVICES, World
from services.platform.bigquery.client import BigQuery
from services.platform.bootstrap import bootstrap
from services.platform.settings import ServiceSettings
from tests.support.strict_bigquery import StrictBigQuery, strict_bigquery
from tests.support.strict_bigquery.iam import READER, WRITER, Iam

CHECKS = (control_tables, roles, kms_key)


def named(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(one.name, one.subject) for one in findings}


@pytest.fixture
async def world(service_settings: ServiceSettings, bq: BigQuery) -> World:
    return World(settings=service_settings, names=SERVICES, bq=bq, now=datetime.now(UTC))


@pytest.fixture
async def own(service_settings: ServiceSettings) -> AsyncIterator[World]:
    """With a control dataset that a test may break."""
    settings = service_settings.model_copy(update={"control_dataset": f"tenants_{uuid.uuid4().hex[:8]}"})
    async with BigQuery(settings, service="tests") as bq:
        yield World(settings=settings, names=SERVICES, bq=bq, now=datetime.now(UTC))


async def test_where_all_is_well_nothing_is_found(world: World) -> None:
    assert [finding for check in CHECKS for finding in await check.look(world)] == []


async def test_a_missing_dataset_table_view_and_column_are_found(own: World) -> None:
    assert named(await control_tables.look(own)) == {("control-dataset-missing", own.bigquery.control())}

    await bootstrap(own.settings, own.bigquery)
    client, control = own.bigquery.client, own.bigquery.control()
    client.delete_table(f"{control}.audit_heads")
    client.query_and_wait(f"DROP VIEW `{control}.runnable_tenants`")
    client.query_and_wait(f"ALTER TABLE `{control}.tenant_profiles` DROP COLUMN admin_email")

    assert named(await control_tables.look(own)) == {
        ("control-table-missing", "audit_heads"),
        ("control-table-missing", "runnable_tenants"),
        ("control-column-missing", "tenant_profiles"),
    }
    assert await roles.look(own) == [], "what is not there is no matter of roles"
    await bootstrap(own.settings, own.bigquery)
    assert await control_tables.look(own) == [], "the command that is named mends it"


@pytest.mark.parametrize(
    ("job_role", "level", "expected"),
    [
        ("bigquery.jobUser", WRITER, set()),
        ("bigquery.jobUser", READER, {"scheduler: roles/bigquery.dataEditor on tenant_pipeline_configs"}),
        ("bigquery.jobUser", 0, {"scheduler: roles/bigquery.dataViewer on runnable_tenants"}),
        (None, WRITER, {"scheduler: roles/bigquery.jobUser"}),
    ],
    ids=["all roles", "may only read", "may not even read", "may run no jobs"],
)
async def test_missing_roles_are_found(world: World, job_role: str | None, level: int, expected: set[str]) -> None:
    account, control = "scheduler@p.iam.gserviceaccount.com", world.bigquery.control()
    iam = Iam(roles={account: {world.settings.project: {job_role} if job_role else set()}}, access={control: {account: level}})
    upstream = (world.settings.bigquery_emulator_host or "").removeprefix("http://")
    with strict_bigquery(StrictBigQuery(upstream=upstream, iam=iam)) as proxy:
        settings = world.settings.model_copy(update={"bigquery_emulator_host": proxy.url_of(account)})
        async with BigQuery(settings, service="tests") as bq:
            findings = await roles.look(replace(world, settings=settings, bq=bq, names=("scheduler",)))
    assert {one.name for one in findings} <= {"role-missing"}
    assert expected <= {one.subject for one in findings}
    assert bool(findings) == bool(expected)


async def test_a_key_that_is_missing_or_disabled_is_found(world: World) -> None:
    ring = world.settings.kms_key.rpartition("/cryptoKeys/")[0]
    key = f"{ring}/cryptoKeys/k-{uuid.uuid4().hex[:8]}"
    broken = replace(world, settings=world.settings.model_copy(update={"kms_key": key}))
    assert named(await kms_key.look(broken)) == {("kms-key-unusable", key.rpartition("/")[2])}

    host = world.settings.kms_emulator_host or ""
    with grpc.insecure_channel(host) as channel:
        kms = kms_v1.KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=channel))
        purpose = kms_v1.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT
        kms.create_crypto_key(parent=ring, crypto_key_id=key.rpartition("/")[2], crypto_key=kms_v1.CryptoKey(purpose=purpose))
        assert await kms_key.look(broken) == []
        version = {"name": f"{key}/cryptoKeyVersions/1", "state": kms_v1.CryptoKeyVersion.CryptoKeyVersionState.DISABLED}
        kms.update_crypto_key_version({"crypto_key_version": version, "update_mask": {"paths": ["state"]}})
    [finding] = await kms_key.look(broken)
    assert finding.name == "kms-key-unusable"
    assert "disabled" in finding.problem


async def test_a_service_that_cannot_be_called_is_found(world: World) -> None:
    [port] = free_ports(1)
    away = world.settings.model_copy(update={"auth_address": f"127.0.0.1:{port}"})
    assert named(await peers.look(replace(world, settings=away, names=("credentials",)))) == {("service-not-serving", "auth")}
