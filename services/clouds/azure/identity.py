"""Opens a tenant's access to Azure: an application of the tenant's directory, which signs in with its client secret or, without any secret,
with an identity token of ours (federated credential). Nothing is taken from the environment, and tokens are renewed as needed.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from services.clouds.access import AccessRefused, CloudEndpoints, TenantAccess
from services.clouds.audiences import AZURE
from services.clouds.azure.refusals import SignIn, answer_of, sign_in_refused

if TYPE_CHECKING:  # imported when access is opened: a process that serves other clouds only does without
    from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
    from azure.storage.blob import ContainerClient

AUTHORITY: Final = "login.microsoftonline.com"
"""Never a tenant's: whom we call with a tenant's secret is not for a tenant to choose."""
BLOB_STORAGE: Final = "https://{account}.blob.core.windows.net"
CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 60.0
STORAGE_RETRIES: Final = 2
"""Retries of one request to Blob Storage that was not answered, or not in time: each about a second later."""
FIRST_BYTES: Final = 4 * 2**20
"""Bytes of a blob in the first request, which also returns its size."""
CHUNK_BYTES: Final = 8 * 2**20
"""Bytes of a blob in each further request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AzureCredentials:
    """A tenant's stored credentials for Azure. Kept for one run or check only."""

    directory_id: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    """None: federation."""
    subscription_id: str | None = None
    """Not needed to read exports."""


def read_credentials(plaintext: bytes) -> AzureCredentials:
    """Parses what credentials has encrypted for AZURE: the JSON object `{directory_id, client_id, client_secret?, subscription_id}`.

    Raises AccessRefused for anything else, without quoting it.
    """
    try:
        payload: Any = json.loads(plaintext)
        secret = payload.get("client_secret")
        return AzureCredentials(
            directory_id=str(payload["directory_id"]),
            client_id=str(payload["client_id"]),
            client_secret=None if secret is None else str(secret),
            subscription_id=payload.get("subscription_id"),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AccessRefused("The stored AZURE credentials cannot be read. Set them again.") from None


class AzureIdentity:
    """A tenant's application, and clients that act as it. Errors of signing in are AccessRefused, worded for the tenant."""

    def __init__(self, access: TenantAccess) -> None:
        """No I/O: it signs in when the first request needs it. Raises AccessRefused if the stored credentials cannot be read."""
        self.credentials = read_credentials(access.plaintext)
        self._endpoints = access.endpoints
        self._seconds = access.call_seconds
        self._credential = _TenantCredential(_credential_of(self.credentials, access), self.credentials, access.tenant_id)
        self._containers: list[ContainerClient] = []

    def sign_in(self) -> None:
        """Gets a token for Blob Storage, as the first request would. Blocks. Raises AccessRefused."""
        self._credential.get_token_info("https://storage.azure.com/.default")

    def container(self, account: str, container: str) -> "ContainerClient":
        """A client of one container. Its names must have been checked: they become part of an address. No I/O."""
        from azure.storage.blob import ContainerClient, LinearRetry  # noqa: PLC0415 - see TYPE_CHECKING

        emulator = self._endpoints.azure
        client = ContainerClient(
            f"{emulator}/{account}" if emulator else BLOB_STORAGE.format(account=account),
            container,
            credential=self._credential,
            transport=_transport(self._endpoints, self._seconds),
            retry_policy=LinearRetry(backoff=1, random_jitter_range=1, retry_total=0 if self._seconds else STORAGE_RETRIES),
            permit_redirects=False,  # Blob Storage has none
            max_single_get_size=FIRST_BYTES,
            max_chunk_get_size=CHUNK_BYTES,
        )
        self._containers.append(client)
        return client

    def close(self) -> None:
        """Closes the connections."""
        while self._containers:
            self._containers.pop().close()
        self._credential.close()


class _TenantCredential:
    """Words errors of signing in for the tenant. AccessRefused is no error of Azure's clients, so that Blob Storage's client does not try
    again: each try with a wrong secret counts against the application at Entra.
    """

    def __init__(self, inner: Any, credentials: AzureCredentials, tenant_id: str) -> None:
        self._inner = inner
        self._who = SignIn(tenant_id=tenant_id, directory_id=credentials.directory_id, client_id=credentials.client_id)

    def get_token(self, *scopes: str, **options: Any) -> "AccessToken":
        """Raises AccessRefused."""
        token: AccessToken = self._explained(lambda: self._inner.get_token(*scopes, **options))
        return token

    def get_token_info(self, *scopes: str, options: "TokenRequestOptions | None" = None) -> "AccessTokenInfo":
        """Raises AccessRefused."""
        token: AccessTokenInfo = self._explained(lambda: self._inner.get_token_info(*scopes, options=options))
        return token

    def close(self) -> None:
        """Closes the connections."""
        self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _explained[Token](self, get: Callable[[], Token]) -> Token:
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - see TYPE_CHECKING

        try:
            return get()
        except AzureError as error:
            # Azure's text may quote what was sent: it is matched, and goes no further.
            raise sign_in_refused(answer_of(error), self._who) from None


def _credential_of(credentials: AzureCredentials, access: TenantAccess) -> Any:
    from azure.identity import ClientAssertionCredential, ClientSecretCredential  # noqa: PLC0415 - see TYPE_CHECKING

    # It warns of each refusal with Entra's own text; a tenant's typo is the tenant's, who gets to know it in our words.
    logging.getLogger("azure.identity").setLevel(logging.ERROR)
    options = {
        "authority": access.endpoints.azure or AUTHORITY,
        "retry_total": 0,
        "transport": _transport(access.endpoints, access.call_seconds),
    }
    if credentials.client_secret is None:
        return ClientAssertionCredential(credentials.directory_id, credentials.client_id, lambda: access.token_of(AZURE), **options)
    credential = ClientSecretCredential(
        credentials.directory_id,
        credentials.client_id,
        credentials.client_secret,
        # Whether the authority is one of Microsoft's is no question: it is fixed.
        disable_instance_discovery=True,
        **options,
    )
    # Else AZURE_REGIONAL_AUTHORITY_NAME or MSAL_FORCE_REGION choose whom the secret is sent to; there is no option against it. False is
    # MSAL's DISABLE_MSAL_FORCE_REGION.
    credential._regional_authority = False  # type: ignore[assignment]  # noqa: SLF001 - see above
    return credential


def _transport(endpoints: CloudEndpoints, seconds: float | None) -> Any:
    from azure.core.pipeline.transport import RequestsTransport  # noqa: PLC0415 - see TYPE_CHECKING

    return RequestsTransport(
        connection_timeout=seconds or CONNECT_SECONDS,
        read_timeout=seconds or READ_SECONDS,
        connection_verify=str(endpoints.ca) if endpoints.azure and endpoints.ca else True,
        use_env_settings=False,  # neither .netrc, which would replace the token, nor proxies, nor other authorities
    )
