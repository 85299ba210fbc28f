"""Renders pages."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, Undefined
from jinja2.utils import missing
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from console.gateway.errors import GatewayError
from console.web import wording
from console.web.session import Session

HERE = Path(__file__).resolve().parents[1]
THEMES = frozenset({"light", "dark"})
RETRY_SECONDS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class NavigationEntry:
    """A link of the navigation."""

    name: str
    title: str
    path: str
    audience: str


class Pages:
    """The templates, and what all of them have."""

    def __init__(self, navigation: Sequence[NavigationEntry], files: Mapping[str, Path], now: Callable[[], datetime]) -> None:
        """`files` are the static files by name: their addresses carry a hash, so that browsers may keep them."""
        self._navigation, self._now = navigation, now
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=AbsentField, trim_blocks=True, lstrip_blocks=True
        )
        self._environment.filters.update({name: _of_absent(one) for name, one in wording.FILTERS.items()})
        hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for name, path in files.items()}
        self._environment.globals["asset"] = lambda name: f"/static/{name}?v={hashes[name]}"

    def render(self, template: str, /, **context: Any) -> str:
        """The text of a template that needs no request, such as a part of a page that is sent as an event."""
        return self._environment.get_template(template).render(now=self._now(), **context)

    def compiles(self, template: str) -> bool:
        """True; raises TemplateSyntaxError if the template, or one that it extends, is wrong."""
        return self._environment.get_template(template).name == template

    def answer(
        self, request: Request, template: str, *, session: Session | None, screen: str, status: int, context: Mapping[str, Any]
    ) -> Response:
        """A page, or the part that htmx asks for."""
        notices = list(session.notices) if session else []
        text = self.render(
            template,
            session=session,
            screen=screen,
            navigation=[one for one in self._navigation if session and one.audience == session.audience],
            notices=notices,
            csrf=session.csrf if session else "",
            theme=theme_of(request),
            path=request.url.path,
            is_fragment="HX-Request" in request.headers,
            **context,
        )
        if session:
            session.notices.clear()
        return HTMLResponse(text, status_code=status)

    def error(self, request: Request, error: GatewayError, *, session: Session | None, screen: str = "") -> Response:
        """Says what went wrong and what to do. A page whose cause may pass asks again by itself."""
        template = "parts/error.html" if "HX-Request" in request.headers else "error.html"
        retry = error.retry_after or RETRY_SECONDS if error.is_passing and request.method == "GET" else None
        found = self.answer(
            request, template, session=session, screen=screen, status=error.status, context={"error": error, "retry_seconds": retry}
        )
        if error.retry_after is not None:
            found.headers["Retry-After"] = str(error.retry_after)
        return found


class AbsentField(Undefined):
    """A field that an answer of the API leaves out prints as nothing. A name that the template itself has wrong is an error."""

    def __str__(self) -> str:
        """Raises UndefinedError for a name."""
        return str(self._fail_with_undefined_error()) if self._undefined_obj is missing else ""


def _of_absent(one: Callable[..., str]) -> Callable[..., str]:
    def filtered(value: object, *more: object) -> str:
        return one(None if isinstance(value, Undefined) else value, *more)

    return filtered


def theme_of(request: Request) -> str:
    """What the reader has chosen; empty: as the system has it."""
    chosen = request.cookies.get("theme", "")
    return chosen if chosen in THEMES else ""


def utc_now() -> datetime:
    """This moment."""
    return datetime.now(UTC)
