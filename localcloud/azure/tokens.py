"""Microsoft Entra's token endpoint: client credentials with a secret or with a token of a trusted issuer.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from localcloud import oidc
from localcloud.azure.directory import EntraApplication, EntraDirectories, is_over

STORAGE: Final = "https://storage.azure.com"
LIFETIME: Final = timedelta(hours=1)
ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_CLIENT, _GRANT, _REQUEST = "invalid_client", "invalid_grant", "invalid_request"


class SignInRefused(Exception):
    """Entra's answer: the number after AADSTS, and the OAuth error."""

    def __init__(self, number: int, error: str, text: str) -> None:
        super().__init__(text)
        self.number = number
        self.error = error
        self.status = 401 if error == _CLIENT else 400

    @property
    def body(self) -> dict[str, Any]:
        """As Entra words it."""
        trace = str(uuid.uuid4())
        return {
            "error": self.error,
            "error_description": f"AADSTS{self.number}: {self} Trace ID: {trace} Timestamp: {datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}",
            "error_codes": [self.number],
            "trace_id": trace,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class EntraCaller:
    """Whose token it is."""

    directory_id: str
    client_id: str


class EntraTokens:
    """Issues access tokens, and reads its own ones again."""

    def __init__(self, directories: EntraDirectories, key: bytes, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._directories = directories
        self._key = key
        self._now = now

    def discovery(self, directory_id: str, address: str) -> dict[str, str]:
        """The directory's OpenID configuration. Raises SignInRefused."""
        self._require(directory_id)
        return {
            "issuer": f"{address}/{directory_id}/v2.0",
            "token_endpoint": f"{address}/{directory_id}/oauth2/v2.0/token",
            "authorization_endpoint": f"{address}/{directory_id}/oauth2/v2.0/authorize",
        }

    def grant(self, directory_id: str, form: Mapping[str, str]) -> dict[str, Any]:
        """An access token for Blob Storage. Raises SignInRefused."""
        self._require(directory_id)
        if form.get("grant_type") != "client_credentials":
            raise SignInRefused(70003, "unsupported_grant_type", "The app requested an unsupported grant type.")
        if form.get("scope") != f"{STORAGE}/.default":
            raise SignInRefused(70011, "invalid_scope", "The provided value for the input parameter 'scope' is not valid.")
        client_id = form.get("client_id", "")
        application = self._directories.application(directory_id, client_id)
        if application is None:
            text = f"Application with identifier '{client_id}' was not found in the directory '{directory_id}'."
            raise SignInRefused(700016, "unauthorized_client", text)
        if not application.enabled:
            raise SignInRefused(7000112, "unauthorized_client", f"Application '{client_id}' is disabled.")
        if form.get("client_assertion_type") == ASSERTION:
            self._check_assertion(application, form.get("client_assertion", ""))
        elif "client_secret" in form:
            self._check_secret(application, form["client_secret"])
        else:
            raise SignInRefused(7000218, _CLIENT, "The request body must contain 'client_assertion' or 'client_secret'.")
        return {"token_type": "Bearer", "expires_in": int(LIFETIME.total_seconds()), "access_token": self._sign(application)}

    def caller(self, token: str) -> EntraCaller | None:
        """Whose token it is; None if it is none of ours, or is over."""
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            return None
        claims = json.loads(_decode(signed.partition(".")[2]))
        if claims["exp"] <= self._now().timestamp():
            return None
        return EntraCaller(directory_id=claims["tid"], client_id=claims["appid"])

    def _require(self, directory_id: str) -> None:
        if not self._directories.has_directory(directory_id):
            raise SignInRefused(90002, _REQUEST, f"Tenant '{directory_id}' not found. Check to make sure you have the correct tenant ID.")

    def _check_secret(self, application: EntraApplication, value: str) -> None:
        found = [one for one in application.secrets if hmac.compare_digest(one.value.encode(), value.encode())]
        if not found:
            text = "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not its ID."
            raise SignInRefused(7000215, _CLIENT, text)
        if all(is_over(one, self._now()) for one in found):
            raise SignInRefused(7000222, _CLIENT, f"The provided client secret keys for app '{application.client_id}' are expired.")

    def _check_assertion(self, application: EntraApplication, assertion: str) -> None:
        """Entra looks for a credential of the issuer first, then of the subject, then of the audience; then it asks for the keys."""
        try:
            issuer = oidc.claimed_issuer(assertion)
        except oidc.TokenRefused as refused:
            raise SignInRefused(50027, _REQUEST, "JWT token is invalid or malformed.") from refused
        trusted = [one for one in application.federated if one.issuer == issuer]
        if not trusted:
            text = "No matching federated identity record found for presented assertion issuer."
            raise SignInRefused(700211, _REQUEST, text)
        faults = []
        for one in trusted:
            try:
                oidc.verify(assertion, issuer=one.issuer, audience=one.audience, subject=one.subject, now=self._now())
            except oidc.TokenRefused as refused:
                faults.append(refused.fault)
            else:
                return
        raise _FAULTS.get(faults[0], SignInRefused(700027, _CLIENT, "The key was not found, or the signature does not match."))

    def _sign(self, application: EntraApplication) -> str:
        now = int(self._now().timestamp())
        claims = {
            "aud": STORAGE,
            "iss": f"https://sts.windows.net/{application.directory_id}/",
            "iat": now,
            "nbf": now,
            "exp": now + int(LIFETIME.total_seconds()),
            "appid": application.client_id,
            "oid": application.client_id,
            "tid": application.directory_id,
            "ver": "1.0",
        }
        signed = f"{_encode({'typ': 'JWT', 'alg': 'HS256'})}.{_encode(claims)}"
        return f"{signed}.{self._signature(signed)}"

    def _signature(self, signed: str) -> str:
        return base64.urlsafe_b64encode(hmac.digest(self._key, signed.encode(), hashlib.sha256)).rstrip(b"=").decode()


_FAULTS: Final = {
    oidc.TokenFault.SUBJECT: SignInRefused(
        700213, _REQUEST, "No matching federated identity record found for presented assertion subject."
    ),
    oidc.TokenFault.AUDIENCE: SignInRefused(
        700212, _REQUEST, "No matching federated identity record found for presented assertion audience."
    ),
    oidc.TokenFault.EXPIRED: SignInRefused(700024, _CLIENT, "Client assertion is not within its valid time range."),
    oidc.TokenFault.NOT_YET_VALID: SignInRefused(700024, _CLIENT, "Client assertion is not within its valid time range."),
    oidc.TokenFault.ISSUER_UNREACHABLE: SignInRefused(50166, _REQUEST, "Request to External OIDC endpoint failed."),
    oidc.TokenFault.MALFORMED: SignInRefused(50027, _REQUEST, "JWT token is invalid or malformed."),
}


def _encode(part: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
