"""Who calls an admin RPC."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Operator:
    """An operator or a job, by an admin key or by a token of OpenID Connect."""

    principal: str
    """For logs and limits: a token's verified e-mail address, else its subject; `admin-key:` and the first digits of the key's SHA-256."""
    admin_key: str | None = None
    """The first digits of the admin key's SHA-256; None for a token."""
    roles: frozenset[str]
    """Its admin roles; a token that no rule names has none."""
