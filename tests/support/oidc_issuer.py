"""An issuer of identity tokens on this machine, for tests of verifiers: RSA keys of its own, discovery and JWKS over HTTP."""

import base64
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

LIFETIME = timedelta(minutes=10)


class LocalIssuer:
    """Signs with the newest of its keys; `published` are the kids in its JWKS, all of them unless a test takes one away."""

    def __init__(self, *, max_age: int = 300) -> None:
        self.url = ""
        """Known once it serves."""
        self.max_age = max_age
        """Seconds for which verifiers may keep the keys."""
        self.requests: list[str] = []
        """The paths that were asked for."""
        self.kid = "key-1"
        """Of the key that signs."""
        self.published = [self.kid]

    def rotate(self) -> str:
        """Publishes a new key and signs with it from now on; its kid."""
        self.kid = f"key-{int(self.kid.removeprefix('key-')) + 1}"
        self.published.append(self.kid)
        return self.kid

    def token(self, *, subject: str, audience: str, now: datetime, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A signed token as convergence's own are. `header` and `claims` replace what it would say; None leaves it out."""
        seconds = int(now.timestamp())
        said = {
            "iss": self.url,
            "sub": subject,
            "aud": audience,
            "iat": seconds,
            "nbf": seconds,
            "exp": seconds + int(LIFETIME.total_seconds()),
            "jti": secrets.token_hex(16),
            **claims,
        }
        named = {"alg": "RS256", "typ": "JWT", "kid": self.kid, **(header or {})}
        parts = [_part(json.dumps({k: v for k, v in values.items() if v is not None}).encode()) for values in (named, said)]
        signed = ".".join(parts)
        return f"{signed}.{_part(key_of(self.kid).sign(signed.encode(), PKCS1v15(), SHA256()))}"

    def answer(self, path: str) -> dict[str, Any] | None:
        """What it serves; None: 404."""
        match path:
            case "/.well-known/openid-configuration":
                return {"issuer": self.url, "jwks_uri": f"{self.url}/.well-known/jwks.json"}
            case "/.well-known/jwks.json":
                return {"keys": [jwk_of(kid) for kid in self.published]}
            case _:
                return None


@contextmanager
def local_issuer(*, max_age: int = 300) -> Iterator[LocalIssuer]:
    """An issuer that serves on loopback until the block ends."""
    issuer = LocalIssuer(max_age=max_age)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.requests.append(self.path)
            answer = issuer.answer(self.path)
            body = json.dumps(answer).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Cache-Control", f"public, max-age={issuer.max_age}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@cache
def key_of(kid: str) -> RSAPrivateKey:
    """The RSA key of this name: one a process, because making one takes a tenth of a second."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def jwk_of(kid: str) -> dict[str, str]:
    """Its public half, as JWKS lists it."""
    public = key_of(kid).public_key().public_numbers()
    numbers = {name: _part(value.to_bytes((value.bit_length() + 7) // 8, "big")) for name, value in (("n", public.n), ("e", public.e))}
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, **numbers}


def _part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
