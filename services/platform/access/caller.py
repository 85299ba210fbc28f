"""Who makes the call that is being answered. Set by `access.control`, read by servicers."""

from contextvars import ContextVar
from dataclasses import dataclass

from services.platform.errors import InvalidArgument

USER_ID_LENGTH = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """A proven caller."""

    tenant_id: str | None = None
    """The API key's tenant; None for admins and services."""
    api_key_id: str | None = None
    scopes: tuple[str, ...] = ()
    """What the API key was issued with; empty: the default, see `scopes`."""
    admin_role: str | None = None
    service: str | None = None
    """The calling service, by its certificate."""
    user_id: str | None = None
    """`X-User-ID`: what the frontend says, unverified."""


_current: ContextVar[Caller] = ContextVar("caller")


def current_caller() -> Caller:
    """The caller of the RPC that this task answers. Raises LookupError outside an RPC."""
    return _current.get()


def set_caller(caller: Caller) -> None:
    """For `access.control`, and for tests of a servicer without a server."""
    _current.set(caller)


def check_user_id(value: str) -> str | None:
    """`X-User-ID` as it may be stored; None if there is none. Raises InvalidArgument if it is too long or not printable."""
    if len(value) > USER_ID_LENGTH or not value.isprintable():
        raise InvalidArgument("X-User-ID", f"use at most {USER_ID_LENGTH} printable characters.")
    return value or None
