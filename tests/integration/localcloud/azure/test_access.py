"""How Azure lets in and refuses, through Azure's own clients, and what the tenant gets to know. The emulator verifies identity tokens as
Entra does; the issuer's keys are served here.
"""

import base64
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from localcloud import oidc
from services.clouds.access import AccessRefused
from services.clouds.audiences import AZURE
from services.clouds.azure.identity import AzureIdentity
from services.clouds.azure.refusals import AskedBlob, answer_of, blob_refused
from tests.support.azure import (
    ACCOUNT,
    CLOSED,
    CONTAINER,
    EXPIRED,
    FOREIGN,
    ISSUER,
    OTHER,
    OTHER_DIRECTORY,
    READER,
    SECRET,
    STRANGER,
    TENANT,
    WRITER,
    AzureServer,
    put,
    writing,
)

NOWHERE = "00000000-0000-0000-0000-000000000000"
KEY, STRANGE_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))


def encoded(part: bytes | Mapping[str, Any]) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(*, key: rsa.RSAPrivateKey = KEY, lives: timedelta = timedelta(minutes=10), **claims: str) -> str:
    now = datetime.now(UTC)
    said = {"iss": ISSUER, "sub": TENANT, "aud": AZURE, "iat": int(now.timestamp()), "exp": int((now + lives).timestamp()), **claims}
    text = f"{encoded({'alg': 'RS256', 'kid': '1', 'typ': 'JWT'})}.{encoded(said)}"
    return f"{text}.{encoded(key.sign(text.encode(), PKCS1v15(), SHA256()))}"


