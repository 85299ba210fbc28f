"""Keys and tokens of an issuer, for tests of the verifier; nothing is fetched over the network."""

import asyncio
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from services.platform.oidc.trusted_issuers import RoleRule, TrustedIssuer

ISSUER, AUDIENCE = "https://accounts.example.com", "https://convergence.example.com"
JOBS = "jobs@p.iam.gserviceaccount.com"
TRUSTED = TrustedIssuer(
    issuer=ISSUER,
    audience=AUDIENCE,
    rules=(
        RoleRule(role="scheduler", email=JOBS),
        RoleRule(role="provisioner", group="finops", sub="7"),
        RoleRule(role="provisioner", sub="root"),
    ),
)


@cache
def key_of(kid: str) -> Any:
    """The private key of this name: its algorithm and size are in the name, e.g. `ES256-1`, `RS256-1024-1`."""
    match kid.split("-"):
        case ["RS256", size, _]:
            return rsa.generate_private_key(public_exponent=65537, key_size=int(size))
        case ["RS256", _]:
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case ["ES384", _]:
            return ec.generate_private_key(ec.SECP384R1())
        case _:
            return ec.generate_private_key(ec.SECP256R1())


def jwk_of(kid: str, **more: str) -> dict[str, Any]:
    public = key_of(kid).public_key()
    algorithm = jwt.get_algorithm_by_name(kid.split("-", maxsplit=1)[0])
    found: dict[str, Any] = algorithm.to_jwk(public, as_dict=True)
    return {**found, "kid": kid, "use": "sig", **more}


def token(kid: str = "ES256-1", *, header: Mapping[str, Any] | None = None, key: Any = None, alg: str | None = None, **claims: Any) -> str:
    """A good token of now, except for what is given; a claim that is None is left out."""
    now = int(time.time())
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "42", "iat": now, "exp": now + 600, "email": JOBS, "email_verified": True, **claims}
    said = {name: value for name, value in said.items() if value is not None}
    algorithm = alg or kid.split("-", maxsplit=1)[0]
    return jwt.encode(said, key or key_of(kid), algorithm=algorithm, headers={"kid": kid, **(header or {})})


class Published:
    """What the issuer publishes; counts the readings."""

    def __init__(self, *kids: str) -> None:
        self.keys = [jwk_of(kid) for kid in kids]
        self.issuer = ISSUER
        self.asked = list[str]()
        self.failure: Exception | None = None
        self.answers: asyncio.Event | None = None
        """None: it answers at once; else when this is set."""

    async def __call__(self, url: str) -> Mapping[str, Any]:
        self.asked.append(url)
        if self.answers is not None:
            await self.answers.wait()
        if self.failure is not None:
            raise self.failure
        if url.endswith("/.well-known/openid-configuration"):
            return {"issuer": self.issuer, "jwks_uri": f"{ISSUER}/keys"}
        return {"keys": self.keys}
