"""An issuer where operators sign in: Google's accounts as the suite's tests have them, with a login beside them."""

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt

from localcloud.cloud_scheduler.google_accounts import DISCOVERY, KID, GoogleAccounts
from tests.support.pkce import challenge_of

LIFETIME = 600


class Login:
    """The authorization and the token endpoint (RFC 6749): every caller is signed in as `email` at once."""

    def __init__(self, accounts: "OperatorAccounts") -> None:
        self._accounts = accounts
        self._codes: dict[str, dict[str, str]] = {}
        self.url = ""
        """Known once it serves."""
        self.email = ""
        self.nonce: str | None = None
        """What its tokens say instead of the nonce that they should."""

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'state': query['state'], 'code': code})}"

    def redeem(self, form: dict[str, str]) -> dict[str, Any] | None:
        """The tokens for a code; None: the code is unknown or used, or the verifier is not that of its challenge."""
        asked = self._codes.pop(form.get("code", ""), None)
        is_right = asked is not None and challenge_of(form["code_verifier"]) == asked["code_challenge"]
        if asked is None or not is_right or form["redirect_uri"] != asked["redirect_uri"]:
            return None
        token = self._accounts.operator_token(self.email, asked["client_id"], self.nonce or asked["nonce"])
        return {"id_token": token, "access_token": "unused", "token_type": "Bearer", "expires_in": LIFETIME}

    @contextmanager
    def serving(self) -> Iterator[None]:
        """On a port of its own until the block ends."""
        login = self

        class Endpoints(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(302)
                self.send_header("Location", login.authorize(_single(urlsplit(self.path).query)))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self) -> None:
                found = login.redeem(_single(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                body = json.dumps(found or {"error": "invalid_grant"}).encode()
                self.send_response(200 if found else 400)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                """Logs nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Endpoints) as server:
            server.daemon_threads = True
            self.url = f"http://127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()


class OperatorAccounts(GoogleAccounts):
    """Issues identity tokens to operators, too, with the same key."""

    def __init__(self, url: str, key_file: Path) -> None:
        super().__init__(url, key_file)
        self.login = Login(self)

    def document(self, path: str) -> dict[str, Any] | None:
        """Its discovery document names the endpoints of the login."""
        found = super().document(path)
        if found and path == DISCOVERY:
            found |= {"authorization_endpoint": f"{self.login.url}/authorize", "token_endpoint": f"{self.login.url}/token"}
        return found

    def operator_token(self, email: str, client_id: str, nonce: str) -> str:
        """A token as an operator's client gets it."""
        now = int(time.time())
        said = {"iss": self.url, "aud": client_id, "sub": email, "email": email, "email_verified": True}
        return jwt.encode({**said, "nonce": nonce, "iat": now, "exp": now + LIFETIME}, self._key, algorithm="RS256", headers={"kid": KID})


def _single(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}
