"""Sessions: who is signed in, kept in this process's memory alone."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from console.gateway.api import Credential

PER_HOLDER = 20
"""Sessions of one tenant, or of all operators with the same name; one more ends the oldest."""
_ID_BYTES = 32


class Audience(StrEnum):
    """Who a screen is for, and who is signed in."""

    TENANT = "tenant"
    OPERATOR = "operator"


@dataclass(kw_only=True, slots=True)
class Session:
    """One browser that is signed in. Its repr has no secret."""

    session_id: str = field(repr=False)
    """The cookie's value."""
    audience: Audience
    name: str
    """For the page: the tenant's id, or what is known of the operator."""
    credential: Credential
    scopes: frozenset[str]
    """What the credential may do: a tenant's scopes, an operator's roles."""
    csrf: str = field(repr=False)
    """What a form must send along."""
    expires_at: datetime
    seen_at: datetime
    notices: list[tuple[str, str]] = field(default_factory=list)
    """Kind (`good`, `bad`) and sentence, for the next page alone."""

    @property
    def tenant_id(self) -> str | None:
        """None for an operator."""
        return self.credential.tenant_id

    def may(self, scope: str) -> bool:
        """Whether the credential has this scope or role. An empty one is everybody's."""
        return not scope or scope in self.scopes


class SessionsFull(Exception):
    """As many sessions are open as the process keeps."""


class SessionStore:
    """All sessions of this process. Times are passed in, in UTC."""

    def __init__(self, *, idle: timedelta, longest: timedelta, most: int) -> None:
        self._idle, self._longest, self._most = idle, longest, most
        self._sessions: dict[str, Session] = {}

    def begin(
        self, *, audience: Audience, name: str, credential: Credential, scopes: frozenset[str], ends_at: datetime | None, now: datetime
    ) -> Session:
        """A session with an id of its own: none is ever taken over from before the sign-in. `ends_at` is when the credential expires.

        Raises SessionsFull.
        """
        self._drop_ended(now)
        same = sorted((one for one in self._sessions.values() if (one.audience, one.name) == (audience, name)), key=lambda one: one.seen_at)
        for one in same[: max(len(same) - PER_HOLDER + 1, 0)]:
            self.end(one.session_id)
        if len(self._sessions) >= self._most:
            raise SessionsFull
        session = Session(
            session_id=secrets.token_urlsafe(_ID_BYTES),
            audience=audience,
            name=name,
            credential=credential,
            scopes=scopes,
            csrf=secrets.token_urlsafe(_ID_BYTES),
            expires_at=min(filter(None, (now + self._longest, ends_at))),
            seen_at=now,
        )
        self._sessions[session.session_id] = session
        return session

    def find(self, session_id: str, now: datetime, *, is_use: bool = True) -> Session | None:
        """The session, unless it has ended. With `is_use` its idle time begins anew."""
        session = self._sessions.get(session_id)
        if session is None or not self._is_good(session, now):
            return None
        if is_use:
            session.seen_at = now
        return session

    def end(self, session_id: str) -> None:
        """Ends it, if there is one."""
        self._sessions.pop(session_id, None)

    def _is_good(self, session: Session, now: datetime) -> bool:
        return now < session.expires_at and now - session.seen_at < self._idle

    def _drop_ended(self, now: datetime) -> None:
        self._sessions = {key: one for key, one in self._sessions.items() if self._is_good(one, now)}
