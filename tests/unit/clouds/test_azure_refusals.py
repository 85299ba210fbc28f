"""Each refusal of Azure has words that say what to do; none passes Azure's own text on."""

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError, ServiceResponseError

from services.clouds.access import AccessRefused
from services.clouds.azure.identity import read_credentials
from services.clouds.azure.refusals import AskedBlob, AzureAnswer, SignIn, answer_of, blob_refused, sign_in_refused

WHO = SignIn(tenant_id="acme_corp", directory_id="the-directory", client_id="the-application")
ASKED = AskedBlob(account="acmebilling", container="exports", name="a/b.csv")
SAID = "what only Azure says"


def signing_in(number: int | None, text: str = "") -> AccessRefused:
    named = f"AADSTS{number}: " if number else ""
    return sign_in_refused(answer_of(ClientAuthenticationError(f"Authentication failed: {named}{SAID} {text}")), WHO)


def reading(status: int, code: str) -> AccessRefused:
    return blob_refused(AzureAnswer(status=status, is_missing=False, code=code, text=SAID), ASKED)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (7000215, "copy its Value"),
        (7000222, "has expired. Make a new one"),
        (700016, "no application the-application. Compare client_id"),
        (7000229, "no application the-application"),
        (7000112, "is disabled. Enable it"),
        (90002, "no Microsoft Entra directory the-directory. Copy"),
        (900023, "no Microsoft Entra directory"),
        (53003, "Conditional Access policy"),
        (700211, "names our issuer"),
        (700212, "names the audience api://AzureADTokenExchange"),
        (700213, "names the subject acme_corp"),
        (70021, "Add or correct the federated credential"),
        (123456, r"\(AADSTS123456\). Look at the application's sign-in log"),
        (None, "sign-in log"),
    ],
)
def test_a_refused_sign_in_says_what_to_do(number: int | None, says: str) -> None:
    refused = signing_in(number)

    with pytest.raises(AccessRefused, match=says):
        raise refused
    assert not refused.is_retryable
    assert SAID not in refused.message


@pytest.mark.parametrize("number", [90033, 90024, 700024, 700027, 50166])
def test_what_passes_by_itself_at_entra_is_tried_again(number: int) -> None:
    assert signing_in(number).is_retryable


def test_a_number_counts_wherever_in_the_chain_it_is_said() -> None:
    """MSAL hides Entra's answer about an unknown directory behind words of its own."""
    try:
        try:
            raise ValueError(f"OIDC Discovery failed. HTTP status: 400, Error: AADSTS90002: {SAID}")
        except ValueError as said:
            raise ValueError("Unable to get authority configuration for https://login.microsoftonline.com/x.") from said
    except ValueError as error:
        hidden = ClientAuthenticationError(str(error))
        hidden.__cause__ = error

    assert "no Microsoft Entra directory" in sign_in_refused(answer_of(hidden), WHO).message
    assert "no Microsoft Entra directory" in signing_in(None, "Unable to get authority configuration for x").message


def test_an_account_of_another_directory_is_named() -> None:
    refused = signing_in(None, "The current credential is not configured to acquire tokens for tenant 1-2-3")

    assert "belongs to another Microsoft Entra directory than the-directory" in refused.message


def test_no_answer_of_entra_is_tried_again() -> None:
    lost = ClientAuthenticationError("Authentication failed: x")
    lost.__cause__ = ServiceRequestError("<urllib3> Max retries exceeded")

    assert sign_in_refused(answer_of(lost), WHO).is_retryable


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "AuthorizationPermissionMismatch", "Grant it Storage Blob Data Reader on the container"),
        (403, "InsufficientAccountPermissions", "Grant it Storage Blob Data Reader"),
        (403, "AuthorizationFailure", "firewall of storage account acmebilling"),
        (403, "AccountIsDisabled", "is disabled"),
        (403, "SomethingNew", "Grant it"),
        (401, "InvalidAuthenticationInfo", "directory_id of the storage account's subscription"),
        (404, "AccountNotFound", "no storage account acmebilling"),
        (404, "ContainerNotFound", "no container exports"),
        (404, "BlobNotFound", "no a/b.csv in container exports"),
        (409, "BlobArchived", "archive tier"),
        (418, "SomethingNew", r"\(status 418\)"),
    ],
)
def test_a_refused_read_says_what_to_do(status: int, code: str, says: str) -> None:
    refused = reading(status, code)

    with pytest.raises(AccessRefused, match=says):
        raise refused
    assert not refused.is_retryable
    assert SAID not in refused.message


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "ServerBusy"), (500, "OperationTimedOut"), (429, "TooManyRequests"), (412, "ConditionNotMet"), (409, "ContainerBeingDeleted")],
)
def test_what_passes_by_itself_at_blob_storage_is_tried_again(status: int, code: str) -> None:
    assert reading(status, code).is_retryable


@pytest.mark.parametrize(
    ("error", "says", "retryable"),
    [
        (ServiceRequestError("Failed to resolve 'x': [Errno -2] Name or service not known"), "no storage account", False),
        (ServiceRequestError("[Errno -3] Temporary failure in name resolution"), "did not answer", True),
        (ServiceResponseError("Connection broken"), "did not answer", True),
        (HttpResponseError("decoding failed"), "could not read", False),
    ],
)
def test_no_answer_of_blob_storage(error: Exception, says: str, retryable: bool) -> None:
    refused = blob_refused(answer_of(error), ASKED)

    assert says in refused.message
    assert refused.is_retryable is retryable


@pytest.mark.parametrize("plaintext", [b"", b"[]", b"{}", b'{"directory_id": "d"}', b"\xff", b'"x"'])
def test_credentials_that_cannot_be_read_are_not_quoted(plaintext: bytes) -> None:
    with pytest.raises(AccessRefused, match="Set them again"):
        read_credentials(plaintext)


def test_credentials_without_a_secret_are_federated() -> None:
    read = read_credentials(b'{"directory_id": "d", "client_id": "c", "subscription_id": "s"}')

    assert read.client_secret is None
    assert read.subscription_id == "s"
    kept = read_credentials(b'{"directory_id": "d", "client_id": "c", "client_secret": "shhh", "subscription_id": "s"}')
    assert kept.client_secret == "shhh"
    assert "shhh" not in repr(kept)
