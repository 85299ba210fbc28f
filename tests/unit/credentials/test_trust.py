"""What a tenant pastes into its cloud trusts this tenant alone, is safe in a shell, and is what the checks and emulators accept."""

import json
import shlex
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.clouds.access import CloudEndpoints, TenantAccess
from services.clouds.gcp.federation import ExchangeRefused, FederatedIdentity
from services.clouds.gcp.identity import open_identity, read_gcp
from services.credentials.payloads import to_plaintext
from services.credentials.providers import Provider
from services.credentials.trust.aws import aws_guide
from services.credentials.trust.azure import azure_guide
from services.credentials.trust.gcp import gcp_guide
from services.credentials.trust.guide import Trusted, TrustGuide
from services.platform.errors import InvalidArgument
from tests.support.google_sts import PROVIDER, google_sts, trust
from tests.support.oidc_issuer import local_issuer

TRUSTED = Trusted(issuer="https://costs.example.com/convergence", subject="acme_corp")
ROLE = "arn:aws-us-gov:iam::123456789012:role/finops/CostReader"
AZURE = {
    "directory_id": "72f988bf-86f1-41af-91ab-2d7cd011db47",
    "client_id": "6731de76-14a6-49ae-97bc-6eba6914391e",
    "subscription_id": "a1ffc958-d2c7-493e-9f1e-125a0477f536",
    "resource_group": "rg-costs",
    "export": "acmebilling/exports/finops/daily-focus",
}
GCP = {"project_id": "acme-gcp-project", "workload_identity_provider": PROVIDER, "export": "acme-billing.costs"}
type Guide = Callable[[Trusted, Mapping[str, str]], TrustGuide]


def words(guide: TrustGuide, *beginning: str) -> list[str]:
    """Of the one command that begins so, as a shell splits it."""
    [found] = [split for one in guide.commands if (split := shlex.split(one.line))[: len(beginning)] == list(beginning)]
    return found


def after(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


def file(guide: TrustGuide, name: str) -> dict[str, object]:
    [text] = [one.text for one in guide.files if one.name == name]
    content: dict[str, object] = json.loads(text)
    return content


def test_aws_trusts_one_subject_and_one_audience_exactly() -> None:
    guide = aws_guide(TRUSTED, {"role_arn": ROLE, "export": "s3://acme-billing/exports/focus"})
    assert file(guide, "trust-policy.json")["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": {"Federated": "arn:aws-us-gov:iam::123456789012:oidc-provider/costs.example.com/convergence"},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {
                "StringEquals": {
                    "costs.example.com/convergence:sub": "acme_corp",
                    "costs.example.com/convergence:aud": "sts.amazonaws.com",
                }
            },
        }
    ]
    assert after(words(guide, "aws", "iam", "create-open-id-connect-provider"), "--url") == TRUSTED.issuer
    create = words(guide, "aws", "iam", "create-role")
    assert (after(create, "--role-name"), after(create, "--path")) == ("CostReader", "/finops/")
    assert '"arn:aws-us-gov:s3:::acme-billing/exports/focus/*"' in guide.files[1].text
    assert guide.credentials == {"role_arn": ROLE}
    assert guide.placeholders == ()


def test_azure_trusts_one_subject_and_reads_one_container() -> None:
    guide = azure_guide(TRUSTED, AZURE)
    credential = file(guide, "federated-credential.json")
    assert (credential["issuer"], credential["subject"]) == (TRUSTED.issuer, "acme_corp")
    assert credential["audiences"] == ["api://AzureADTokenExchange"]
    role = words(guide, "az", "role", "assignment", "create")
    assert after(role, "--role") == "Storage Blob Data Reader"
    assert after(role, "--scope") == (
        f"/subscriptions/{AZURE['subscription_id']}/resourceGroups/rg-costs/providers/Microsoft.Storage/storageAccounts/acmebilling"
        "/blobServices/default/containers/exports"
    )
    assert "app create" not in " ".join(one.line for one in guide.commands), "it is registered already"
    assert guide.placeholders == ()


def test_google_trusts_one_subject_which_has_the_roles_itself() -> None:
    guide = gcp_guide(TRUSTED, GCP)
    provider = words(guide, "gcloud", "iam", "workload-identity-pools", "providers", "create-oidc")
    assert after(provider, "--issuer-uri") == TRUSTED.issuer
    assert after(provider, "--attribute-mapping") == "google.subject=assertion.sub"
    assert after(provider, "--attribute-condition") == 'assertion.sub == "acme_corp"'
    subject = "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/convergence/subject/acme_corp"
    members = [after(split, "--member") for one in guide.commands if "--member" in (split := shlex.split(one.line))]
    assert members == [subject] * 2
    assert words(guide, "bq", "query")[-1] == f'GRANT `roles/bigquery.dataViewer` ON SCHEMA `acme-billing.costs` TO "{subject}"'
    assert guide.audience == f"//iam.googleapis.com/{PROVIDER}"


