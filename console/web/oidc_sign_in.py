"""The pages of an operator's sign-in at the issuer."""

import logging
from http import HTTPStatus
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from console.gateway.api import Credential
from console.gateway.errors import GatewayError
from console.web.cookies import Cookie
from console.web.exchange import SignInRefused, check_operator
from console.web.guards import is_same
from console.web.oidc import CALLBACK, PATIENCE, IssuerFault, OidcClient
from console.web.pages import utc_now
from console.web.session import Audience, SessionsFull
from console.web.sign_in import local_path
from console.web.site import Site

_LOG = logging.getLogger("console.sign_in")
REFUSED = "/sign-in?why=refused"


class OidcSignIn:
    """There and back."""

    def __init__(self, site: Site) -> None:
        self._site, self._client = site, OidcClient(site.settings)
        # The way back comes from another site, with which strict cookies are not sent.
        self._cookie = Cookie(purpose="issuer", secure=site.settings.cookie_secure, same_site_lax=True)

    def routes(self) -> list[Route]:
        """For the application; none without an issuer."""
        if self._site.settings.oidc_issuer is None:
            return []
        return [Route("/sign-in/oidc", self.depart, methods=["GET"]), Route(CALLBACK, self.arrive, methods=["GET"])]

    async def depart(self, request: Request) -> Response:
        """Sends the browser to the issuer."""
        try:
            address, state = await self._client.depart(utc_now())
        except IssuerFault as fault:
            return self._refused(fault)
        answer = RedirectResponse(address, status_code=HTTPStatus.SEE_OTHER)
        path = quote(local_path(request.query_params.get("next", "")), safe="")
        self._cookie.set(answer, f"{state}~{path}", seconds=round(PATIENCE.total_seconds()))
        return answer

    async def arrive(self, request: Request) -> Response:
        """Takes the browser back, with a code that only this sign-in can redeem."""
        state, _, path = self._cookie.read(request).partition("~")
        try:
            if not is_same(request.query_params.get("state", ""), state):
                raise IssuerFault("the state is not that of this browser")
            back = await self._client.arrive(state=state, code=request.query_params.get("code", ""), now=utc_now())
            credential = Credential.of_token(back.token, None)
            entered = await check_operator(self._site.gateway, credential, name=back.name, ends_at=back.expires_at)
            session = self._site.begin(request, Audience.OPERATOR, entered, utc_now())
        except (IssuerFault, SignInRefused, SessionsFull) as fault:
            return self._refused(fault)
        except GatewayError as error:
            return self._site.pages.error(request, error, session=None)
        # Not a redirect: the browser would follow it as a part of the issuer's own, and leave the strict cookie out.
        context = {"go_on": local_path(unquote(path))}
        answer = self._site.pages.answer(request, "signed_in.html", session=None, screen="sign-in", status=HTTPStatus.OK, context=context)
        self._site.session_cookie.set(answer, session.session_id)
        self._cookie.delete(answer)
        return answer

    def _refused(self, fault: Exception) -> Response:
        _LOG.warning("sign-in at the issuer: %s", fault)
        answer = RedirectResponse(REFUSED, status_code=HTTPStatus.SEE_OTHER)
        self._cookie.delete(answer)
        return answer
