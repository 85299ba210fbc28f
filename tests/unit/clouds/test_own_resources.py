"""What of this installation no tenant may name, and in which fields."""

import json
from typing import Any

import pytest

from services.clouds.access import CloudEndpoints, TenantAccess, no_token
from services.clouds.checks import check_access
from services.clouds.own_resources import OwnResources, project_of_account
from services.platform.settings import ServiceSettings

NUMBER, AWS_ACCOUNT, DIRECTORY = "123456789012", "210987654321", "72f988bf-86f1-41af-91ab-2d7cd011db47"
OWN = OwnResources.of(
    ServiceSettings(
        project="acme-platform",
        tenant_project="acme-tenants",
        kms_key="projects/acme-keys/locations/l/keyRings/r/cryptoKeys/k",
        own_resources=(NUMBER, AWS_ACCOUNT, DIRECTORY.upper(), "example.com:acme-legacy", "acme-bucket", "acmestorage"),
    )
)
KEY = {"project_id": "shop-billing", "client_email": "reader@shop-billing.iam.gserviceaccount.com"}
POOL = "locations/global/workloadIdentityPools/p/providers/x"


@pytest.mark.parametrize(
    ("provider", "stored", "field"),
    [
        ("GCP", {"project_id": "acme-platform", "service_account": KEY}, "project_id"),
        ("GCP", {"project_id": "acme-tenants", "service_account": KEY}, "project_id"),
        ("GCP", {"project_id": "acme-keys", "service_account": KEY}, "project_id"),
        ("GCP", {"project_id": "example.com:acme-legacy", "service_account": KEY}, "project_id"),
        ("GCP", {"project_id": "shop", "service_account": KEY | {"project_id": "acme-platform"}}, "service_account_json.project_id"),
        (
            "GCP",
            {"project_id": "shop", "service_account": KEY | {"client_email": "executor@acme-platform.iam.gserviceaccount.com"}},
            "service_account_json.client_email",
        ),
        (
            "GCP",
            {"project_id": "shop", "service_account": KEY | {"client_email": f"{NUMBER}-compute@developer.gserviceaccount.com"}},
            "service_account_json.client_email",
        ),
        ("GCP", {"project_id": "shop", "workload_identity_provider": f"projects/{NUMBER}/{POOL}"}, "workload_identity_provider"),
        (
            "GCP",
            {
                "project_id": "shop",
                "workload_identity_provider": f"projects/1/{POOL}",
                "service_account_email": "executor@acme-tenants.iam.gserviceaccount.com",
            },
            "service_account_email",
        ),
        ("AWS", {"role_arn": f"arn:aws:iam::{AWS_ACCOUNT}:role/x"}, "role_arn"),
        ("AZURE", {"directory_id": DIRECTORY, "subscription_id": "s"}, "directory_id"),
    ],
)
def test_credentials_that_name_what_is_ours(provider: str, stored: dict[str, Any], field: str) -> None:
    assert OWN.field_of(provider, json.dumps(stored).encode()) == field
    assert OwnResources().field_of(provider, json.dumps(stored).encode()) is None


@pytest.mark.parametrize(
    ("provider", "stored"),
    [
        ("GCP", {"project_id": "shop-billing", "service_account": KEY}),
        ("GCP", {"project_id": "acme-platform-2", "workload_identity_provider": f"projects/99/{POOL}"}),
        ("AWS", {"role_arn": "arn:aws:iam::000000000001:role/x"}),
        ("AWS", {"access_key_id": "AKIA", "secret_access_key": "x"}),
        ("SLACK", {"webhook_url": "https://acme-platform.example/"}),
    ],
)
def test_what_is_a_tenant_s_own(provider: str, stored: dict[str, Any]) -> None:
    assert OWN.field_of(provider, json.dumps(stored).encode()) is None


@pytest.mark.parametrize("plaintext", [b"", b"\xff", b"[]", b"{}", b'{"service_account": 1, "role_arn": 2}'])
def test_what_cannot_be_read_names_nothing(plaintext: bytes) -> None:
    """It is refused where it is used."""
    assert [OWN.field_of(provider, plaintext) for provider in ("GCP", "AWS", "AZURE")] == [None, None, None]


@pytest.mark.parametrize(
    ("provider", "export", "ours"),
    [
        ("GCP", "acme-platform.tenants.tenant_api_keys", True),
        ("GCP", "acme-tenants.victim.billing_cost_daily", True),
        ("GCP", "example.com:acme-legacy.d.t", True),
        ("GCP", "shop.billing.gcp_billing_export_v1_x", False),
        ("GCP", "billing.acme-platform", False),
        ("GCP", "no table", False),
        ("AWS", "s3://acme-bucket/prefix/name", True),
        ("AWS", "s3://shop-bucket/acme-bucket/name", False),
        ("AZURE", "acmestorage/c/d/n", True),
        ("AZURE", "/acmestorage/c/d/n", True),
        ("AZURE", "shopstorage/acmestorage/d/n", False),
    ],
)
def test_exports_that_lie_in_what_is_ours(provider: str, export: str, ours: bool) -> None:
    assert OWN.has_export(provider, export) is ours


def test_a_service_account_belongs_to_the_project_in_its_address() -> None:
    accounts = {
        "a@shop.iam.gserviceaccount.com": "shop",
        "a@shop.example.com.iam.gserviceaccount.com": "example.com:shop",
        "shop@appspot.gserviceaccount.com": "shop",
        "7-compute@developer.gserviceaccount.com": "7",
        "a@example.com": "",
        "": "",
    }
    assert {email: project_of_account(email) for email in accounts} == accounts


@pytest.mark.parametrize(
    ("project", "export", "finding"),
    [("acme-platform", None, "credentials"), ("shop-billing", "acme-platform.tenants.tenant_api_keys", "export")],
)
def test_a_check_calls_no_cloud_for_what_is_ours(project: str, export: str | None, finding: str) -> None:
    """The endpoint answers to no one: a call would end as not answered."""
    access = TenantAccess(
        tenant_id="shop",
        provider="GCP",
        plaintext=json.dumps({"project_id": project, "service_account": KEY}).encode(),
        session="s",
        endpoints=CloudEndpoints(bigquery="http://127.0.0.1:1", own=OWN),
        token_of=no_token,
    )
    report = check_access(access, export)
    assert [(one.name, one.status) for one in report.findings] == [(finding, "MISSING")]
    assert "this installation's own" in report.findings[0].message
