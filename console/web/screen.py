"""A screen: an entry of the navigation, and the pages behind it. See console/app.py for how to add one."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.gateway.api import Api
from console.web.pages import utc_now
from console.web.session import Audience, Session
from console.web.site import Site

type Handler = Callable[["Visit"], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Visit:
    """One request of somebody who is signed in and may see the screen; a form of it has passed the guards."""

    request: Request
    session: Session
    api: Api
    """Calls the gateway as the session does. `{tenant_id}` in a path is the session's tenant, whatever the address says."""
    form: Mapping[str, str]
    """What a POST has sent; empty for GET."""
    site: Site
    screen: str
    """The screen's name, which the navigation marks."""

    @property
    def names(self) -> dict[str, str]:
        """What the address names, by the placeholders of the path."""
        return {name: str(value) for name, value in self.request.path_params.items()}

    @property
    def query(self) -> dict[str, str]:
        """The filters in the address, without white space around them."""
        return {name: value.strip() for name, value in self.request.query_params.items()}

    @property
    def is_signed_in(self) -> bool:
        """False once the session has ended: what is sent for longer than a moment asks from time to time."""
        return self.site.sessions.find(self.session.session_id, utc_now(), is_use=False) is not None

    @property
    def is_fragment(self) -> bool:
        """True if htmx asks, for a part of the page."""
        return "HX-Request" in self.request.headers

    def page(self, template: str, /, *, status: int = 200, **context: Any) -> Response:
        """Renders `console/templates/{template}`. It has `session`, `notices` and `csrf` beside the context."""
        return self.site.pages.answer(self.request, template, session=self.session, screen=self.screen, status=status, context=context)

    def back_to(self, path: str, *, good: str = "", bad: str = "") -> Response:
        """After a POST: goes to a page of ours (a path), which shows the sentence once."""
        for kind, sentence in (("good", good), ("bad", bad)):
            if sentence:
                self.session.notices.append((kind, sentence))
        if self.is_fragment:
            return Response(headers={"HX-Redirect": path})
        return RedirectResponse(path, status_code=303)


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """One page or form of a screen."""

    method: str
    path: str
    handler: Handler


def get(path: str, handler: Handler) -> Endpoint:
    """Serves a page at `path`, as Starlette writes paths."""
    return Endpoint(method="GET", path=path, handler=handler)


def post(path: str, handler: Handler) -> Endpoint:
    """Takes a form at `path`. The page's form sends `csrf` along: `{{ m.csrf_field(csrf) }}`."""
    return Endpoint(method="POST", path=path, handler=handler)


@dataclass(frozen=True, kw_only=True, slots=True)
class Screen:
    """An entry of the navigation."""

    name: str
    title: str
    path: str
    """Where the navigation leads."""
    audience: Audience
    endpoints: tuple[Endpoint, ...]
    """The first one that fits an address serves it."""
    scope: str = ""
    """What a session must have for the screen to be of use; one without it begins at another screen."""
