"""A tenant's identity without a key: our token about the tenant, exchanged at Google's Security Token Service for one of Google's.

The exchange, and the impersonation of a service account if one is stored, are those of google-auth; the addresses are ours. Google's tokens
last an hour and are renewed when a request needs one, each time with a new token of ours, so a long run outlives both, and a rotation of
our signing key, too.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Any, Final

from google.auth import exceptions as google_auth
from google.auth import identity_pool
from google.auth.transport.requests import Request

from services.clouds.access import TenantAccess, TokenOf
from services.clouds.audiences import gcp_audience
from services.clouds.gcp.refreshed import RefreshedInTurn

SECONDS: Final = 20.0
"""Deadline of one request to either service."""
_STS, _IAM = "https://sts.googleapis.com", "https://iamcredentials.googleapis.com"
_JWT: Final = "urn:ietf:params:oauth:token-type:jwt"


class ExchangeFault(StrEnum):
    """Why Google gives no token of its own; the words are found again in the text of an error."""

    PROVIDER = "exchange-refused-provider"
    """The pool or its provider is not there, or disabled."""
    CONDITION = "exchange-refused-condition"
    """The provider's attribute condition refuses the tenant."""
    AUDIENCE = "exchange-refused-audience"
    ISSUER = "exchange-refused-issuer"
    KEYS = "exchange-refused-keys"
    """Google cannot read our public keys."""
    TOKEN = "exchange-refused-token"  # noqa: S105 - no secret
    IMPERSONATION = "exchange-refused-impersonation"
    """The service account does not let the tenant's subject use it."""


_SHOWN = "GET .../credentials/gcp/trust shows"
REFUSALS: Final[Mapping[ExchangeFault, str]] = {
    ExchangeFault.PROVIDER: "Google finds no enabled workload identity provider of the stored name. Check the project's number, the "
    "pool and the provider, and that neither is disabled or deleted; then set the GCP credentials again.",
    ExchangeFault.CONDITION: "The attribute condition of the workload identity provider refuses this tenant. It must be the one that "
    f"{_SHOWN}.",
    ExchangeFault.AUDIENCE: "The workload identity provider does not accept our token's audience. Leave its allowed audiences empty, or "
    "add the provider's own resource name.",
    ExchangeFault.ISSUER: f"The workload identity provider trusts another issuer. Its issuer URI must be the one that {_SHOWN}.",
    ExchangeFault.KEYS: "Google cannot read this installation's public keys. Tell its operator: CONVERGENCE_ISSUER_URL must be reachable "
    "from the internet over https.",
    ExchangeFault.TOKEN: f"Google does not accept our identity token. Compare the workload identity provider with what {_SHOWN}.",
    ExchangeFault.IMPERSONATION: "The tenant's subject may not use the stored service account. Grant it Workload Identity User "
    f"(roles/iam.workloadIdentityUser) on that account, as {_SHOWN}, and enable the IAM Service Account Credentials API "
    "(iamcredentials.googleapis.com) in the account's project.",
}
"""For the tenant: what to do."""


class ExchangeRefused(google_auth.RefreshError):
    """Raised by a refresh. Its text is a fault of ours alone: Google's may quote our token's claims, and gRPC passes texts on."""

    def __init__(self, fault: ExchangeFault) -> None:
        super().__init__(str(fault))  # type: ignore[no-untyped-call]
        self.fault = fault


_CODES: Final = ("invalid_grant", "invalid_target", "invalid_request", "invalid_client", "unauthorized_client", "access_denied")
"""Error codes of RFC 6749 and 8693, in an answer of 4xx."""
_IMPERSONATION: Final = ("permission_denied", "not_found", "failed_precondition")
# Of Security Token Service's error_description, in lower case; the first that is found.
_FAULTS: Final[Mapping[str, ExchangeFault]] = {
    "invalid_target": ExchangeFault.PROVIDER,
    "attribute condition": ExchangeFault.CONDITION,
    "unauthorized_client": ExchangeFault.CONDITION,
    "expected audience": ExchangeFault.AUDIENCE,
    "error connecting to the given credential's issuer": ExchangeFault.KEYS,
    "jwk": ExchangeFault.KEYS,
    "issuer": ExchangeFault.ISSUER,
}


class FederatedIdentity(RefreshedInTurn):
    """The credentials of the tenant's subject, or of the service account that it may impersonate.

    A refresh blocks: it asks our credentials service, then Google. It raises AccessRefused (from `token_of`), ExchangeRefused, and
    google-auth's TransportError, which may pass.
    """

    def __init__(self, access: TenantAccess, *, provider: str, service_account: str | None, scopes: Sequence[str]) -> None:
        """`provider`: the resource name of a workload identity pool's provider. `service_account`: an e-mail address; None: the subject
        itself has the roles.
        """
        super().__init__()
        self._seconds = access.call_seconds or SECONDS
        emulator = access.endpoints.google_sts
        impersonation = f"{emulator or _IAM}/v1/projects/-/serviceAccounts/{service_account}:generateAccessToken"
        # Wrapped, because its class also looks up, in the background and at another address, which locations the identity may use.
        self._google: Any = identity_pool.Credentials(  # type: ignore[no-untyped-call]
            audience=gcp_audience(provider),
            subject_token_type=_JWT,
            token_url=f"{emulator or _STS}/v1/token",
            subject_token_supplier=_OurToken(access.token_of),
            service_account_impersonation_url=impersonation if service_account else None,
            scopes=scopes,
        )

    def ready(self) -> None:
        """Refreshes unless there is a token that lasts a while. Raises as a refresh does."""
        if not self.valid:
            self.refresh(Request())

    def _new_token(self, request: Any) -> None:
        # One of Google's.
        try:
            self._google.refresh(partial(request, timeout=self._seconds))
        except (google_auth.OAuthError, google_auth.RefreshError) as error:
            fault = fault_of(error)
            if fault is None:
                raise google_auth.TransportError("Google's Security Token Service gave no usable answer") from None  # type: ignore[no-untyped-call]
            raise ExchangeRefused(fault) from None
        self.token, self.expiry = self._google.token, self._google.expiry


class _OurToken(identity_pool.SubjectTokenSupplier):
    def __init__(self, token_of: TokenOf) -> None:
        self._token_of = token_of

    def get_subject_token(self, context: Any, request: Any) -> str:
        return self._token_of(context.audience)


def fault_of(error: google_auth.GoogleAuthError) -> ExchangeFault | None:
    """From an error of google-auth. None: it is not about our token or the tenant's settings, so it may pass."""
    said = " ".join(str(part) for part in error.args).lower()
    if isinstance(error, google_auth.OAuthError):
        if not any(code in said for code in _CODES):
            return None
        return next((fault for word, fault in _FAULTS.items() if word in said), ExchangeFault.TOKEN)
    return ExchangeFault.IMPERSONATION if any(status in said for status in _IMPERSONATION) else None
