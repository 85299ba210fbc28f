"""Which AWS and Azure credentials are accepted."""

import json
from typing import Any

import pytest

from services.credentials.payloads import to_plaintext
from services.credentials.providers import Provider, to_provider
from services.platform.errors import InvalidArgument
from tests.support.credentials.samples import AWS, AWS_ROLE, AZURE


def refused(provider: Provider, credentials: dict[str, Any]) -> str | None:
    with pytest.raises(InvalidArgument) as caught:
        to_plaintext(provider, credentials)
    return caught.value.field


@pytest.mark.parametrize("text", ["GCP", "gcp", "Gcp", "aws", "AWS", "azure", "Azure"])
def test_providers_come_in_either_case(text: str) -> None:
    assert to_provider(text) == text.upper()


@pytest.mark.parametrize("text", ["", "google", "GCP ", "gcp\n", "AWS'; DROP TABLE x", "\uff27CP"])
def test_other_providers_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        to_provider(text)
    assert caught.value.message == "provider: must be GCP, AWS, AZURE, SLACK, WEBHOOK, in either case."


@pytest.mark.parametrize("sent", [AWS, AWS | AWS_ROLE, AWS | {"region": "us-gov-west-1"}])
def test_aws_seals_what_was_sent(sent: dict[str, str]) -> None:
    assert json.loads(to_plaintext(Provider.AWS, sent)) == sent


def test_empty_optional_fields_count_as_absent() -> None:
    """Forms send empty strings for fields that were not filled in."""
    assert json.loads(to_plaintext(Provider.AWS, AWS | {"role_arn": "", "region": None})) == AWS


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("access_key_id", None),
        ("access_key_id", "ASIAIOSFODNN7EXAMPLE"),
        ("access_key_id", "akiaiosfodnn7example"),
        ("access_key_id", "AKIAIOSFODNN7 EXAMPLE"),
        ("access_key_id", 7.0),
        ("secret_access_key", None),
        ("secret_access_key", "short"),
        ("secret_access_key", "x" * 41),
        ("secret_access_key", "x" * 39 + " "),
        ("role_arn", "arn:aws:iam::123456789012:user/x"),
        ("role_arn", "arn:aws:iam::1234:role/x"),
        ("role_arn", {"arn": "x"}),
        ("external_id", "x"),
        ("external_id", "a b"),
        ("region", "Frankfurt"),
        ("region", "eu-central"),
    ],
)
def test_aws_names_the_bad_field(field: str, value: object) -> None:
    assert refused(Provider.AWS, AWS | {field: value}) == f"credentials.{field}"


def test_azure_seals_what_was_sent() -> None:
    assert json.loads(to_plaintext(Provider.AZURE, AZURE)) == AZURE


@pytest.mark.parametrize("field", ["directory_id", "client_id", "subscription_id"])
@pytest.mark.parametrize(
    "value", [None, "", "contoso.onmicrosoft.com", "72f988bf86f141af91ab2d7cd011db47", "{72f988bf-86f1-41af-91ab-2d7cd011db47}"]
)
def test_azure_ids_are_guids(field: str, value: object) -> None:
    assert refused(Provider.AZURE, AZURE | {field: value}) == f"credentials.{field}"


@pytest.mark.parametrize("value", [None, "", "short", "has a space in it", "x" * 257, "6731de76-14a6-49ae-97bc-6eba6914391e"])
def test_azure_takes_the_secrets_value_not_its_id(value: object) -> None:
    assert refused(Provider.AZURE, AZURE | {"client_secret": value}) == "credentials.client_secret"


@pytest.mark.parametrize(("provider", "sent"), [(Provider.AWS, AWS), (Provider.AZURE, AZURE)])
def test_unknown_keys_are_refused_by_name(provider: Provider, sent: dict[str, str]) -> None:
    assert refused(provider, {**sent, "session_token": "x"}) == "credentials.session_token"


@pytest.mark.parametrize(
    "around", ["{}\n", " {}\r\n", "\ufeff{}", "\u00ef\u00bb\u00bf{}", '"{}"', "'{}'\n", "\u201c{}\u201d", "\u200b{}\xa0", '\ufeff"{}" ']
)
@pytest.mark.parametrize(("provider", "sent"), [(Provider.AWS, AWS | AWS_ROLE), (Provider.AZURE, AZURE)])
def test_what_pasting_leaves_around_a_value_is_taken_off(provider: Provider, sent: dict[str, str], around: str) -> None:
    pasted = {name: around.format(value) for name, value in sent.items()}
    assert to_plaintext(provider, pasted) == to_plaintext(provider, sent)


@pytest.mark.parametrize("value", ['"abc8Q~defGHIjkl', "abc8Q~defGHIjkl'", " \n ", '""'])
def test_half_a_pair_of_quotes_is_no_part_of_a_secret(value: str) -> None:
    assert refused(Provider.AZURE, AZURE | {"client_secret": value}) == "credentials.client_secret"
