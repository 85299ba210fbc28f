"""Two tenants in two locations, none of them the installation's: every job is where its tables are."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import grpc
import pytest
from convergence.auth.v1.api_key_service_pb2 import CreateApiKeyRequest
from convergence.auth.v1.api_key_service_pb2_grpc import ApiKeyServiceStub
from convergence.auth.v1.tenant_service_pb2 import PutTenantRequest
from convergence.auth.v1.tenant_service_pb2_grpc import TenantServiceStub
from convergence.credentials.v1.credential_service_pb2 import SetCredentialsRequest
from convergence.credentials.v1.credential_service_pb2_grpc import CredentialServiceStub
from convergence.executor.v1.access_service_pb2 import CheckCredentialsRequest
from convergence.executor.v1.access_service_pb2_grpc import AccessServiceStub
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport

from benchmarks.crowd import Member
from benchmarks.latency.times import AT_ONCE
from localcloud.settings import LocalSettings
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.settings import AdminKey, ServiceSettings
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.support.followed_run import FollowedServices, followed_services
from tests.support.strict_bigquery import StrictBigQuery, strict_bigquery
from tests.support.strict_bigquery.request import Request

DAY = date(2025, 11, 17)
ADMIN = "an admin key of this test alone"
KEYS = {
    "EU": "projects/convergence-local/locations/europe/keyRings/places/cryptoKeys/credentials",
    "europe-west1": "projects/convergence-local/locations/europe-west1/keyRings/places/cryptoKeys/credentials",
}


@dataclass(kw_only=True)
class Record(StrictBigQuery):
    """The strict proxy, which keeps what was asked about jobs."""

    jobs: list[Request] = field(default_factory=list)
    polls: list[Request] = field(default_factory=list)

    @contextmanager
    def passing(self, request: Request, caller: str) -> Iterator[None]:
        if request.is_new_job:
            self.jobs.append(request)
        if request.is_poll:
            self.polls.append(request)
        yield

    def places(self, dataset: str) -> set[str]:
        """Where jobs about `project.dataset` were sent."""
        return {
            job.location
            for job in self.jobs
            if dataset in {job.default_dataset, f"{job.project}.{job.loads_into}"} or f"`{dataset}." in job.sql
        }


@pytest.fixture
def settings(service_settings: ServiceSettings) -> ServiceSettings:
    """With a key in each location."""
    assert service_settings.kms_emulator_host
    with grpc.insecure_channel(service_settings.kms_emulator_host) as channel:
        admin = kms_v1.KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=channel))
        for key in KEYS.values():
            ring, _, identity = key.partition("/cryptoKeys/")
            parent, _, name = ring.partition("/keyRings/")
            admin.create_key_ring({"parent": parent, "key_ring_id": name, "key_ring": {}})
            admin.create_crypto_key({"parent": ring, "crypto_key_id": identity, "crypto_key": {"purpose": "ENCRYPT_DECRYPT"}})
    sha256 = hashlib.sha256(ADMIN.encode()).hexdigest()
    own = {"tenant_locations": KEYS, "admin_keys": (AdminKey(role="provisioner", sha256=sha256),)}
    return service_settings.model_copy(update=own)


def make_export(host: str, project: str, location: str) -> str:
    """A view over a billing export, which only a query job can read. Returns its name."""
    with bigquery.Client(project, AnonymousCredentials(), client_options={"api_endpoint": host}) as client:  # type: ignore[no-untyped-call]
        dataset = bigquery.Dataset(f"{project}.exports")
        dataset.location = location
        client.create_dataset(dataset)
        table = f"{project}.exports.gcp_billing_export_v1_{ACCOUNT}"
        load(host, table, many(DAY, 20), STANDARD)
        view = bigquery.Table(f"{project}.exports.costs")
        view.view_query = f"SELECT * FROM `{table}`"
        client.create_table(view)
    return str(view.reference)


async def move_in(services: FollowedServices, tenant_id: str, location: str, project: str, private_key: str) -> Member:
    """Provisions a tenant, and sets its credentials, as operators and tenants do."""
    admin, tenants = [("x-admin-key", ADMIN)], TenantServiceStub(services.auth)
    put = await tenants.PutTenant(PutTenantRequest(tenant_id=tenant_id, company_name="Acme", location=location.lower()), metadata=admin)
    assert put.tenant.location == location
    key = (await ApiKeyServiceStub(services.auth).CreateApiKey(CreateApiKeyRequest(tenant_id=tenant_id), metadata=admin)).api_key
    account = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": "0123456789abcdef",
        "client_email": f"reader@{project}.iam.gserviceaccount.com",
        "client_id": "112233445566778899001",
        "private_key": private_key,
    }
    request = SetCredentialsRequest(tenant_id=tenant_id, provider="GCP")
    request.credentials.update({"project_id": project, "service_account_json": json.dumps(account)})
    await CredentialServiceStub(services.credentials).SetCredentials(request, metadata=[("x-api-key", key)])
    return Member(tenant_id=tenant_id, api_key=key, limits={}, admitted=0)


async def test_every_job_is_where_its_tables_are(
    settings: ServiceSettings, emulators: LocalSettings, bq: BigQuery, private_key: str, tenant_id: str, tmp_path: Path
) -> None:
    """The emulator refuses a job that is elsewhere; here each one's own word is looked at. One export is where its tenant is, the other is
    read across regions, and said to be.
    """
    assert settings.bigquery_emulator_host
    rules = Record(upstream=settings.bigquery_emulator_host.removeprefix("http://"), rate=10_000)
    project = tenant_id.replace("_", "-")
    exports = {"EU": f"{project}-us", "europe-west1": f"{project}-ew1"}
    views = {
        "EU": make_export(settings.bigquery_emulator_host, exports["EU"], "US"),
        "europe-west1": make_export(settings.bigquery_emulator_host, exports["europe-west1"], "europe-west1"),
    }
    tenants = {location: f"{tenant_id}_{number}" for number, location in enumerate(KEYS)}
    with strict_bigquery(rules):
        proxied = emulators.model_copy(update={"bigquery_port": int(rules.url.rpartition(":")[2])})
        async with followed_services(settings, proxied, bq, tmp_path) as services:
            for location, tenant in tenants.items():
                member = await move_in(services, tenant, location, exports[location], private_key)
                await services.follow(member, AT_ONCE, date=str(DAY), export_table=views[location])
                found = await check(services, member, views[location])
                assert ("across regions" in found) is (location == "EU")

    assert rules.places(bq.control()) == {"US"}
    for location, tenant in tenants.items():
        assert rules.places(bq.tenant(tenant)) == {location}
        assert (await read_across(bq, tenant)) is (location == "EU")
        assert (await key_version(bq, tenant)).startswith(f"{KEYS[location]}/")
        published = make_block("test_costs", "SELECT COUNT(*) AS n FROM billing_cost_daily", {})
        assert (await bq.query(published, {}, dataset=bq.tenant(tenant))).only_row["n"] == 20
    assert rules.places(f"{exports['EU']}.exports") == {"US"}
    assert rules.places(f"{exports['europe-west1']}.exports") == {"europe-west1"}
    assert all(job.location for job in rules.jobs)
    assert {poll.location for poll in rules.polls} == {"US", *KEYS}


async def check(services: FollowedServices, member: Member, export: str) -> str:
    request = CheckCredentialsRequest(tenant_id=member.tenant_id, provider="GCP", export=export)
    answer = await AccessServiceStub(services.executor).CheckCredentials(request, metadata=[("x-api-key", member.api_key)])
    assert answer.verdict == "WORKS", answer
    return str(answer)


async def read_across(bq: BigQuery, tenant_id: str) -> bool:
    """Whether the run's log says so."""
    sql = "SELECT TO_JSON_STRING(metadata) AS metadata FROM x_meta_step_logs WHERE action = 'STEP_COMPLETED'"
    rows = (await bq.query(make_block("test_logs", sql, {}), {}, dataset=bq.tenant(tenant_id))).rows
    said: list[dict[str, Any]] = [json.loads(row["metadata"] or "{}") or {} for row in rows]
    return any("read_across" in one for one in said)


async def key_version(bq: BigQuery, tenant_id: str) -> str:
    sql = "SELECT kms_key_version FROM tenant_cloud_credentials WHERE tenant_id = @tenant_id"
    block = make_block("test_key", sql, {"tenant_id": "STRING"})
    return str((await bq.query(block, {"tenant_id": tenant_id}, dataset=bq.control())).only_row["kms_key_version"])
