"""The credentials of a client, and the metadata that a call carries. None of it is in any repr."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from convergence.rpc.errors import ConfigurationError
from convergence.rpc.method import Caller

Token = str | Callable[[], str]
AsyncToken = Token | Callable[[], Awaitable[str]]
"""A bearer token, or what gets one: called for the first call, and again when the gateway refuses its token. Only AsyncClient awaits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """What a client proves itself with. Calls of a tenant send its API key, calls of an operator the admin key, and never the other;
    where there is no key for a call, the token is sent.
    """

    api_key: str = field(default="", repr=False)
    admin_key: str = field(default="", repr=False)
    token: AsyncToken = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Raises ConfigurationError for what cannot be sent, without showing it."""
        for name in ("api_key", "admin_key", "token"):
            value = getattr(self, name)
            if isinstance(value, str) and not sendable(value):
                raise ConfigurationError(
                    f"{name} has a blank, a line break or a character beyond ASCII in it. Was it copied with its quotes?"
                )

    def key_of(self, caller: Caller) -> tuple[str, str] | None:
        """The key that a call takes, as metadata; None: the call takes the token, or nothing."""
        if caller is Caller.TENANT and self.api_key:
            return ("x-api-key", self.api_key)
        if caller is Caller.ADMIN and self.admin_key:
            return ("x-admin-key", self.admin_key)
        return None

    def takes_token(self, caller: Caller) -> bool:
        """Whether a call takes the token. Raises ConfigurationError if it takes a credential and there is none."""
        if caller is Caller.ANYONE or self.key_of(caller):
            return False
        if self.token:
            return True
        name = "api_key" if caller is Caller.TENANT else "admin_key"
        raise ConfigurationError(
            f"The call needs {caller.value}. Give the client `{name}=`, set CONVERGENCE_{name.upper()}, or put `{name}` into the profile."
        )


def bearer(token: str) -> tuple[str, str]:
    """The metadata of a token."""
    if not token or not sendable(token):
        raise ConfigurationError("`token` gave nothing, or text that cannot be sent as a bearer token.")
    return ("authorization", f"Bearer {token}")


def sendable(value: str) -> bool:
    """Whether it can be metadata."""
    return value.isascii() and value.isprintable() and " " not in value