@pytest.mark.parametrize(
    ("export", "dataset"),
    [
        ("acme-billing.costs.gcp_billing_export_v1_012345", "acme-billing.costs"),
        ("example.com:acme-billing.costs.gcp_billing_export_v1_012345", "example.com:acme-billing.costs"),
        ("example.com:acme-billing.costs", "example.com:acme-billing.costs"),
    ],
)
def test_of_a_table_its_dataset_can_be_read(export: str, dataset: str) -> None:
    assert f"ON SCHEMA `{dataset}` TO" in words(gcp_guide(TRUSTED, GCP | {"export": export}), "bq", "query")[-1]


def test_google_s_subject_may_use_a_service_account_that_has_the_roles() -> None:
    email = "billing-reader@acme-gcp-project.iam.gserviceaccount.com"
    guide = gcp_guide(TRUSTED, GCP | {"service_account_email": email})
    use = words(guide, "gcloud", "iam", "service-accounts", "add-iam-policy-binding")
    assert (use[4], after(use, "--role")) == (email, "roles/iam.workloadIdentityUser")
    assert after(use, "--member").endswith("/workloadIdentityPools/convergence/subject/acme_corp")
    assert words(guide, "bq", "query")[-1].endswith(f'TO "serviceAccount:{email}"')


@pytest.mark.parametrize(
    ("guide", "provider", "given"),
    [
        (aws_guide, Provider.AWS, {"role_arn": ROLE, "export": "s3://acme-billing/exports/focus"}),
        (azure_guide, Provider.AZURE, AZURE),
        (gcp_guide, Provider.GCP, GCP),
        (gcp_guide, Provider.GCP, GCP | {"service_account_email": "billing-reader@acme-gcp-project.iam.gserviceaccount.com"}),
    ],
)
def test_what_it_says_to_store_is_accepted_and_without_facts_there_are_placeholders(
    guide: Guide, provider: Provider, given: dict[str, str]
) -> None:
    full = guide(TRUSTED, given)
    assert json.loads(to_plaintext(provider, full.credentials)) == full.credentials
    empty = guide(TRUSTED, {})
    text = " ".join([*(one.line for one in empty.commands), *(one.text for one in empty.files), *empty.credentials.values()])
    assert empty.placeholders
    assert all(word in text for word in empty.placeholders)


@pytest.mark.parametrize(
    ("guide", "given", "field"),
    [
        (aws_guide, {"client_id": AZURE["client_id"]}, "client_id"),
        (aws_guide, {"role_arn": "arn:aws:iam::123456789012:role/x; rm -rf /"}, "role_arn"),
        (aws_guide, {"export": "acmebilling/exports/focus"}, "export"),
        (aws_guide, {"export": "s3://acme-billing/exports/*"}, "export"),
        (azure_guide, {"client_id": "$(id)"}, "client_id"),
        (azure_guide, {"resource_group": "rg`id`"}, "resource_group"),
        (azure_guide, {"export": "acme"}, "export"),
        (azure_guide, {"role_arn": ROLE}, "role_arn"),
        (gcp_guide, {"project_id": "acme;id"}, "project_id"),
        (gcp_guide, {"workload_identity_provider": "convergence"}, "workload_identity_provider"),
        (gcp_guide, {"export": "acme-billing.costs` TO allUsers"}, "export"),
        (gcp_guide, {"service_account_email": "someone@example.com"}, "service_account_email"),
    ],
)
def test_a_fact_of_another_form_or_cloud_is_refused(guide: Guide, given: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        guide(TRUSTED, given)
    assert refused.value.field == field


def test_a_location_with_a_shell_s_signs_stays_one_word() -> None:
    """S3's keys may have them."""
    guide = aws_guide(TRUSTED, {"role_arn": ROLE, "export": "s3://acme-billing/it's that (2)/focus"})
    assert "acme-billing/it's that (2)/focus/*" in guide.files[1].text
    assert all(shlex.join(shlex.split(one.line)) == one.line for one in guide.commands)


def test_what_google_is_given_lets_in_the_tenant_and_no_other(tmp_path: Path) -> None:
    """The guide's own issuer, mapping and condition, set up in the local token service."""
    with google_sts(tmp_path) as sts, local_issuer() as issuer:
        guide = gcp_guide(Trusted(issuer=issuer.url, subject="acme_corp"), GCP)
        provider = words(guide, "gcloud", "iam", "workload-identity-pools", "providers", "create-oidc")
        mapping = dict([after(provider, "--attribute-mapping").split("=", 1)])
        trust(
            sts, after(provider, "--issuer-uri"), "", attributeMapping=mapping, attributeCondition=after(provider, "--attribute-condition")
        )

        def identity(subject: str) -> FederatedIdentity:
            access = TenantAccess(
                tenant_id=subject,
                provider="GCP",
                plaintext=to_plaintext(Provider.GCP, guide.credentials),
                session="test",
                endpoints=CloudEndpoints(google_sts=sts),
                token_of=lambda audience: issuer.token(subject=subject, audience=audience, now=datetime.now(UTC)),
            )
            opened = open_identity(read_gcp(access.plaintext), access)
            assert isinstance(opened, FederatedIdentity)
            return opened

        identity("acme_corp").ready()
        with pytest.raises(ExchangeRefused):
            identity("acme_corp_2").ready()
