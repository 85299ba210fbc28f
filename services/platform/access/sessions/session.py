"""The holder of a session token, and who knows it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from services.platform.access.key_holder import Authenticator, KeyHolder

REFUSED_TOKEN = "This session token is not good: it has expired, its API key was revoked, or it is none of ours. Get a new one."  # noqa: S105


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A session token that is not expired, of a key that is active."""

    holder: KeyHolder
    """Of the key, with the token's scopes (at least one), and the earlier of the two ends."""
    session_token_id: str
    user_id: str | None
    """The user that the token names."""


class SessionAuthenticator(Protocol):
    """Auth itself, or its client."""

    async def authenticate_session(self, session_token: str) -> Session:
        """Raises Unauthenticated for a token that is not good, Unavailable if auth or its tables do not answer."""
        ...


class WatchedAuthenticator(Authenticator, SessionAuthenticator, Protocol):
    """An authenticator that also reports changes, so that cached answers can be invalidated."""

    def changes(self) -> AsyncIterator[str]:
        """Tenants whose keys or status have changed, as they change. An empty string: changes may have been missed, invalidate every
        tenant.
        """
        ...
