"""The checks of STS before a role is assumed with a web identity token (STS, "AssumeRoleWithWebIdentity"): the token's issuer, its
audience, and whether the role's trust policy accepts its claims.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from localcloud.aws.iam_policies import Document, IamRequest, trusts
from localcloud.oidc import Claims, TokenFault, TokenRefused, claimed_issuer, verify


class WebIdentityRefused(Exception):
    """A refusal: AWS's error code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleTrust:
    """An account's settings about one of its roles."""

    role_arn: str
    document: Document | None
    """The role's trust policy; None: there is no such role."""
    audiences: Mapping[str, tuple[str, ...]]
    """The audiences that the account's OIDC providers accept, by the provider's ARN."""


_FAULTS = {
    TokenFault.EXPIRED: ("ExpiredTokenException", "Token expired: current date/time must be before the expiration date/time"),
    TokenFault.ISSUER_UNREACHABLE: ("InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider"),
    TokenFault.AUDIENCE: ("InvalidIdentityToken", "Incorrect token audience"),
}


def check_web_identity(token: str, trust: RoleTrust, now: datetime) -> None:
    """Raises WebIdentityRefused."""
    account = trust.role_arn.split(":")[4]
    try:
        issuer = claimed_issuer(token)
        host = issuer.split("://", 1)[-1]
        provider = next((arn for arn in trust.audiences if arn.endswith(f":oidc-provider/{host}")), None)
        if provider is None:
            raise WebIdentityRefused("InvalidIdentityToken", f"No OpenIDConnect provider found in your account for {issuer}")
        claims = _verified(token, issuer, trust.audiences[provider], now)
    except TokenRefused as refused:
        raise WebIdentityRefused(
            *_FAULTS.get(refused.fault, ("InvalidIdentityToken", "The ID Token provided is not a valid JWT"))
        ) from None
    request = IamRequest(
        action="sts:AssumeRoleWithWebIdentity",
        resource=trust.role_arn,
        context={f"{host}:sub": claims.subject, f"{host}:aud": claims.audience, f"{host}:iss": issuer},
    )
    if trust.document is None or not trusts(trust.document, [("Federated", provider)], request):
        raise WebIdentityRefused("AccessDenied", f"Not authorized to perform sts:AssumeRoleWithWebIdentity in account {account}")


def _verified(token: str, issuer: str, audiences: tuple[str, ...], now: datetime) -> Claims:
    """A provider may accept several audiences."""
    refusal = TokenRefused(TokenFault.AUDIENCE, "The provider accepts no audience.")
    for audience in audiences:
        try:
            return verify(token, issuer=issuer, audience=audience, now=now)
        except TokenRefused as refused:
            if refused.fault is not TokenFault.AUDIENCE:
                raise
            refusal = refused
    raise refusal
