"""Credentials inside the test process, on the worker's BigQuery and KMS emulators."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from services.clouds.access import CloudEndpoints
from services.clouds.check_pool import CheckPool
from services.clouds.own_resources import OwnResources
from services.credentials.dataset_access import DatasetAccess
from services.credentials.datasets import TenantDatasets
from services.credentials.exports.process import DatasetExports
from services.credentials.issuer.issuer import TokenIssuer
from services.credentials.payloads import PayloadRules
from services.credentials.servicers.access_check import AccessCheckServicer
from services.credentials.servicers.credential import CredentialServicer
from services.credentials.servicers.sealed_credential import SealedCredentialServicer
from services.credentials.set_credentials import CredentialChanges
from services.credentials.store import CredentialStore
from services.credentials.validate import CredentialValidator
from services.platform import metrics
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.clock import SystemClock
from services.platform.kms.client import Kms
from services.platform.settings import REPOSITORY, ServiceSettings
from tests.support.credentials.locations import Everywhere
from tests.support.credentials.samples import Rsa, new_rsa

DDL = REPOSITORY / "configs" / "bigquery" / "tenant"


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """One process of the service."""

    store: CredentialStore
    datasets: TenantDatasets
    changes: CredentialChanges
    servicer: CredentialServicer
    sealed: SealedCredentialServicer
    access: AccessCheckServicer
    exports: DatasetExports


@pytest.fixture(scope="session")
def rsa() -> Rsa:
    return new_rsa()


@pytest.fixture(scope="session")
async def kms(service_settings: ServiceSettings) -> AsyncIterator[Kms]:
    async with Kms(service_settings) as client:
        yield client


@pytest.fixture(scope="session")
async def checks() -> AsyncIterator[CheckPool]:
    async with CheckPool(threads=2) as pool:
        yield pool


@pytest.fixture
def process(bq: BigQuery, kms: Kms, checks: CheckPool, service_settings: ServiceSettings) -> Callable[..., Suite]:
    """Makes what one process of the service holds; tests that need two make two."""

    def make(
        *,
        kms: Kms = kms,
        bq: BigQuery = bq,
        access: DatasetAccess | None = None,
        issuer: TokenIssuer | None = None,
        endpoints: CloudEndpoints | None = None,
    ) -> Suite:
        store = CredentialStore(bq)
        datasets = TenantDatasets(bq, locations=Everywhere(), ddl=DDL, access=access or DatasetAccess())
        changes = CredentialChanges(store, datasets, kms, SystemClock())
        validator = CredentialValidator(checks, endpoints or CloudEndpoints.of(service_settings), issuer)
        return Suite(
            store=store,
            datasets=datasets,
            changes=changes,
            servicer=CredentialServicer(
                changes, store, issuer, validator, PayloadRules(own=OwnResources.of(service_settings)), SystemClock()
            ),
            sealed=SealedCredentialServicer(store),
            access=AccessCheckServicer(store),
            exports=DatasetExports(bq, datasets),
        )

    return make


@pytest.fixture
def credentials(process: Callable[..., Suite]) -> Suite:
    """The service."""
    return process()


class Tables:
    """What stands in the tables, for tests."""

    def __init__(self, bq: BigQuery) -> None:
        self._bq = bq

    async def stored(self, tenant_id: str) -> list[dict[str, Any]]:
        sql = (
            "SELECT credential_id, tenant_id, provider, encrypted_credentials, kms_key_version, created_by_user_id, created_at,"
            " updated_by_user_id, updated_at FROM tenant_cloud_credentials WHERE tenant_id = @tenant_id"
        )
        block = make_block("test_stored", sql, {"tenant_id": "STRING"})
        return (await self._bq.query(block, {"tenant_id": tenant_id}, dataset=self._bq.control())).rows

    async def audit(self, tenant_id: str) -> list[dict[str, Any]]:
        sql = "SELECT log_id, tenant_id, user_id, action, provider, timestamp FROM x_meta_step_logs ORDER BY timestamp"
        return (await self._bq.query(make_block("test_audit", sql, {}), {}, dataset=self._bq.tenant(tenant_id))).rows

    async def names(self, tenant_id: str) -> set[str]:
        return await self._bq.call(
            "test_list", lambda left: {table.table_id for table in self._bq.client.list_tables(self._bq.tenant(tenant_id), timeout=left)}
        )

    async def duplicate(self, tenant_id: str, *, encrypted: bytes, provider: str, credential_id: str, at: datetime) -> None:
        """A row as another process leaves it that was first at the same moment."""
        sql = (
            "INSERT INTO tenant_cloud_credentials (credential_id, tenant_id, provider, encrypted_credentials, created_at)"
            " VALUES (@credential_id, @tenant_id, @provider, @encrypted, @at)"
        )
        kinds = {"credential_id": "STRING", "tenant_id": "STRING", "provider": "STRING", "encrypted": "BYTES", "at": "TIMESTAMP"}
        params = {"credential_id": credential_id, "tenant_id": tenant_id, "provider": provider, "encrypted": encrypted, "at": at}
        await self._bq.query(make_block("test_duplicate", sql, kinds), params, dataset=self._bq.control())


@pytest.fixture
def tables(bq: BigQuery) -> Tables:
    return Tables(bq)


class Budget:
    """Counts what was submitted to BigQuery since it was made."""

    def __init__(self) -> None:
        self._before = self._counts()

    @staticmethod
    def _counts() -> dict[str, float]:
        samples = [sample for metric in metrics.BIGQUERY_JOBS.collect() for sample in metric.samples if sample.name.endswith("_total")]
        return {sample.labels["statement"]: sample.value for sample in samples}

    def jobs(self) -> dict[str, float]:
        """Statement to times, for those that were sent."""
        return {name: count - self._before.get(name, 0) for name, count in self._counts().items() if count != self._before.get(name, 0)}
