"""What all parts of the running console share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request

from console.gateway.api import Gateway
from console.settings import ConsoleSettings
from console.web.cookies import Cookie
from console.web.exchange import SignedIn
from console.web.pages import Pages, utc_now
from console.web.session import Audience, Session, SessionStore


class Places:
    """A number of places, for what is open for long."""

    def __init__(self, most: int) -> None:
        self._free = most

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """True: one is taken until the block ends; False: none is free."""
        if self._free <= 0:
            yield False
            return
        self._free -= 1
        try:
            yield True
        finally:
            self._free += 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """One for the process."""

    settings: ConsoleSettings
    gateway: Gateway
    sessions: SessionStore
    pages: Pages
    session_cookie: Cookie
    streams: Places
    """For pages that are followed live."""
    form_cookie: Cookie
    """What the forms for signing in are compared with, before there is a session."""

    def session_of(self, request: Request, *, is_use: bool = True) -> Session | None:
        """The session of the request's cookie; None: there is none."""
        return self.sessions.find(self.session_cookie.read(request), utc_now(), is_use=is_use)

    def begin(self, request: Request, audience: Audience, entered: SignedIn, now: datetime) -> Session:
        """A new session; the one that the browser had ends. Raises SessionsFull."""
        self.sessions.end(self.session_cookie.read(request))
        return self.sessions.begin(
            audience=audience,
            name=entered.name,
            credential=entered.credential,
            scopes=entered.scopes,
            ends_at=entered.ends_at,
            now=now,
        )
