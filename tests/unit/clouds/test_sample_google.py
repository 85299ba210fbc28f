"""The sample tenant's Google Cloud lets in tokens about the sample tenant alone, however often it is set up."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from localcloud.sample.google_trust import federated_google_credentials, trust_issuer
from services.clouds.access import CloudEndpoints, TenantAccess
from services.clouds.gcp.federation import ExchangeRefused, FederatedIdentity
from services.clouds.gcp.identity import open_identity, read_gcp
from services.credentials.payloads import to_plaintext
from services.credentials.providers import Provider
from tests.support.google_sts import google_sts
from tests.support.oidc_issuer import LocalIssuer, local_issuer


def opened(sts: str, issuer: LocalIssuer, subject: str) -> FederatedIdentity:
    access = TenantAccess(
        tenant_id=subject,
        provider="GCP",
        plaintext=to_plaintext(Provider.GCP, federated_google_credentials("acme-sample-project")["credentials"]),
        session="test",
        endpoints=CloudEndpoints(google_sts=sts),
        token_of=lambda audience: issuer.token(subject=subject, audience=audience, now=datetime.now(UTC)),
    )
    identity = open_identity(read_gcp(access.plaintext), access)
    assert isinstance(identity, FederatedIdentity)
    return identity


def test_the_sample_tenant_is_let_in_and_no_other(tmp_path: Path) -> None:
    with google_sts(tmp_path) as sts, local_issuer() as issuer:
        for _ in range(2):
            trust_issuer(sts, issuer=issuer.url, tenant_id="acme_corp")
        opened(sts, issuer, "acme_corp").ready()
        with pytest.raises(ExchangeRefused):
            opened(sts, issuer, "other_corp").ready()
