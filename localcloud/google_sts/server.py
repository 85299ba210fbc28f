"""The HTTP server: `sts.googleapis.com`, `iamcredentials.googleapis.com` and what is needed of `iam.googleapis.com`, on one port.

Who sets up pools is not checked: this machine's user is every project's owner.
"""

import argparse
import json
import re
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

from localcloud.google_sts.access_tokens import AccessTokens
from localcloud.google_sts.exchange import ACCESS_TOKEN, ExchangeError, exchange
from localcloud.google_sts.pools import BadResource, Pools, ResourceExists, UnknownResource, provider_of
from localcloud.settings import LocalSettings
from services.platform.environment.reading import read

MAX_BODY: Final = 64 * 1024
_STATUSES: Final = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ALREADY_EXISTS"}

type Answer = dict[str, Any]


class _ApiError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


_ERRORS: Final[dict[type[Exception], tuple[int, str]]] = {
    BadResource: (400, "{}"),
    UnknownResource: (404, "{} was not found."),
    ResourceExists: (409, "{} already exists."),
}


class GoogleSts:
    """What the server answers: a body for a method, a path with its query, a bearer token and a body."""

    def __init__(self, pools: Pools, tokens: AccessTokens, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._pools, self._tokens, self._now = pools, tokens, now
        account = r"/v1/projects/-/serviceAccounts/(?P<account>[^/:]+)"
        parent = r"/v1/(?P<parent>projects/[^/]+/locations/global/workloadIdentityPools"
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., Answer]]] = [
            ("POST", re.compile(r"/v1/token"), self._exchange),
            ("POST", re.compile(rf"{account}:generateAccessToken"), self._impersonate),
            ("POST", re.compile(rf"{account}:setIamPolicy"), self._set_policy),
            ("POST", re.compile(rf"{parent})"), self._create_pool),
            ("POST", re.compile(rf"{parent}/[^/]+/providers)"), self._create_provider),
            ("PATCH", re.compile(rf"{parent}/[^/]+/providers/[^/]+)"), self._change_provider),
            ("GET", re.compile(r"/\.well-known/openid-configuration"), self._discovery),
            ("GET", re.compile(r"/\.well-known/jwks\.json"), self._keys),
        ]

    def answer(self, method: str, url: str, *, bearer: str, body: bytes) -> tuple[int, Answer]:
        """Status and JSON."""
        path, query = unquote(urlsplit(url).path), {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}
        try:
            for verb, pattern, handle in self._routes:
                if verb == method and (match := pattern.fullmatch(path)):
                    return 200, handle(body=body, query=query, bearer=bearer, **match.groupdict())
            raise UnknownResource(f"{method} {path}")
        except ExchangeError as error:
            return 400, {"error": error.code, "error_description": error.description}
        except (_ApiError, BadResource, UnknownResource, ResourceExists) as error:
            status, text = _ERRORS.get(type(error), (0, "{}"))
            status = error.status if isinstance(error, _ApiError) else status
            return status, _failed(status, text.format(error))

    def _exchange(self, *, body: bytes, **_: object) -> Answer:
        done = exchange(dict(parse_qsl(body.decode(errors="replace"))), self._pools, self._now())
        token, _expires = self._tokens.issue(done.principal, done.scope, self._now())
        seconds = int(self._tokens.lifetime.total_seconds())
        return {"access_token": token, "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": seconds}

    def _impersonate(self, *, account: str, bearer: str, body: bytes, **_: object) -> Answer:
        principal = self._tokens.holder(bearer, self._now())
        if principal is None:
            raise _ApiError(401, "Request had invalid authentication credentials. Expected OAuth 2 access token.")
        if not self._pools.may_use(account, principal):
            raise _ApiError(403, "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).")
        scopes = _json(body).get("scope") or []
        if not scopes:
            raise _ApiError(400, "The field scope is required.")
        token, expires_at = self._tokens.issue(account, " ".join(map(str, scopes)), self._now())
        return {"accessToken": token, "expireTime": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def _set_policy(self, *, account: str, body: bytes, **_: object) -> Answer:
        bindings = _json(body).get("policy", {}).get("bindings", [])
        users = [member for one in bindings if one.get("role") == "roles/iam.workloadIdentityUser" for member in one.get("members", [])]
        self._pools.set_users(account, users)
        return {"bindings": bindings}

    def _create_pool(self, *, parent: str, query: Mapping[str, str], **_: object) -> Answer:
        name = f"{parent}/{query.get('workloadIdentityPoolId', '')}"
        self._pools.create_pool(name)
        return _operation({"name": name, "state": "ACTIVE"})

    def _create_provider(self, *, parent: str, query: Mapping[str, str], body: bytes, **_: object) -> Answer:
        name, sent = f"{parent}/{query.get('workloadIdentityPoolProviderId', '')}", _json(body)
        self._pools.put_provider(name, provider_of(sent))
        return _operation({**sent, "name": name, "state": "ACTIVE"})

    def _change_provider(self, *, parent: str, query: Mapping[str, str], body: bytes, **_: object) -> Answer:
        if query.get("updateMask") != "disabled":
            raise _ApiError(400, "Only disabled can be updated here.")
        disabled = bool(_json(body).get("disabled"))
        self._pools.put_provider(parent, replace(self._pools.provider(parent), disabled=disabled), replace=True)
        return _operation({"name": parent, "disabled": disabled})

    def _discovery(self, **_: object) -> Answer:
        return self._tokens.discovery()

    def _keys(self, **_: object) -> Answer:
        return self._tokens.jwks()


def serve(host: str, port: int, sts: GoogleSts) -> ThreadingHTTPServer:
    """A server that listens; `serve_forever` answers. Raises OSError if the port is taken."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            if length > MAX_BODY:
                status, answer = 400, _failed(400, "The body is too large.")
                self.close_connection = True
            else:
                body, bearer = self.rfile.read(length), self.headers.get("Authorization", "").removeprefix("Bearer ")
                status, answer = sts.answer(self.command, self.path, bearer=bearer, body=body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = handle_any  # noqa: N815 - names of the base class

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            print(f"{self.command} {urlsplit(self.path).path} {code}", flush=True)

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    return server


def main() -> None:
    """Serves until SIGTERM or SIGINT, then exits with status 0."""
    options = _arguments()
    url = options.url or f"http://{options.host}:{options.port}"
    try:
        pools = Pools(options.data_dir / "pools.json")
    except ValueError as error:
        sys.exit(str(error))
    server = serve(options.host, options.port, GoogleSts(pools, AccessTokens(url)))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    stop.wait()
    server.shutdown()
    server.server_close()


def _operation(response: Answer) -> Answer:
    """A long-running operation that is done."""
    return {"name": f"{response['name']}/operations/1", "done": True, "response": response}


def _failed(status: int, message: str) -> Answer:
    return {"error": {"code": status, "message": message, "status": _STATUSES[status]}}


def _json(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        raise _ApiError(400, "Invalid JSON payload received.") from None
    if not isinstance(parsed, dict):
        raise _ApiError(400, "Invalid JSON payload received.")
    return parsed


def _arguments() -> argparse.Namespace:
    settings = read(LocalSettings)
    parser = argparse.ArgumentParser(prog="python -m localcloud.google_sts", description="Google's Security Token Service on a laptop.")
    parser.add_argument("--host", default=settings.host, help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=settings.google_sts_port, help="HTTP port (%(default)s)")
    parser.add_argument("--url", default=settings.google_sts_url, help="where its callers find it (http://HOST:PORT)")
    parser.add_argument("--data-dir", type=Path, default=settings.state_dir / "google_sts", help="where pools are kept (%(default)s)")
    return parser.parse_args()
