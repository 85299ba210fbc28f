"""Credentials without a key: which are accepted, what is stored, and for whom their tokens are."""

import json
from typing import Any

import pytest

from services.clouds.audiences import is_audience
from services.credentials.payloads import to_plaintext, token_audience
from services.credentials.providers import Provider
from services.platform.errors import InvalidArgument
from tests.support.credentials.samples import AWS, AWS_FEDERATED, AWS_ROLE, AZURE, AZURE_FEDERATED, GCP_FEDERATED, SLACK, Rsa, gcp

EMAIL = {"service_account_email": "billing-reader@acme-gcp-project.iam.gserviceaccount.com"}
PROVIDER = GCP_FEDERATED["workload_identity_provider"]
BY_NAME = PROVIDER.replace("123456789012", "acme")


def refused(provider: Provider, credentials: dict[str, Any]) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        to_plaintext(provider, credentials)
    return caught.value


@pytest.mark.parametrize(
    ("provider", "sent", "audience"),
    [
        (Provider.AWS, AWS_FEDERATED, "sts.amazonaws.com"),
        (Provider.AWS, {"role_arn": AWS_FEDERATED["role_arn"]}, "sts.amazonaws.com"),
        (Provider.AZURE, AZURE_FEDERATED, "api://AzureADTokenExchange"),
        (Provider.GCP, GCP_FEDERATED, f"//iam.googleapis.com/{PROVIDER}"),
        (Provider.GCP, GCP_FEDERATED | EMAIL, f"//iam.googleapis.com/{PROVIDER}"),
    ],
)
def test_what_was_sent_is_stored_and_names_the_audience(provider: Provider, sent: dict[str, str], audience: str) -> None:
    plaintext = to_plaintext(provider, sent)
    assert json.loads(plaintext) == sent
    assert token_audience(provider, plaintext) == audience
    assert is_audience(provider, audience)


def test_with_a_key_there_is_no_audience(rsa: Rsa) -> None:
    keys = [(Provider.AWS, AWS), (Provider.AWS, AWS | AWS_ROLE), (Provider.AZURE, AZURE), (Provider.GCP, gcp(rsa)), (Provider.SLACK, SLACK)]
    assert [token_audience(provider, to_plaintext(provider, sent)) for provider, sent in keys] == [None] * len(keys)


@pytest.mark.parametrize("prefix", ["//iam.googleapis.com/", "https://iam.googleapis.com/"])
def test_google_s_provider_comes_with_or_without_its_host(prefix: str) -> None:
    sent = GCP_FEDERATED | {"workload_identity_provider": prefix + PROVIDER}
    assert to_plaintext(Provider.GCP, sent) == to_plaintext(Provider.GCP, GCP_FEDERATED)


def test_optional_fields_may_be_empty(rsa: Rsa) -> None:
    assert json.loads(to_plaintext(Provider.GCP, GCP_FEDERATED | {"service_account_email": ""})) == GCP_FEDERATED
    assert to_plaintext(Provider.GCP, gcp(rsa) | {"workload_identity_provider": "", "service_account_email": None}) == to_plaintext(
        Provider.GCP, gcp(rsa)
    )
    assert json.loads(to_plaintext(Provider.AWS, AWS_FEDERATED | {"external_id": ""})) == AWS_FEDERATED


@pytest.mark.parametrize(
    ("provider", "sent", "field"),
    [
        # A key that was forgotten is not taken for access without one.
        (Provider.AWS, AWS_FEDERATED | {"access_key_id": "", "secret_access_key": ""}, "access_key_id"),
        (Provider.AWS, AWS_FEDERATED | {"secret_access_key": AWS["secret_access_key"]}, "access_key_id"),
        (Provider.AWS, {"region": "eu-central-1"}, "access_key_id"),
        (Provider.AWS, {}, "access_key_id"),
        (Provider.AZURE, AZURE_FEDERATED | {"client_secret": ""}, "client_secret"),
        (Provider.GCP, GCP_FEDERATED | {"service_account_json": ""}, "workload_identity_provider"),
        # Nor are both taken together.
        (Provider.AWS, {"role_arn": AWS_ROLE["role_arn"], "external_id": "convergence:acme"}, "external_id"),
        (Provider.GCP, GCP_FEDERATED | {"service_account_json": "{}"}, "workload_identity_provider"),
        (Provider.GCP, {"project_id": "acme-gcp-project", **EMAIL, "service_account_json": "{}"}, "service_account_email"),
        # And each field has its form.
        (Provider.AWS, {"role_arn": ""}, "role_arn"),
        (Provider.AWS, {"role_arn": "arn:aws:iam::123456789012:user/x"}, "role_arn"),
        (Provider.AWS, AWS_FEDERATED | {"region": "Frankfurt"}, "region"),
        (Provider.AZURE, AZURE_FEDERATED | {"client_id": "app"}, "client_id"),
        (Provider.AZURE, {"directory_id": AZURE["directory_id"], "client_id": AZURE["client_id"]}, "subscription_id"),
        (Provider.GCP, {"project_id": "acme-gcp-project", **EMAIL}, "workload_identity_provider"),
        (Provider.GCP, {"workload_identity_provider": PROVIDER}, "project_id"),
        (
            Provider.GCP,
            GCP_FEDERATED | {"workload_identity_provider": BY_NAME},
            "workload_identity_provider",
        ),
        (Provider.GCP, GCP_FEDERATED | {"workload_identity_provider": f"//evil.example/{PROVIDER}"}, "workload_identity_provider"),
        (Provider.GCP, GCP_FEDERATED | {"workload_identity_provider": f"{PROVIDER}/../x"}, "workload_identity_provider"),
        (Provider.GCP, GCP_FEDERATED | {"service_account_email": "someone@example.com"}, "service_account_email"),
    ],
)
def test_the_bad_field_is_named(provider: Provider, sent: dict[str, str], field: str) -> None:
    assert refused(provider, sent).field == f"credentials.{field}"


def test_the_refusals_say_what_to_do(rsa: Rsa) -> None:
    external_id = refused(Provider.AWS, {"role_arn": AWS_ROLE["role_arn"], "external_id": "convergence:acme"})
    assert "GET .../credentials/aws/trust" in external_id.message
    configuration = refused(Provider.GCP, gcp(rsa, type="external_account"))
    assert "workload_identity_provider" in configuration.message


@pytest.mark.parametrize(
    ("provider", "audience"),
    [
        ("AWS", "api://AzureADTokenExchange"),
        ("AZURE", "sts.amazonaws.com"),
        ("AWS", "sts.amazonaws.com.evil.example"),
        ("AWS", "stsXamazonaws.com"),
        ("GCP", PROVIDER),
        ("GCP", f"//iam.googleapis.com/{PROVIDER}\n"),
        ("SLACK", "sts.amazonaws.com"),
        ("aws", "sts.amazonaws.com"),
    ],
)
def test_tokens_are_for_the_three_clouds_alone(provider: str, audience: str) -> None:
    assert not is_audience(provider, audience)
