"""A tenant's stored credentials, and the identity that they are: that of a service account, which signs its own JWTs, so that no token is
fetched, or that of the tenant's subject in a workload identity pool.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import grpc
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from google.auth import exceptions as google_auth
from google.auth.credentials import Credentials
from google.auth.crypt import RSASigner
from google.auth.transport.requests import Request
from google.cloud.bigquery_storage_v1 import BigQueryReadClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport
from google.oauth2 import service_account

from services.clouds.access import AccessRefused, TenantAccess
from services.clouds.gcp.federation import FederatedIdentity
from services.clouds.gcp.refreshed import RefreshedInTurn

_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address; never called, but the library requires one
_SCOPES = ("https://www.googleapis.com/auth/bigquery",)
"""The narrowest scope that the Storage Read API accepts; the account's roles decide what it may do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GcpCredentials:
    """A tenant's credentials for Google Cloud. Kept for one run only."""

    project_id: str
    service_account: dict[str, str] | None = field(repr=False, default=None)
    """A key file; None: access is federated, and no key is stored."""
    workload_identity_provider: str | None = None
    """The resource name of a pool's provider; set if there is no key."""
    service_account_email: str | None = None
    """The service account that the tenant's subject impersonates; None: it has roles of its own."""


def read_gcp(plaintext: bytes) -> GcpCredentials:
    """Parses what credentials has encrypted for GCP: the JSON object `{project_id, service_account}`, the latter a key file, checked and
    rebuilt; or `{project_id, workload_identity_provider, service_account_email?}`.

    Raises AccessRefused for anything else, without quoting it.
    """
    try:
        payload: Any = json.loads(plaintext)
        project = str(payload["project_id"])
        if "workload_identity_provider" in payload:
            email = payload.get("service_account_email")
            return GcpCredentials(
                project_id=project,
                workload_identity_provider=str(payload["workload_identity_provider"]),
                service_account_email=str(email) if email else None,
            )
        account: Any = payload["service_account"]
        return GcpCredentials(project_id=project, service_account={str(key): str(value) for key, value in account.items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AccessRefused("The stored GCP credentials cannot be read. Set them again.") from None


def open_identity(credentials: GcpCredentials, access: TenantAccess) -> Credentials:
    """The identity of the tenant's credentials, whichever they are. No I/O. Raises AccessRefused if they cannot be used."""
    if credentials.workload_identity_provider:
        return FederatedIdentity(
            access,
            provider=credentials.workload_identity_provider,
            service_account=credentials.service_account_email,
            scopes=_SCOPES,
        )
    return identity_of(credentials.service_account or {})


def identity_of(key_file: Mapping[str, str]) -> Credentials:
    """The credentials of a service account's key. Raises AccessRefused if it cannot be used."""
    try:
        # The numbers were checked before they were stored. The library's validation would hold Python's global lock, and so all other
        # runs and calls, for a quarter of a second.
        key = load_pem_private_key(key_file["private_key"].encode(), password=None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, RSAPrivateKey):
            raise ValueError("no RSA key")  # noqa: TRY004 - a value, not a type, is wrong
        signer = RSASigner(key, key_file.get("private_key_id"))  # type: ignore[no-untyped-call]
        # Its own token_uri is never used: a tenant must not choose whom we call.
        account = service_account.Credentials(signer, key_file["client_email"], _TOKEN_URI, scopes=_SCOPES)  # type: ignore[no-untyped-call]
        return _SelfSigned(account.with_always_use_jwt_access(True))  # type: ignore[no-untyped-call]  # noqa: FBT003 - its own signature
    except (ValueError, TypeError, KeyError, UnsupportedAlgorithm, google_auth.GoogleAuthError):
        raise AccessRefused("The stored service account cannot be used: its key does not parse. Set the GCP credentials again.") from None


def storage_reader(identity: Credentials, emulator: str | None) -> Any:
    """A client of the Storage Read API, Google's or the emulator's at this address."""
    if not emulator:
        return BigQueryReadClient(credentials=identity)  # type: ignore[no-untyped-call]
    address = urlsplit(emulator).netloc if "//" in emulator else emulator
    channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])
    transport = BigQueryReadGrpcTransport(channel=grpc.intercept_channel(channel, _Identity(identity)))
    return BigQueryReadClient(transport=transport)  # type: ignore[no-untyped-call]


class _SelfSigned(RefreshedInTurn):
    """A service account that signs its own JWTs, without Google's extra: their class also looks up, in the background and at another
    address, which locations the account may use.
    """

    def __init__(self, account: Any) -> None:
        super().__init__()
        self._account = account

    def _new_token(self, request: Any) -> None:
        # Signs a new JWT. No I/O.
        self._account.refresh(request)
        self.token, self.expiry = self._account.token, self._account.expiry


class _Details(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Identity(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):  # type: ignore[misc]  # untyped upstream
    """Sends the account's JWT over a channel without TLS, where gRPC itself would not, so that the emulator, too, sees who reads."""

    def __init__(self, identity: Any) -> None:
        self._identity = identity

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        """Adds the JWT to the call."""
        return continuation(self._signed(client_call_details), request)

    def intercept_unary_stream(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        """Adds the JWT to the call."""
        return continuation(self._signed(client_call_details), request)

    def _signed(self, details: Any) -> _Details:
        if not self._identity.valid:
            self._identity.refresh(Request())
        metadata = [*(details.metadata or ()), ("authorization", f"Bearer {self._identity.token}")]
        return _Details(
            details.method,
            details.timeout,
            metadata,
            details.credentials,
            getattr(details, "wait_for_ready", None),
            getattr(details, "compression", None),
        )
