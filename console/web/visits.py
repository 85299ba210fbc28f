"""Makes routes of screens: finds the session, refuses what may not be, and turns errors of the API into pages."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from console.gateway.errors import GatewayError
from console.web.guards import is_of_this_site, is_same
from console.web.screen import Endpoint, Screen, Visit
from console.web.session import Session
from console.web.site import Site

NOT_HERE = GatewayError(status=HTTPStatus.NOT_FOUND, reason="PAGE_NOT_FOUND", message="There is no such page.")
NOT_OURS = GatewayError(
    status=HTTPStatus.FORBIDDEN,
    reason="FORM_REFUSED",
    message="The form was too old, or did not come from this console. Nothing was changed. Open the page anew and send it again.",
)


def routes_of(site: Site, screen: Screen) -> list[Route]:
    """The routes of a screen's pages and forms."""
    return [Route(one.path, _guarded(site, screen, one), methods=[one.method]) for one in screen.endpoints]


def _guarded(site: Site, screen: Screen, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        session = site.session_of(request)
        if session is None:
            return to_sign_in(site, request)
        if session.audience != screen.audience:
            return site.pages.error(request, NOT_HERE, session=session)
        form = await _form(request) if endpoint.method == "POST" else {}
        if endpoint.method == "POST" and not _is_ours(site, request, session, form):
            return site.pages.error(request, NOT_OURS, session=session, screen=screen.name)
        visit = Visit(
            request=request,
            session=session,
            api=site.gateway.called_as(session.credential),
            form=form,
            site=site,
            screen=screen.name,
        )
        try:
            return await endpoint.handler(visit)
        except GatewayError as error:
            if error.is_signed_out:
                site.sessions.end(session.session_id)
                return to_sign_in(site, request)
            return site.pages.error(request, error, session=session, screen=screen.name)

    return serve


def to_sign_in(site: Site, request: Request) -> Response:
    """To the sign-in, and from there back to the page that was asked for."""
    had_one = site.session_cookie.read(request)
    path = request.url.path if request.method == "GET" and "HX-Request" not in request.headers else ""
    query = "&".join(part for part in ("why=ended" if had_one else "", f"next={quote(path)}" if path not in {"", "/"} else "") if part)
    address = f"/sign-in?{query}" if query else "/sign-in"
    if "HX-Request" in request.headers:
        return Response(headers={"HX-Redirect": address})
    return RedirectResponse(address, status_code=HTTPStatus.SEE_OTHER)


async def _form(request: Request) -> dict[str, str]:
    return {name: value.strip() for name, value in (await request.form()).items() if isinstance(value, str)}


def _is_ours(site: Site, request: Request, session: Session, form: dict[str, str]) -> bool:
    sent = request.headers.get("x-csrf-token") or form.get("csrf", "")
    return is_of_this_site(request, site.settings.public_url) and is_same(sent, session.csrf)
