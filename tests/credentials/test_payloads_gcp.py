"""What is taken as a tenant's Google credentials, and what is made of it."""

import json
from typing import Any

import pytest
from google.oauth2 import service_account

from services.credentials.payloads import to_plaintext
from services.credentials.payloads.private_key import MAX_LENGTH
from services.credentials.providers import Provider
from services.platform.errors import InvalidArgument
from tests.credentials.samples import Rsa, gcp, key_file

FILE = "credentials.service_account_json"


def refusal(credentials: dict[str, Any]) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        to_plaintext(Provider.GCP, credentials)
    return caught.value


def test_a_key_file_is_rebuilt_from_the_fields_we_allow(rsa: Rsa) -> None:
    """Whatever the file says about Google's addresses, ours stand in what is sealed, and nothing else of it does."""
    hostile = gcp(rsa, token_uri="https://evil.example/token", auth_uri="https://evil.example", universe_domain="evil.example", extra="x")

    sealed = json.loads(to_plaintext(Provider.GCP, hostile))

    assert sealed == {
        "project_id": "acme-gcp-project",
        "service_account": {
            "type": "service_account",
            "project_id": "acme-gcp-project",
            "private_key_id": "0123456789abcdef0123456789abcdef01234567",
            "private_key": rsa.pkcs8,
            "client_email": "billing-reader@acme-gcp-project.iam.gserviceaccount.com",
            "client_id": "112233445566778899001",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": "https://oauth2.googleapis.com/token",
            "universe_domain": "googleapis.com",
        },
    }


def test_text_and_object_seal_the_same_bytes(rsa: Rsa) -> None:
    """`service_account_json` may be the file's text or its object; the bytes are canonical."""
    shuffled = dict(reversed(key_file(rsa).items()))

    assert to_plaintext(Provider.GCP, gcp(rsa)) == to_plaintext(Provider.GCP, {**gcp(rsa), "service_account_json": shuffled})


def test_google_itself_can_use_what_was_sealed(rsa: Rsa) -> None:
    """The executor hands the sealed object to google-auth as it is; without the optional fields too."""
    for file in (gcp(rsa), gcp(rsa, private_key_id=None, client_id=None), gcp(rsa, private_key=rsa.pkcs1)):
        info = json.loads(to_plaintext(Provider.GCP, file))["service_account"]
        identity = service_account.Credentials.from_service_account_info(info)  # type: ignore[no-untyped-call]
        assert identity.service_account_email == "billing-reader@acme-gcp-project.iam.gserviceaccount.com"


@pytest.mark.parametrize("project", ["acme-gcp-project", "abcdef", "a23456789012345678901234567890", "example.com:acme-project"])
def test_project_ids_that_google_issues(rsa: Rsa, project: str) -> None:
    assert json.loads(to_plaintext(Provider.GCP, {**gcp(rsa), "project_id": project}))["project_id"] == project


@pytest.mark.parametrize(
    "project",
    ["abcde", "a" * 31, "Acme-project", "1acme-project", "acme-project-", "acme_project", "acme project", "acme-project\n", "`;--", 7],
)
def test_project_ids_that_google_does_not_issue(rsa: Rsa, project: object) -> None:
    assert refusal({**gcp(rsa), "project_id": project}).field == "credentials.project_id"


@pytest.mark.parametrize("field", ["type", "project_id", "client_email", "private_key"])
@pytest.mark.parametrize("value", [None, "", 7.0, ["x"], {"x": "y"}])
def test_a_key_file_names_what_is_missing_or_no_text(rsa: Rsa, field: str, value: object) -> None:
    assert refusal(gcp(rsa, **{field: value})).field == f"{FILE}.{field}"


def test_a_key_file_without_a_private_key_is_told_so(rsa: Rsa) -> None:
    error = refusal(gcp(rsa, private_key=None))

    assert error.field == f"{FILE}.private_key"
    assert error.message == f"{FILE}.private_key: is required: the key file's RSA private key in PEM; this file has none."


@pytest.mark.parametrize("kind", ["authorized_user", "external_account", "impersonated_service_account", "service_account "])
def test_other_kinds_of_google_credentials_are_refused(rsa: Rsa, kind: str) -> None:
    """An external_account may name a program to run or an address to ask: it must never reach Google's library."""
    assert refusal(gcp(rsa, type=kind)).field == f"{FILE}.type"


def test_private_keys_that_cannot_sign(rsa: Rsa) -> None:
    """Not PEM, broken, with a password, not RSA, two at once, with text around it, or so long that checking it would take seconds."""
    certificate = rsa.pkcs8.replace("PRIVATE KEY", "CERTIFICATE")
    broken = [
        "not a key",
        rsa.pkcs8.replace("\n", "\\n"),
        rsa.pkcs8[:-200],
        rsa.pkcs8.replace(rsa.pkcs8[400:420], "A" * 20),
        rsa.locked,
        rsa.elliptic,
        certificate,
        rsa.pkcs8 + rsa.pkcs8,
        "note: keep safe\n" + rsa.pkcs8,
        rsa.pkcs8 + "\n" * MAX_LENGTH,
        "-----BEGIN PRIVATE KEY-----\n\x00\ud800\n-----END PRIVATE KEY-----\n",
    ]
    for key in broken:
        assert refusal(gcp(rsa, private_key=key)).field == f"{FILE}.private_key"


@pytest.mark.parametrize(
    "text",
    ["{", "not json", "[1]", '"text"', "null", "7", "[" * 60_000, '{"a":' * 12_000, "9" * 60_000, "\x00", None, "", 7.0, True, ["x"]],
)
def test_malformed_key_files(rsa: Rsa, text: object) -> None:
    """Text that is no JSON object, however deep or long, is named; the parser's own words, which quote it, are not passed on."""
    error = refusal({**gcp(rsa), "service_account_json": text})

    assert error.field == FILE
    assert error.__context__ is None


def test_unknown_keys_are_refused_by_name(rsa: Rsa) -> None:
    error = refusal({**gcp(rsa), "projectid": "x"})

    assert error.field == "credentials.projectid"
    assert "project_id, service_account_json" in error.message


def test_a_secret_in_the_place_of_a_key_is_not_repeated(rsa: Rsa) -> None:
    error = refusal({**gcp(rsa), rsa.pkcs8: "x"})

    assert error.field == "credentials"
    assert "PRIVATE" not in error.message
