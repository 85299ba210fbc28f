"""What a check of Google Cloud finds for a tenant without a key: through the local Security Token Service, and Google's own answers."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.clouds.access import TenantAccess, TokenOf
from services.clouds.checks import check_access
from services.clouds.findings import AccessReport, AccessVerdict, FindingStatus
from services.clouds.probes import probe_subjects
from tests.support.fake_google import FakeGoogle
from tests.support.google_sts import EMAIL, POOL, PROVIDER, allow_impersonation, google_sts, trust
from tests.support.oidc_issuer import LocalIssuer, local_issuer
from tests.unit.clouds.test_gcp_check import EXPORT, google

TENANT = "acme_corp"
TABLE = f"acme-shop.billing.{EXPORT}"
OK, MISSING, OPEN = FindingStatus.OK, FindingStatus.MISSING, FindingStatus.OPEN


@pytest.fixture
def issuer() -> Iterator[LocalIssuer]:
    with local_issuer() as issuer:
        yield issuer


@pytest.fixture
def sts(tmp_path: Path) -> Iterator[str]:
    with google_sts(tmp_path) as url:
        yield url


def checked(
    fake: FakeGoogle, sts: str, issuer: LocalIssuer, *, export: str | None = None, subject: str = TENANT, email: str | None = None
) -> AccessReport:
    def about(name: str) -> TokenOf:
        return lambda audience: issuer.token(subject=name, audience=audience, now=datetime.now(UTC))

    stored = {"project_id": "acme-shop", "workload_identity_provider": PROVIDER, "service_account_email": email}
    with ExitStack() as stack:
        access = TenantAccess(
            tenant_id=TENANT,
            provider="GCP",
            plaintext=json.dumps(stored).encode(),
            session="s",
            endpoints=replace(stack.enter_context(fake.serving()), google_sts=sts),
            token_of=about(subject),
            probes={name: about(name) for name in probe_subjects(TENANT)},
        )
        return check_access(access, export)


def statuses(report: AccessReport) -> dict[str, FindingStatus]:
    return {finding.name: finding.status for finding in report.findings}


@pytest.mark.parametrize("email", [None, EMAIL])
def test_a_provider_that_takes_the_tenant_alone_works(sts: str, issuer: LocalIssuer, email: str | None) -> None:
    trust(sts, issuer.url, TENANT)
    allow_impersonation(sts, TENANT)
    fake = google()
    report = checked(fake, sts, issuer, export=TABLE, email=email)
    assert report.verdict is AccessVerdict.WORKS
    assert statuses(report) == {
        "Workload identity provider": OK,
        "Attribute condition": OK,
        "bigquery.tables.get": OK,
        "bigquery.readsessions.create": OK,
        "bigquery.tables.getData": OK,
    }
    assert not [token for token in fake.tokens if token in repr(report)]


@pytest.mark.parametrize("export", [None, TABLE])
@pytest.mark.parametrize(
    "change",
    [
        {"attributeCondition": ""},
        {"attributeCondition": "assertion.sub.startsWith('acme_')"},
        {"attributeMapping": {"google.subject": "assertion.aud"}, "attributeCondition": ""},
    ],
)
def test_a_project_that_others_tokens_open_is_open(sts: str, issuer: LocalIssuer, change: dict[str, Any], export: str | None) -> None:
    trust(sts, issuer.url, TENANT, **change)
    report = checked(google(), sts, issuer, export=export)
    assert (report.verdict, report.names(OPEN)) == (AccessVerdict.OPEN, ["Attribute condition"])
    assert "principalSet://" in (report.problem or "")


def test_a_service_account_that_anybody_s_subject_may_use_is_open(sts: str, issuer: LocalIssuer) -> None:
    trust(sts, issuer.url, TENANT, attributeMapping={"google.subject": "assertion.aud"}, attributeCondition="")
    allow_impersonation(sts, f"//iam.googleapis.com/{PROVIDER}")
    assert checked(google(), sts, issuer, email=EMAIL).verdict is AccessVerdict.OPEN


@pytest.mark.parametrize("export", [None, TABLE])
def test_tokens_about_others_that_open_nothing_are_no_fault(sts: str, issuer: LocalIssuer, export: str | None) -> None:
    """The provider takes them, but only the tenant's subject has roles."""
    trust(sts, issuer.url, TENANT, attributeCondition="")
    fake = google()
    fake.closed_to = {f"principal://iam.googleapis.com/{POOL}/subject/{one}" for one in probe_subjects(TENANT)}
    report = checked(fake, sts, issuer, export=export)
    assert (report.verdict, statuses(report)["Attribute condition"]) == (AccessVerdict.WORKS, OK)


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"attributeCondition": "assertion.sub == 'other_corp'"}, "Attribute condition", "attribute condition"),
        ({"provider": f"{POOL}/providers/another"}, "Workload identity provider", "finds no enabled workload identity provider"),
        ({"oidc": {"issuerUri": "https://issuer.example"}}, "Issuer URL", "trusts another issuer"),
        ({"email": EMAIL}, "iam.serviceAccounts.getAccessToken", "Workload Identity User"),
    ],
)
def test_what_google_does_not_accept_is_refused_by_name(
    sts: str, issuer: LocalIssuer, change: dict[str, Any], name: str, words: str
) -> None:
    email = change.pop("email", None)
    trust(sts, issuer.url, TENANT, **change)
    report = checked(google(), sts, issuer, export=TABLE, email=email)
    assert (report.verdict, statuses(report)) == (AccessVerdict.REFUSED, {name: MISSING})
    assert words in (report.problem or "")


def test_a_role_that_is_missing_is_granted_to_the_subject(sts: str, issuer: LocalIssuer) -> None:
    trust(sts, issuer.url, TENANT)
    fake = google()
    fake.closed_to = {f"principal://iam.googleapis.com/{POOL}/subject/{TENANT}"}
    report = checked(fake, sts, issuer, export=TABLE)
    assert (report.verdict, report.names(MISSING)) == (AccessVerdict.LACKS, ["bigquery.tables.get"])
    assert f"principal://iam.googleapis.com/{POOL}/subject/{TENANT}" in (report.problem or "")


def test_a_google_that_does_not_answer_refuses_nothing(issuer: LocalIssuer) -> None:
    report = checked(google(), "http://127.0.0.1:1", issuer)
    assert (report.verdict, report.problem) == (AccessVerdict.UNKNOWN, None)
