"""Guards around all pages: headers, the size of what comes in, and where a form may come from."""

import secrets
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 128 * 1024
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # No other site gets a referrer. `no-referrer` would make browsers send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class SecurityHeaders:
    """Adds the headers to every answer. Pages are not stored, unless they say otherwise."""

    def __init__(self, app: ASGIApp, *, is_tls: bool) -> None:
        self._app = app
        self._headers = {**HEADERS, **({"Strict-Transport-Security": "max-age=31536000"} if is_tls else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, sent)


class BodyLimit:
    """Refuses bodies that are large, or that do not say how large they are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["method"] not in {"GET", "HEAD"}:
            length = Headers(scope=scope).get("content-length", "")
            if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
                refusal = PlainTextResponse("Send at most 128 KiB, and say how much.", status_code=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def is_of_this_site(request: Request, public_url: str | None) -> bool:
    """Whether a form comes from a page of ours, as the browser says. Browsers that say nothing are too old to be trusted with it."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is not None:
        here = urlsplit(public_url).netloc if public_url else request.headers.get("host", "")
        return urlsplit(origin).netloc == here
    return site is not None


def is_same(given: str, expected: str) -> bool:
    """Compares two secrets in constant time. An empty one equals nothing."""
    return bool(expected) and secrets.compare_digest(given.encode(), expected.encode())
