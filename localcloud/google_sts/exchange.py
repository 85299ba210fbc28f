"""The exchange of a token for one of Google's, checked as Security Token Service checks it, with its error codes and texts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from localcloud.google_sts.pools import OidcProvider, Pools, UnknownResource
from localcloud.oidc import Claims, TokenFault, TokenRefused, verify

GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - no secret
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - no secret
MAX_SUBJECT_BYTES: Final = 127
_AUDIENCE: Final = re.compile(r"//iam\.googleapis\.com/(?P<pool>projects/\d+/locations/global/workloadIdentityPools/[^/]+)/providers/[^/]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchanged:
    """The identity that Google gives the caller."""

    principal: str
    """`principal://iam.googleapis.com/{pool}/subject/{subject}`."""
    scope: str


class ExchangeError(Exception):
    """Of RFC 6749, section 5.2: a code, and a text for people."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code, self.description = code, description


def exchange(form: Mapping[str, str], pools: Pools, now: datetime) -> Exchanged:
    """Checks grant type, provider, issuer, signature, audience, times, mapping and condition. Raises ExchangeError."""
    if form.get("grant_type") != GRANT or form.get("requested_token_type") != ACCESS_TOKEN:
        raise ExchangeError("invalid_request", "Only the exchange for an access token is supported.")
    if form.get("subject_token_type") not in {JWT, ID_TOKEN}:
        raise ExchangeError("invalid_request", "Invalid value for subject_token_type.")
    if not form.get("subject_token") or not form.get("scope"):
        raise ExchangeError("invalid_request", "Missing required field: subject_token or scope.")
    match = _AUDIENCE.fullmatch(form.get("audience", ""))
    name = match[0].removeprefix("//iam.googleapis.com/") if match else ""
    provider = _provider(pools, name)
    if match is None or provider is None:
        raise ExchangeError(
            "invalid_target",
            'The target service indicated by the "audience" parameters is invalid. This might either be because the pool or provider is '
            "disabled or deleted or because it doesn't exist.",
        )
    claims = _verified(form["subject_token"], provider, name, now)
    try:
        subject, admitted = provider.attributes(claims.values)["google.subject"], provider.admits(claims.values)
    except KeyError as missing:
        raise ExchangeError("invalid_grant", f"The mapped claim {missing} is not in the credential.") from None
    if not admitted:
        raise ExchangeError("unauthorized_client", "The given credential is rejected by the attribute condition.")
    if not subject or len(subject.encode()) > MAX_SUBJECT_BYTES:
        raise ExchangeError("invalid_grant", f"The size of mapped attribute google.subject exceeds the {MAX_SUBJECT_BYTES} bytes limit.")
    return Exchanged(principal=f"principal://iam.googleapis.com/{match['pool']}/subject/{subject}", scope=form["scope"])


def _provider(pools: Pools, name: str) -> OidcProvider | None:
    """None if it is not there, or disabled: Google does not say which."""
    try:
        found = pools.provider(name)
    except UnknownResource:
        return None
    return None if found.disabled else found


def _verified(token: str, provider: OidcProvider, name: str, now: datetime) -> Claims:
    refusal = TokenRefused(TokenFault.AUDIENCE, "")
    for audience in provider.accepted_audiences(name):
        try:
            return verify(token, issuer=provider.issuer, audience=audience, now=now)
        except TokenRefused as refused:
            refusal = refused
            if refused.fault is not TokenFault.AUDIENCE:
                break
    raise ExchangeError("invalid_grant", _TEXTS.get(refusal.fault, "The given credential is no valid ID Token.")) from None


_TEXTS: Final = {
    TokenFault.AUDIENCE: "The audience in ID Token does not match the expected audience.",
    TokenFault.ISSUER: "The issuer in ID Token does not match the expected ones.",
    TokenFault.ISSUER_UNREACHABLE: "Error connecting to the given credential's issuer.",
    TokenFault.UNKNOWN_KEY: "Error connecting to the given credential's issuer: no matching JWK.",
    TokenFault.EXPIRED: "ID Token is stale to sign-in.",
    TokenFault.NOT_YET_VALID: "ID Token is not valid yet.",
    TokenFault.SIGNATURE: "Invalid ID Token signature.",
}
