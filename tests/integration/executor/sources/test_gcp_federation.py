"""A tenant's BigQuery is read by the tenant's subject, or by the account that it may use, with tokens of the local token service alone."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import requests
from google.api_core import exceptions
from google.oauth2.credentials import Credentials

from localcloud.settings import LocalSettings
from services.clouds.access import CloudEndpoints, TenantAccess
from services.clouds.gcp.federation import REFUSALS, ExchangeFault, FederatedIdentity
from services.clouds.gcp.identity import open_identity, read_gcp, storage_reader
from services.executor.errors import StepError
from services.executor.records import Period
from services.executor.sources.gcp.bigquery import GcpBilling
from services.executor.sources.gcp.export_rows import RowFilter
from services.platform.settings import ServiceSettings
from tests.integration.executor.steps.test_billing import DAY, export
from tests.support.executor.billing_export import row
from tests.support.executor.tenant import Tenant
from tests.support.google_sts import EMAIL, POOL, PROVIDER, allow_impersonation, google_sts, trust
from tests.support.oidc_issuer import LocalIssuer, local_issuer

OF_DAY = RowFilter(period=Period(first=DAY, last=DAY))


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with local_issuer() as it:
        yield it


@pytest.fixture(scope="module")
def sts(emulators: LocalSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the worker's BigQuery looks for it."""
    with google_sts(tmp_path_factory.mktemp("sts"), emulators.google_sts_port) as url:
        yield url


def opened(
    tenant: Tenant, issuer: LocalIssuer, sts: str, settings: ServiceSettings, *, email: str | None = None, subject: str | None = None
) -> tuple[GcpBilling, FederatedIdentity]:
    stored = {"project_id": tenant.project, "workload_identity_provider": PROVIDER, "service_account_email": email}
    access = TenantAccess(
        tenant_id=tenant.tenant_id,
        provider="GCP",
        plaintext=json.dumps(stored).encode(),
        session="test",
        endpoints=CloudEndpoints(google_sts=sts),
        token_of=lambda audience: issuer.token(subject=subject or tenant.tenant_id, audience=audience, now=datetime.now(UTC)),
    )
    credentials = read_gcp(access.plaintext)
    identity = open_identity(credentials, access)
    assert isinstance(identity, FederatedIdentity)
    return GcpBilling(credentials, settings, identity=identity), identity


def reader(cloud: GcpBilling) -> str:
    [(name,)] = cloud.client.query_and_wait("SELECT SESSION_USER()")
    return str(name)


async def test_an_export_is_read_by_the_subject_and_by_the_account_that_it_may_use(
    tenant: Tenant, issuer: LocalIssuer, sts: str, service_settings: ServiceSettings
) -> None:
    export(tenant, [row(DAY), row(DAY)])
    trust(sts, issuer.url, tenant.tenant_id)
    allow_impersonation(sts, tenant.tenant_id)
    for email, who in ((None, f"principal://iam.googleapis.com/{POOL}/subject/{tenant.tenant_id}"), (EMAIL, EMAIL)):
        cloud, identity = opened(tenant, issuer, sts, service_settings, email=email)
        [found] = cloud.list_tables(lambda: None).tables
        assert sum(batch.num_rows for batch in cloud.read(found.name, None, OF_DAY)) == 2
        assert reader(cloud) == who
        # In a long run: what was signed before is worth nothing any more, and the next request gets a new token.
        issuer.published = [issuer.rotate()]
        identity.token, identity.expiry = None, None
        assert sum(batch.num_rows for batch in cloud.read(found.name, None, OF_DAY)) == 2
        cloud.close()

    other, _ = opened(tenant, issuer, sts, service_settings, subject="other_tenant")
    with pytest.raises(StepError) as refused:
        other.list_tables(lambda: None)
    assert (refused.value.message, refused.value.is_retryable) == (REFUSALS[ExchangeFault.CONDITION], False)
    other.close()


def test_bigquery_takes_no_token_that_the_token_service_has_not_issued(tenant: Tenant, sts: str, service_settings: ServiceSettings) -> None:
    claims = {"iss": sts, "sub": EMAIL, "aud": "google-apis", "iat": 0, "exp": 4_000_000_000}
    forged = ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "RS256"}, claims, {}))
    identity = Credentials(token=forged)  # type: ignore[no-untyped-call]
    answer = requests.get(
        f"{tenant.host}/bigquery/v2/projects/{tenant.project}/datasets", headers={"authorization": f"Bearer {forged}"}, timeout=10
    )
    assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    storage = storage_reader(identity, service_settings.bigquery_storage_emulator_host)
    with pytest.raises(exceptions.Unauthenticated):
        storage.create_read_session(parent=f"projects/{tenant.project}", read_session={"table": "t", "data_format": "ARROW"}, retry=None)
    storage.transport.close()
