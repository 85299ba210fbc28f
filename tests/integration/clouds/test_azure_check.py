"""What a check of Azure finds, through Azure's own clients, at the local Azure."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from localcloud.azure.directory import EntraApplication, FederatedCredential, RoleAssignment, Seed
from services.clouds.access import CloudEndpoints, TenantAccess, TokenOf
from services.clouds.audiences import AZURE as AUDIENCE
from services.clouds.checks import check_access
from services.clouds.findings import AccessReport, AccessVerdict, FindingStatus
from services.clouds.probes import probe_subjects
from services.platform.errors import InvalidArgument
from tests.support.azure import (
    ACCOUNT,
    CLOSED,
    CONTAINER,
    DIRECTORY,
    EXPIRED,
    SECRET,
    STRANGER,
    TENANT,
    AzureServer,
    azure_server,
    put,
    writing,
)
from tests.support.oidc_issuer import LocalIssuer, local_issuer

EXPORT = f"{ACCOUNT}/{CONTAINER}/finops/daily-focus"
OK, MISSING, OPEN, UNKNOWN = FindingStatus
CLOSED_TO_OTHERS, OPEN_TO_OTHERS = (f"4d1c2b6a-7a0e-4c38-a1d4-0000000001{number:02}" for number in (1, 2))


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with local_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory, issuer: LocalIssuer) -> Iterator[AzureServer]:
    """With an export, and two applications that trust the issuer: one about the tenant alone, one also about the last of the probes."""
    mine, anybody = (FederatedCredential(issuer=issuer.url, subject=one, audience=AUDIENCE) for one in (TENANT, probe_subjects(TENANT)[-1]))
    role = RoleAssignment(account=ACCOUNT, role="Storage Blob Data Reader")
    trusting = [
        EntraApplication(directory_id=DIRECTORY, client_id=client_id, federated=federated, roles=(role,))
        for client_id, federated in ((CLOSED_TO_OTHERS, (mine,)), (OPEN_TO_OTHERS, (mine, anybody)))
    ]
    with azure_server(tmp_path_factory.mktemp("azure")) as server:
        server.azure.directories.seed(Seed(applications=tuple(trusting)))
        with writing(server) as client:
            put(client, "finops/daily-focus/20261001-20261031/manifest.json", b"{}")
            put(client, "finops/empty/20261001-20261031/manifest.json", b"")
        yield server


def statuses(report: AccessReport) -> dict[str, FindingStatus]:
    return {finding.name: finding.status for finding in report.findings}


def about(issuer: LocalIssuer, subject: str) -> TokenOf:
    return lambda audience: issuer.token(subject=subject, audience=audience, now=datetime.now(UTC))


def probes(issuer: LocalIssuer, tenant_id: str) -> dict[str, TokenOf]:
    return {subject: about(issuer, subject) for subject in probe_subjects(tenant_id)}


def federated(azure: AzureServer, issuer: LocalIssuer, client_id: str, subject: str = TENANT) -> TenantAccess:
    access = azure.access(client_id, client_secret=None)
    return replace(access, token_of=about(issuer, subject), probes=probes(issuer, TENANT))


def test_a_secret_that_reads_the_export_works_in_two_requests_for_blobs(azure: AzureServer) -> None:
    azure.served()
    report = check_access(azure.access(), EXPORT)
    assert report.verdict is AccessVerdict.WORKS
    assert statuses(report) == {"client secret": OK, "Storage Blob Data Reader": OK}
    assert len(azure.served()) == 2
    assert statuses(check_access(azure.access(), None)) == {"client secret": OK}
    assert azure.served() == []


@pytest.mark.parametrize(("secret", "words"), [("wrong~secret~0001", "refuses the client secret"), (EXPIRED, "has expired")])
def test_a_secret_that_entra_does_not_accept_is_refused(azure: AzureServer, secret: str, words: str) -> None:
    report = check_access(azure.access(client_secret=secret), EXPORT)
    assert (report.verdict, statuses(report)) == (AccessVerdict.REFUSED, {"client secret": MISSING})
    assert words in (report.problem or "")
    assert secret not in repr(report)


@pytest.mark.parametrize(
    ("client_id", "export", "name", "words"),
    [
        (STRANGER, EXPORT, "Storage Blob Data Reader", "Grant it Storage Blob Data Reader on the container"),
        (None, f"{CLOSED}/{CONTAINER}/finops/daily-focus", "Networking", "firewall"),
        (None, f"{ACCOUNT}/no-such-container/finops/daily-focus", "export", "has no container"),
        (None, f"nosuchaccount/{CONTAINER}/finops/daily-focus", "export", "There is no storage account"),
        (None, f"{ACCOUNT}/{CONTAINER}/finops/other", "export", "There is no blob below"),
    ],
)
def test_what_is_missing_is_named(azure: AzureServer, client_id: str | None, export: str, name: str, words: str) -> None:
    report = check_access(azure.access(client_id) if client_id else azure.access(), export)
    assert (report.verdict, report.names(MISSING)) == (AccessVerdict.LACKS, [name])
    assert words in (report.problem or "")
    assert SECRET not in repr(report)


def test_a_location_that_is_none_is_refused_before_any_call(azure: AzureServer) -> None:
    azure.azure.requests.clear()
    with pytest.raises(InvalidArgument) as refused:
        check_access(azure.access(), "s3://bucket/prefix/name")
    assert (refused.value.field, list(azure.azure.requests)) == ("export", [])


def test_an_application_that_trusts_the_tenant_alone_works(azure: AzureServer, issuer: LocalIssuer) -> None:
    report = check_access(federated(azure, issuer, CLOSED_TO_OTHERS), EXPORT)
    assert report.verdict is AccessVerdict.WORKS
    assert statuses(report) == {"federated credential": OK, "Subject identifier": OK, "Storage Blob Data Reader": OK}


def test_an_application_that_trusts_others_too_is_open(azure: AzureServer, issuer: LocalIssuer) -> None:
    report = check_access(federated(azure, issuer, OPEN_TO_OTHERS), EXPORT)
    assert (report.verdict, report.names(OPEN)) == (AccessVerdict.OPEN, ["Subject identifier"])
    assert f"identity token about {probe_subjects(TENANT)[-1]}, so" in (report.problem or "")
    assert f"whose subject is exactly {TENANT}" in (report.problem or "")


def test_another_tenant_s_token_opens_nothing(azure: AzureServer, issuer: LocalIssuer) -> None:
    report = check_access(federated(azure, issuer, CLOSED_TO_OTHERS, subject="other_corp"), EXPORT)
    assert (report.verdict, statuses(report)) == (AccessVerdict.REFUSED, {"federated credential": MISSING})


def test_an_azure_that_does_not_answer_refuses_nothing(azure: AzureServer) -> None:
    access = replace(azure.access(), endpoints=CloudEndpoints(azure="https://127.0.0.1:1", ca=azure.ca))
    report = check_access(access, None)
    assert (report.verdict, report.problem) == (AccessVerdict.UNKNOWN, None)
