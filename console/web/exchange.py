"""Turns what a person pastes at the sign-in into what the session keeps: a tenant's key becomes a token of an hour, and is forgotten."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import SecretStr

from console.gateway.api import Api, Credential, Gateway
from console.gateway.errors import GatewayError
from console.web.wording import moment

TOKEN_SECONDS = 3600
ALL_SCOPES = ("audit:read", "costs:read", "costs:write", "credentials:write", "pipelines:run", "runs:read", "schedules:write")
READING = ("audit:read", "costs:read", "runs:read")
"""The scopes that change nothing."""
_OURS = re.compile(r"(?P<tenant>[a-z0-9][a-z0-9_]{2,63})_api_v1_[0-9A-Za-z]+")
_TENANT = re.compile(r"[a-z0-9][a-z0-9_]{2,63}")
_ROLES = {"provisioner": "/api/v1/usage", "scheduler": "/api/v1/scheduler/status"}
"""A call that each role may make, and that changes nothing: there is none that says which roles a key has."""


class SignInRefused(Exception):
    """What was pasted does not open a session. The text is for the person, and never quotes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedIn:
    """What a session starts with."""

    name: str
    credential: Credential
    scopes: frozenset[str]
    ends_at: datetime | None
    """When the credential expires; None: not by itself."""


def tenant_of(api_key: str, named: str) -> str:
    """The tenant that a key is for: named beside it, or in front of the key itself. Raises SignInRefused."""
    found = _OURS.fullmatch(api_key)
    tenant = named or (found["tenant"] if found else "")
    if not _TENANT.fullmatch(tenant):
        raise SignInRefused("The key does not say which tenant it is for. Enter the tenant's id as well.")
    return tenant


async def exchange_key(gateway: Gateway, *, api_key: SecretStr, tenant: str, scopes: Sequence[str]) -> SignedIn:
    """A session token with those of `scopes` that the key has. Raises SignInRefused, GatewayError."""
    tenant_id = tenant_of(api_key.get_secret_value(), tenant)
    api = gateway.called_as(Credential.of_key(api_key, tenant_id))
    try:
        answer = await _token(api, scopes)
    except GatewayError as error:
        if error.reason != "SCOPE_MISSING":
            raise refusal_of(error, "This API key is not valid: it is mistyped, revoked or expired, or it is another tenant's.") from None
        held = frozenset(error.metadata.get("held", "").split())
        if held.isdisjoint(scopes):
            raise SignInRefused("This API key has no scope that the console could use.") from None
        answer = await _token(api, [one for one in scopes if one in held])
    return SignedIn(
        name=tenant_id,
        credential=Credential.of_token(SecretStr(answer["session_token"]), tenant_id),
        scopes=frozenset(answer["scopes"]),
        ends_at=moment(answer["expires_at"]),
    )


async def _token(api: Api, scopes: Sequence[str]) -> dict[str, str]:
    return await api.post("/api/v1/tenants/{tenant_id}/session-tokens", body={"scopes": [*scopes], "lifetime_seconds": TOKEN_SECONDS})


async def check_operator(gateway: Gateway, credential: Credential, *, name: str, ends_at: datetime | None) -> SignedIn:
    """An operator's session with the roles that the credential has. Raises SignInRefused, GatewayError."""
    api, roles = gateway.called_as(credential), set[str]()
    for role, path in _ROLES.items():
        try:
            await api.get(path)
        except GatewayError as error:
            if error.reason != "ADMIN_ROLE_DENIED":
                raise refusal_of(error, "This admin key or token is not valid.") from None
        else:
            roles.add(role)
    if not roles:
        raise SignInRefused("You are known, but have no role here. Ask for the role `provisioner`.")
    return SignedIn(name=name, credential=credential, scopes=frozenset(roles), ends_at=ends_at)


def refusal_of(error: GatewayError, sentence: str) -> Exception:
    """For a sign-in: one sentence for all that is wrong with a key, so that keys cannot be probed; other errors as they are."""
    if error.is_signed_out or error.reason in {"TENANT_MISMATCH", "TENANT_NOT_FOUND"}:
        return SignInRefused(sentence)
    return error
