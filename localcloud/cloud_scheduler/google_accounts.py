"""Google's accounts, as far as Cloud Scheduler needs them: a service account's identity tokens, and the key that verifies them."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from localcloud.files import write_private

LIFETIME: Final = 3600
"""Seconds, as Google's."""
DISCOVERY, KEYS = "/.well-known/openid-configuration", "/oauth2/v3/certs"
KID: Final = "local-1"


class GoogleAccounts:
    """Signs with a key that outlives the process: services that know it need not read it again."""

    def __init__(self, url: str, key_file: Path) -> None:
        """`url`: where `serve` is found. The key is made if there is none yet."""
        self.url, self._key = url, _key(key_file)

    def identity_token(self, email: str, audience: str) -> str:
        """A token as Cloud Scheduler sends it for `oidcToken`: https://cloud.google.com/scheduler/docs/http-target-auth."""
        now = int(time.time())
        said: dict[str, Any] = {
            "iss": self.url,
            "aud": audience,
            "azp": email,
            "sub": email,
            "email": email,
            "email_verified": True,
            "iat": now,
            "exp": now + LIFETIME,
        }
        return jwt.encode(said, self._key, algorithm="RS256", headers={"kid": KID})

    def document(self, path: str) -> dict[str, Any] | None:
        """What is published at `path`; None: nothing."""
        if path == DISCOVERY:
            return {"issuer": self.url, "jwks_uri": f"{self.url}{KEYS}"}
        if path == KEYS:
            jwk: dict[str, Any] = jwt.get_algorithm_by_name("RS256").to_jwk(self._key.public_key(), as_dict=True)
            return {"keys": [{**jwk, "kid": KID, "alg": "RS256", "use": "sig"}]}
        return None

    @contextmanager
    def serve(self, host: str, port: int) -> Iterator[None]:
        """Publishes the key until the block ends. Raises OSError if the port is taken."""
        accounts = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = accounts.document(self.path)
                body = json.dumps(found or {"error": "not found"}).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                """Logs nothing: the log is for the jobs."""

        with ThreadingHTTPServer((host, port), Page) as server:
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()


def _key(file: Path) -> RSAPrivateKey:
    if file.exists():
        key = load_pem_private_key(file.read_bytes(), password=None)
        if not isinstance(key, RSAPrivateKey):
            raise TypeError(f"{file} has no RSA key")
        return key
    key = generate_private_key(public_exponent=65537, key_size=2048)
    write_private(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
    return key
