"""The caller of the RPC in progress. Set by `access.control`, read by servicers."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass

from services.platform.errors import InvalidArgument
from services.platform.plan import DEFAULT_PLAN, PlanLimits
from services.platform.rpc.secret_texts import has_secret
from services.platform.turns import ALL, on_behalf_of

USER_ID_LENGTH = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """An authenticated caller."""

    tenant_id: str | None = None
    """The API key's tenant; None for admins and services."""
    api_key_id: str | None = None
    scopes: tuple[str, ...] = ()
    """The API key's scopes; empty: the defaults, see `scopes`."""
    limits: PlanLimits = DEFAULT_PLAN
    """What the tenant's plan allows; of no meaning for other callers."""
    session_token_id: str | None = None
    """Of the session token, issued for that key, by which a tenant's user calls; None: the key itself was sent."""
    admin_role: str | None = None
    principal: str | None = None
    """Who an admin is, see `Operator.principal`."""
    is_oidc: bool = False
    """An admin who is known by a token of OpenID Connect, not by an admin key."""
    service: str | None = None
    """The calling service, by its certificate."""
    user_id: str | None = None
    """The user that a session token names; else `X-User-ID`, which the frontend sets, not verified."""


_current: ContextVar[Caller | None] = ContextVar("caller")


def current_caller() -> Caller:
    """The caller of the RPC that this task serves. Raises LookupError outside an RPC."""
    if (caller := _current.get()) is None:
        raise LookupError("no caller")
    return caller


def known_caller() -> Caller | None:
    """The holder of the call's credential, even if the call is then refused; None while it is not known."""
    return _current.get(None)


def set_caller(caller: Caller | None) -> None:
    """For `access.control`, which sets it as soon as the credential is verified, before it applies the rule; and for tests of a servicer
    without a server.
    """
    _current.set(caller)
    on_behalf_of.set((caller.tenant_id if caller else None) or ALL)


def claimed_user_id(metadata: Mapping[str, str]) -> str | None:
    """`X-User-ID` as stored; None if absent. Raises InvalidArgument if it is too long, not printable, or has a key or token in it."""
    value = metadata.get("x-user-id", "")
    if len(value) > USER_ID_LENGTH or not value.isprintable():
        raise InvalidArgument("X-User-ID", f"use at most {USER_ID_LENGTH} printable characters.")
    if value and has_secret(value, metadata):
        raise InvalidArgument("X-User-ID", "is recorded, and what was sent looks like a key or token. Send the id of your user.")
    return value or None
