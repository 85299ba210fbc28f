"""Whose OpenID Connect tokens make an operator or a job, and of which role: the setting `CONVERGENCE_OIDC`."""

from ipaddress import ip_address
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, model_validator

type Role = Literal["provisioner", "scheduler"]


def is_secure(url: str) -> bool:
    """True for an https URL; and for http on loopback, where a local issuer listens."""
    parts = urlsplit(url)
    if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _secure(url: str) -> str:
    if not is_secure(url):
        raise ValueError("use an https URL without query or fragment; http only on loopback")
    return url


type Url = Annotated[str, AfterValidator(_secure)]


class RoleRule(BaseModel, frozen=True, extra="forbid"):
    """Gives a role to tokens in which every claim that is named here has this value."""

    role: Role
    email: Annotated[str, Field(min_length=1)] | None = None
    """Counts only if the issuer says that it has verified the address (`email_verified`)."""
    sub: Annotated[str, Field(min_length=1)] | None = None
    group: Annotated[str, Field(min_length=1)] | None = None
    """One of the values of the issuer's `groups_claim`."""

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if self.email is None and self.sub is None and self.group is None:
            raise ValueError("name an email, a sub or a group: without any, everybody with a token of this issuer would have the role")
        return self


class TrustedIssuer(BaseModel, frozen=True, extra="forbid"):
    """One issuer and the audience that its tokens for us have. Several entries may name the same issuer."""

    issuer: Url
    """Exactly as tokens have it in `iss`, e.g. `https://accounts.google.com`."""
    audience: Annotated[str, Field(min_length=1)]
    """Exactly as tokens have it in `aud`, e.g. this installation's URL: a token for another audience is for somebody else."""
    jwks_uri: Url | None = None
    """Where the issuer publishes its keys; None: its discovery document says so."""
    groups_claim: str = "groups"
    """The claim with the groups of whom the token is about: a list."""
    rules: Annotated[tuple[RoleRule, ...], Field(min_length=1)]
