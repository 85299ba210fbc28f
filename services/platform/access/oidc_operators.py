"""Who an operator or a job is, by its token, and what it may do."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from services.platform.access.operator import Operator
from services.platform.errors import Unauthenticated
from services.platform.oidc.fetch import Fetch, fetch_json
from services.platform.oidc.trusted_issuers import RoleRule, TrustedIssuer
from services.platform.oidc.verifier import TokenVerifier


class Operators:
    """By the rules of `CONVERGENCE_OIDC`."""

    def __init__(self, trusted: Sequence[TrustedIssuer], *, fetch: Fetch = fetch_json) -> None:
        self._tokens = TokenVerifier(trusted, fetch=fetch) if trusted else None

    async def authenticate(self, token: str) -> Operator:
        """Raises Unauthenticated for a token that is not good, Unavailable while its issuer's keys cannot be read."""
        if self._tokens is None:
            raise Unauthenticated("TOKEN_INVALID", "This installation does not accept operators' tokens. Send an admin key in X-Admin-Key.")
        verified = await self._tokens.verify(token)
        claims = verified.claims
        roles = {rule.role for trust in verified.trust for rule in trust.rules if fits(rule, claims, groups=claims.get(trust.groups_claim))}
        issuer, subject = str(claims["iss"]), str(claims["sub"])
        return Operator(
            principal=_verified_email(claims) or f"{issuer}|{subject}",
            counted_as=f"oidc:{json.dumps([issuer, subject])}",
            is_oidc=True,
            roles=frozenset(roles),
        )


def fits(rule: RoleRule, claims: Mapping[str, Any], *, groups: object) -> bool:
    """True if the claims are all that the rule names. `groups`: the claim with the groups."""
    return (
        (rule.email is None or rule.email == _verified_email(claims))
        and (rule.sub is None or rule.sub == claims.get("sub"))
        and (rule.group is None or (isinstance(groups, list) and rule.group in groups))
    )


def _verified_email(claims: Mapping[str, Any]) -> str | None:
    # The text "true" is what some issuers send for attributes that a user may set; only JSON's true counts.
    email = claims.get("email")
    return email if isinstance(email, str) and claims.get("email_verified") is True else None
