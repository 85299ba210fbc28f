"""Signing in and out."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from math import ceil
from typing import Any, Final

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from console.gateway.api import Credential
from console.gateway.errors import GatewayError
from console.web.attempts import Attempts
from console.web.exchange import ALL_SCOPES, READING, SignedIn, SignInRefused, check_operator, exchange_key
from console.web.guards import is_of_this_site, is_same
from console.web.pages import utc_now
from console.web.session import Audience, Session, SessionsFull
from console.web.site import Site
from console.web.visits import NOT_OURS

TEMPLATE: Final = "sign_in.html"
MAX_SECRET = 4096
AT_A_TIME = 8
"""Sign-ins that are being checked: more wait."""
type Enter = Callable[[SecretStr], Awaitable[SignedIn]]
REASONS: Final = {
    "ended": "Your session has ended. Sign in again.",
    "out": "You are signed out.",
    "refused": "The issuer did not let you in. Try again, or use an admin key.",
}


class SignIn:
    """Its page and its forms."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._attempts = Attempts(site.settings.sign_in_failures)
        self._turns = asyncio.Semaphore(AT_A_TIME)

    def routes(self) -> list[Route]:
        """For the application."""
        return [
            Route("/sign-in", self.show, methods=["GET"]),
            Route("/sign-in/tenant", self.as_tenant, methods=["POST"]),
            Route("/sign-in/operator", self.as_operator, methods=["POST"]),
            Route("/sign-out", self.sign_out, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The forms. A signed-in browser goes on to its first screen."""
        if self._site.session_of(request):
            return RedirectResponse(local_path(request.query_params.get("next", "")), status_code=HTTPStatus.SEE_OTHER)
        return self._page(request, said=REASONS.get(request.query_params.get("why", ""), ""))

    async def as_tenant(self, request: Request) -> Response:
        """Takes an API key, exchanges it for a token, and forgets it."""
        form = await request.form()
        scopes = READING if form.get("read_only") else ALL_SCOPES

        async def enter(pasted: SecretStr) -> SignedIn:
            return await exchange_key(self._site.gateway, api_key=pasted, tenant=str(form.get("tenant_id", "")).strip(), scopes=scopes)

        return await self._enter(request, dict(form), Audience.TENANT, enter)

    async def as_operator(self, request: Request) -> Response:
        """Takes an admin key, which stays in the session: there is nothing to exchange it for."""

        async def enter(pasted: SecretStr) -> SignedIn:
            return await check_operator(self._site.gateway, Credential.of_admin_key(pasted), name="operator", ends_at=None)

        return await self._enter(request, dict(await request.form()), Audience.OPERATOR, enter)

    async def sign_out(self, request: Request) -> Response:
        """Ends the session, if the form is of ours."""
        if session := self._site.session_of(request):
            form = await request.form()
            if not (is_of_this_site(request, self._site.settings.public_url) and is_same(str(form.get("csrf", "")), session.csrf)):
                return self._site.pages.error(request, NOT_OURS, session=session)
            self._site.sessions.end(session.session_id)
        answer = RedirectResponse("/sign-in?why=out", status_code=HTTPStatus.SEE_OTHER)
        self._site.session_cookie.delete(answer)
        return answer

    async def _enter(self, request: Request, form: Mapping[str, Any], audience: Audience, enter: Enter) -> Response:
        pasted, path = str(form.get("key", "")).strip(), str(form.get("next", ""))
        if refusal := self._refusal(request, form, pasted, audience):
            return refusal
        self._attempts.begin(_address(request), utc_now())
        try:
            async with self._turns:
                entered = await enter(SecretStr(pasted))
        except SignInRefused as refused:
            return self._page(request, bad=str(refused), audience=audience, status=HTTPStatus.UNAUTHORIZED, path=path)
        except GatewayError as error:
            self._attempts.forgive(_address(request))
            return self._page(request, error=error, audience=audience, status=error.status, path=path)
        self._attempts.forgive(_address(request))
        try:
            session = self._site.begin(request, audience, entered, utc_now())
        except SessionsFull:
            busy = "As many people are signed in as this console keeps. Try again in some minutes."
            return self._page(request, bad=busy, status=HTTPStatus.SERVICE_UNAVAILABLE, path=path)
        return self.entered(session, path)

    def _refusal(self, request: Request, form: Mapping[str, Any], pasted: str, audience: Audience) -> Response | None:
        """What is wrong with a form before the API is asked; None: nothing."""
        is_ours = is_same(str(form.get("csrf", "")), self._site.form_cookie.read(request))
        if not is_ours or not is_of_this_site(request, self._site.settings.public_url):
            return self._page(request, bad="The form was too old, or not of this site. Send it again.", status=HTTPStatus.FORBIDDEN)
        if wait := self._attempts.wait(_address(request), utc_now()):
            return self._too_many(request, wait)
        if not 0 < len(pasted) <= MAX_SECRET or not pasted.isascii() or not pasted.isprintable():
            return self._page(request, bad="Paste a key.", audience=audience, status=HTTPStatus.BAD_REQUEST)
        return None

    def entered(self, session: Session, path: str) -> Response:
        """Goes on to where the person was going, with the new session's cookie."""
        answer = RedirectResponse(local_path(path), status_code=HTTPStatus.SEE_OTHER)
        self._site.session_cookie.set(answer, session.session_id)
        self._site.form_cookie.delete(answer)
        return answer

    def _too_many(self, request: Request, wait: timedelta) -> Response:
        seconds = ceil(wait.total_seconds())
        bad = f"Too many sign-ins from your address have failed. Try again in {ceil(seconds / 60)} min."
        answer = self._page(request, bad=bad, status=HTTPStatus.TOO_MANY_REQUESTS)
        answer.headers["Retry-After"] = str(seconds)
        return answer

    def _page(
        self,
        request: Request,
        *,
        audience: Audience = Audience.TENANT,
        status: int = 200,
        path: str = "",
        **shown: str | GatewayError,
    ) -> Response:
        """The forms, with what is `shown` of said, bad (sentences) and error. `path`: where the person was going."""
        token = self._site.form_cookie.read(request) or secrets.token_urlsafe(32)
        context = {
            "said": "",
            "bad": "",
            "error": None,
            **shown,
            "audience": audience,
            "form_token": token,
            "next": local_path(path or request.query_params.get("next", "")),
            "has_oidc": self._site.settings.oidc_issuer is not None,
        }
        answer = self._site.pages.answer(request, TEMPLATE, session=None, screen="sign-in", status=status, context=context)
        self._site.form_cookie.set(answer, token)
        return answer


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def local_path(path: str) -> str:
    """The path, if it is one of this site; else the first page."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and not path.startswith("/sign-")
    return path if is_ours and "\\" not in path else "/"
