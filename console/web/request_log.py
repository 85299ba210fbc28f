"""One log line a request: method, path without its query, status, time. Nothing that a browser sends beside that is logged."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOG = logging.getLogger("console.requests")


class RequestLog:
    """Logs requests for pages; not those for files of ours."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"].startswith("/static/"):
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sent)
        finally:
            path = scope["path"].encode("unicode_escape").decode("ascii")
            _LOG.info("%s %s %d %.0f ms", scope["method"], path, status, (time.monotonic() - began) * 1000)