class _Published:
    """The issuer's documents, as requests would fetch them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.headers = {"Cache-Control": "max-age=60"}

    def raise_for_status(self) -> None:
        """It always answers."""

    def json(self) -> dict[str, Any]:
        if self._url.endswith(oidc.DISCOVERY):
            return {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}
        public = KEY.public_key().public_numbers()
        number = {"n": encoded(public.n.to_bytes(256, "big")), "e": encoded(public.e.to_bytes(3, "big"))}
        return {"keys": [{"kty": "RSA", "kid": "1", "alg": "RS256", **number}]}


@pytest.fixture(autouse=True)
def issuer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc, "verify", oidc.Verifier(_Published).verify)  # type: ignore[arg-type]


@pytest.fixture
def exports(azure: AzureServer) -> Iterator[None]:
    with writing(azure) as client:
        put(client, "a", b"1")
        yield


def names(identity: AzureIdentity, account: str = ACCOUNT) -> list[str]:
    """Lists; refusals as the tenant gets them."""
    try:
        return [blob.name for blob in identity.container(account, CONTAINER).list_blobs(name_starts_with="a")]
    except HttpResponseError as error:
        raise blob_refused(answer_of(error), AskedBlob(account=account, container=CONTAINER)) from None
    finally:
        identity.close()


def test_a_secret_lets_in(azure: AzureServer, exports: None) -> None:
    assert names(azure.identity()) == ["a"]


def test_an_identity_token_lets_in(azure: AzureServer, exports: None) -> None:
    assert names(AzureIdentity(azure.access(token=signed()))) == ["a"]


@pytest.mark.parametrize("federated", [False, True], ids=["secret", "identity token"])
def test_tokens_are_renewed(azure: AzureServer, exports: None, monkeypatch: pytest.MonkeyPatch, federated: bool) -> None:
    """A client for which hours pass between its requests gets a new token for each."""
    identity, real = AzureIdentity(azure.access(token=signed() if federated else None)), time.time
    client = identity.container(ACCOUNT, CONTAINER)
    azure.azure.requests.clear()

    for hours in range(0, 6, 2):
        monkeypatch.setattr(time, "time", lambda hours=hours: real() + hours * 3600)
        assert [blob.name for blob in client.list_blobs(name_starts_with="a")] == ["a"]

    identity.close()
    assert len([one for one in azure.azure.requests if one.endswith("/token 200")]) == 3


@pytest.mark.parametrize(
    ("client_id", "credentials", "says"),
    [
        (READER, {"client_secret": "wrong~secret~0001"}, "the secret's id"),
        (READER, {"client_secret": EXPIRED}, "has expired"),
        (NOWHERE, {}, f"no application {NOWHERE}"),
        (OTHER, {}, f"no application {OTHER}"),
        (READER, {"directory_id": NOWHERE}, f"no Microsoft Entra directory {NOWHERE}"),
    ],
    ids=["wrong secret", "expired secret", "no application", "another directory's application", "no directory"],
)
def test_a_sign_in_is_refused_once(azure: AzureServer, client_id: str, credentials: dict[str, str], says: str) -> None:
    """One try: each counts at Entra. The words are ours, and say nothing secret."""
    azure.azure.requests.clear()
    with pytest.raises(AccessRefused, match=says) as error:
        names(azure.identity(client_id, **credentials))

    assert len([one for one in azure.azure.requests if "/oauth2/" in one]) <= 1
    assert not [one for one in azure.azure.requests if one.startswith(f"GET /{ACCOUNT}")]
    assert not error.value.is_retryable
    for hidden in (SECRET, EXPIRED, "wrong~secret", "Trace ID"):
        assert hidden not in error.value.message


@pytest.mark.parametrize(
    ("token", "says", "retryable"),
    [
        # Signed when the test begins: made while tests are collected, they would have expired by then.
        (lambda: signed(iss="http://other.example"), "names our issuer", False),
        (lambda: signed(sub="other_tenant"), f"names the subject {TENANT}", False),
        (lambda: signed(aud="sts.amazonaws.com"), "names the audience", False),
        (lambda: signed(lives=timedelta(seconds=-1)), "could not verify our identity token", True),
        (lambda: signed(key=STRANGE_KEY), "could not verify our identity token", True),
        (lambda: "no.token.atall", "could not verify our identity token", True),
    ],
    ids=["issuer", "subject", "audience", "expired", "signature", "malformed"],
)
def test_an_identity_token_is_refused(azure: AzureServer, token: Callable[[], str], says: str, retryable: bool) -> None:
    with pytest.raises(AccessRefused, match=says) as error:
        names(AzureIdentity(azure.access(token=token())))

    assert error.value.is_retryable is retryable


def test_a_tenant_without_a_token_is_refused(azure: AzureServer) -> None:
    access = azure.access(token="x")
    with pytest.raises(AccessRefused, match="No token"):
        names(AzureIdentity(replace(access, token_of=azure.access().token_of)))


@pytest.mark.parametrize(
    ("client_id", "account", "says"),
    [
        (STRANGER, ACCOUNT, "Grant it Storage Blob Data Reader on the container"),
        (READER, CLOSED, "firewall of storage account acmeclosed"),
        (READER, "acmenowhere", "no storage account acmenowhere"),
        (READER, FOREIGN, "another Microsoft Entra directory"),
    ],
    ids=["no role", "firewall", "no account", "another directory's account"],
)
def test_blob_storage_refuses(azure: AzureServer, exports: None, client_id: str, account: str, says: str) -> None:
    with pytest.raises(AccessRefused, match=says) as error:
        names(azure.identity(client_id), account)

    assert not error.value.is_retryable
    assert "RequestId" not in error.value.message


def test_a_reader_may_not_write(azure: AzureServer, exports: None) -> None:
    identity = azure.identity()
    with pytest.raises(HttpResponseError) as error:
        identity.container(ACCOUNT, CONTAINER).upload_blob("b", b"1")
    identity.close()

    assert error.value.error_code == "AuthorizationPermissionMismatch"  # type: ignore[attr-defined]


def test_an_application_of_another_directory_may_sign_in_there(azure: AzureServer) -> None:
    identity = azure.identity(OTHER, directory_id=OTHER_DIRECTORY)
    identity.sign_in()
    with pytest.raises(AccessRefused):
        names(identity)


@pytest.mark.parametrize("federated", [False, True])
def test_the_environment_changes_nothing(
    azure: AzureServer, exports: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, federated: bool
) -> None:
    """Neither who signs in, nor where, nor through what."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    poison = {
        "AZURE_TENANT_ID": OTHER_DIRECTORY,
        "AZURE_CLIENT_ID": OTHER,
        "AZURE_CLIENT_SECRET": "poison",
        "AZURE_FEDERATED_TOKEN_FILE": "/nowhere",
        "AZURE_AUTHORITY_HOST": "https://poison.invalid",
        "AZURE_REGIONAL_AUTHORITY_NAME": "poison",
        "AZURE_IDENTITY_DISABLE_MULTITENANTAUTH": "1",
        "AZURE_TOKEN_CREDENTIALS": "prod",
        "AZURE_STORAGE_CONNECTION_STRING": "poison",
        "AZURE_CLOUD": "AzureChinaCloud",
        "MSAL_FORCE_REGION": "poison",
        "REGION_NAME": "poison",
        "HTTPS_PROXY": "http://poison.invalid:1",
        "ALL_PROXY": "http://poison.invalid:1",
        "REQUESTS_CA_BUNDLE": "/nowhere",
        "NETRC": str(netrc),
    }
    for name, value in poison.items():
        monkeypatch.setenv(name, value)

    assert names(AzureIdentity(azure.access(token=signed() if federated else None))) == ["a"]


def test_what_is_logged_and_shown_has_no_secret(azure: AzureServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(AccessRefused) as error:
        names(azure.identity(client_secret="wrong~secret~0001"))
    with caplog.at_level(logging.DEBUG):
        identity = azure.identity(WRITER)
        identity.sign_in()
        identity.close()

    shown = f"{caplog.text} {error.value!r} {identity.credentials!r} {azure.access()!r}"
    assert "wrong~secret" not in shown
    assert SECRET not in shown
