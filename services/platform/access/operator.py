"""Who calls an admin RPC."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Operator:
    """An operator or a job, by an admin key or by a token of OpenID Connect."""

    principal: str
    """For people: a token's verified e-mail address, else `issuer|subject`; `admin-key:` and the first digits of the key's SHA-256."""
    counted_as: str
    """For limits. An issuer chooses its subjects and addresses, so none of them may be equal to another issuer's, or to an admin key's."""
    is_oidc: bool = False
    """Known by a token; else by an admin key."""
    roles: frozenset[str]
    """Its admin roles; a token that no rule names has none."""
