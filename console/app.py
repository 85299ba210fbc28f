"""The console's application.

To add a screen:

1. A package `console/screens/NAME/` with a module `screen.py` that makes a `Screen(name=, title=, path=, audience=, endpoints=(get("/NAME",
   handler), post("/NAME/{id}/stop", other), ...))`. A handler takes a `Visit` (console/web/screen.py) and returns
   `visit.page("NAME/x.html", ...)` or, after a POST, `visit.back_to("/NAME", good="It is done.")`. Add the screen to `SCREENS` below; the
   navigation follows from it.
2. It calls the API by `visit.api.get("/api/v1/tenants/{tenant_id}/things/{id}", {"id": ...}, query={...})`: a tenant's `{tenant_id}` is its
   session's, never the address's; an operator passes it like any other name. Errors need no handling: a `GatewayError` becomes a page, or a
   part of one for htmx, which says reason, message, request id and what to do (`WHAT_TO_DO` in console/gateway/errors.py), and asks again
   by itself if the cause may pass. Catch it where a screen can show the rest without that answer, and show it with
   `{% include "parts/error.html" %}` (`error`, `retry_seconds`).
3. Templates extend `base.html` (blocks `title`, `head`, `main`) and use the macros of `parts/macros.html` as `m` (`badge`, `time`, `fact`,
   `empty`, `pager`, `bar`) and the filters of console/web/wording.py. A form has `{{ m.csrf_field(csrf) }}`. Pages work without JavaScript;
   htmx only makes them quicker. No inline script, no `style` attribute: the CSP refuses both. Lengths are drawn as attributes of SVG.
   Charts take their data from `<script type="application/json">`, with a script of their own in console/static after chart.js.
4. What is decided (totals, geometry, wording) is a pure function in a module of its own, with unit tests in tests/unit/console; the page
   has a test in the browser in tests/system/suite/console (fixtures: tests/support/browser.py).
"""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from console.gateway.api import Gateway
from console.gateway.errors import GatewayError
from console.screens.costs.screen import COSTS
from console.screens.fleet.screen import FLEET
from console.screens.runs.screen import RUNS
from console.screens.setup.screen import SETUP
from console.screens.tenants.screen import TENANTS
from console.settings import ConsoleSettings
from console.web.cookies import Cookie
from console.web.guards import BodyLimit, SecurityHeaders
from console.web.oidc_sign_in import OidcSignIn
from console.web.pages import NavigationEntry, Pages, utc_now
from console.web.request_log import RequestLog
from console.web.screen import Screen
from console.web.session import SessionStore
from console.web.sign_in import SignIn
from console.web.site import Places, Site
from console.web.visits import routes_of, to_sign_in

SCREENS: tuple[Screen, ...] = (COSTS, RUNS, SETUP, TENANTS, FLEET)
STATIC = Path(__file__).with_name("static")
FOREVER = "public, max-age=31536000, immutable"


def create_app(settings: ConsoleSettings) -> ASGIApp:
    """The application; it keeps sessions in memory, so one process serves an installation's console."""
    site = _site(settings)
    sign_in = SignIn(site)
    files = static_files(settings)

    async def home(request: Request) -> Response:
        session = site.session_of(request)
        if session is None:
            return to_sign_in(site, request)
        first = next((one for one in SCREENS if one.audience == session.audience and session.may(one.scope)), None)
        if first is None:
            return await _not_found(request, HTTPException(404))
        return RedirectResponse(first.path, status_code=HTTPStatus.SEE_OTHER)

    async def static(request: Request) -> Response:
        path = files.get(request.path_params["name"])
        if path is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return FileResponse(path, headers={"Cache-Control": FOREVER if "v" in request.query_params else "no-cache"})

    async def _not_found(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
        said = GatewayError(status=status, reason="PAGE_NOT_FOUND", message="There is no such page.")
        return site.pages.error(request, said, session=site.session_of(request))

    async def _broken(request: Request, _error: Exception) -> Response:
        said = GatewayError(status=500, reason="CONSOLE_BROKEN", message="The console itself has a fault here. Its log has the cause.")
        return site.pages.error(request, said, session=site.session_of(request))

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await site.gateway.close()

    app = Starlette(
        routes=[
            Route("/", home),
            Route("/healthz", _healthy),
            Route("/static/{name}", static),
            *sign_in.routes(),
            *OidcSignIn(site).routes(),
            *(route for screen in SCREENS for route in routes_of(site, screen)),
        ],
        exception_handlers={HTTPException: _not_found, Exception: _broken},
        lifespan=lifespan,
    )
    # Around it and not in it, where answers to errors of our own would go without the headers.
    return RequestLog(SecurityHeaders(BodyLimit(app), is_tls=settings.url.startswith("https://")))


def static_files(settings: ConsoleSettings) -> dict[str, Path]:
    """What is served under /static, by name: our own files and those that `make gen` fetches."""
    ours = {path.name: path for path in STATIC.iterdir() if path.is_file()}
    return ours | {name: settings.assets_dir / name for name in ("htmx.js", "chart.js")}


def navigation(screens: Sequence[Screen] = SCREENS) -> list[NavigationEntry]:
    """The links, in order."""
    return [NavigationEntry(name=one.name, title=one.title, path=one.path, audience=one.audience) for one in screens]


def _site(settings: ConsoleSettings) -> Site:
    verify = ssl.create_default_context(cafile=str(settings.gateway_ca)) if settings.gateway_ca else True
    return Site(
        settings=settings,
        gateway=Gateway(settings.gateway_url, verify=verify),
        sessions=SessionStore(
            idle=timedelta(seconds=settings.idle_seconds), longest=timedelta(seconds=settings.session_seconds), most=settings.max_sessions
        ),
        pages=Pages(navigation(), static_files(settings), utc_now),
        streams=Places(settings.max_streams),
        session_cookie=Cookie(purpose="session", secure=settings.cookie_secure),
        form_cookie=Cookie(purpose="form", secure=settings.cookie_secure),
    )


async def _healthy(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})
