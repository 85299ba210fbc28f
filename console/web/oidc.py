"""Operators' sign-in at an issuer of OpenID Connect: the authorization code flow with PKCE (RFC 6749, 7636; OpenID Connect Core 1.0).

The identity token that comes back is the session's credential: the services verify its signature, issuer, audience and rules with each
call, as they do for any operator's. Here only what binds it to this browser is checked: state, code verifier and nonce.
"""

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import httpx
from pydantic import SecretStr

from console.settings import ConsoleSettings

CALLBACK: Final = "/sign-in/callback"
PATIENCE: Final = timedelta(minutes=10)
"""How long a person may take at the issuer."""
KNOWN_FOR: Final = timedelta(minutes=10)
"""For so long the issuer's endpoints are not asked for again."""
DISCOVERY = "/.well-known/openid-configuration"
SECONDS = 10.0


class IssuerFault(Exception):
    """The issuer did not do its part, or the answer is not for this browser. The text is for the log; it never quotes a code or token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A person who is back."""

    token: SecretStr
    """The identity token."""
    name: str
    expires_at: datetime


class OidcClient:
    """The console as a client of the issuer. It keeps nothing of a person who is on the way: nonce and code verifier follow from the state,
    which the browser brings back, and a secret of this process.
    """

    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings = settings
        self._secret = secrets.token_bytes(32)
        self._discovery: tuple[datetime, dict[str, Any]] | None = None

    async def depart(self, now: datetime) -> tuple[str, str]:
        """The issuer's address for the browser, and the state that it has to bring back. Raises IssuerFault."""
        endpoint = (await self._discovered(now))["authorization_endpoint"]
        state = f"{int(now.timestamp())}.{secrets.token_urlsafe(32)}"
        query = {
            "response_type": "code",
            "client_id": self._settings.oidc_client_id,
            "redirect_uri": self._redirect_uri,
            "scope": self._settings.oidc_scopes,
            "state": state,
            "nonce": self._derived("nonce", state),
            "code_challenge": _base64url(hashlib.sha256(self._derived("verifier", state).encode()).digest()),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}", state

    async def arrive(self, *, state: str, code: str, now: datetime) -> Arrival:
        """Redeems the code, which the issuer takes once. `state` is that of this browser's cookie. Raises IssuerFault."""
        left_at, _, _ = state.partition(".")
        if not left_at.isdecimal() or now.timestamp() - int(left_at) > PATIENCE.total_seconds():
            raise IssuerFault("the state is too old")
        secret = self._settings.oidc_client_secret
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "client_id": self._settings.oidc_client_id,
            "code_verifier": self._derived("verifier", state),
            **({"client_secret": secret.get_secret_value()} if secret else {}),
        }
        answer = await _asked("POST", (await self._discovered(now))["token_endpoint"], data=fields)
        token = str(answer.get("id_token", ""))
        claims = _claims(token)
        if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), self._derived("nonce", state).encode()):
            raise IssuerFault("the token's nonce is not that of this sign-in")
        return Arrival(
            token=SecretStr(token),
            name=str(claims.get("email") or claims.get("sub")),
            expires_at=datetime.fromtimestamp(int(claims["exp"]), UTC),
        )

    @property
    def _redirect_uri(self) -> str:
        return f"{self._settings.url}{CALLBACK}"

    def _derived(self, purpose: str, state: str) -> str:
        return _base64url(hmac.digest(self._secret, f"{purpose} {state}".encode(), "sha256"))

    async def _discovered(self, now: datetime) -> dict[str, Any]:
        if self._discovery and now - self._discovery[0] < KNOWN_FOR:
            return self._discovery[1]
        issuer = self._settings.oidc_issuer
        found = await _asked("GET", f"{issuer}{DISCOVERY}")
        if found.get("issuer") != issuer or not {"authorization_endpoint", "token_endpoint"} <= found.keys():
            raise IssuerFault("its discovery document is another issuer's, or lacks an endpoint")
        self._discovery = (now, found)
        return found


async def _asked(method: str, url: str, *, data: dict[str, str] | None = None) -> dict[str, Any]:
    try:
        async with httpx.AsyncClient(timeout=SECONDS) as http:
            answer = await http.request(method, url, data=data, headers={"Accept": "application/json"})
        found = answer.json() if answer.is_success else None
    except (httpx.HTTPError, ValueError) as error:
        raise IssuerFault(f"it gives no usable answer ({type(error).__name__})") from None
    if not isinstance(found, dict):
        raise IssuerFault(f"it answers {answer.status_code}")
    return found


def _claims(token: str) -> dict[str, Any]:
    """What a token says, unverified: it came from the issuer itself, and the services verify it."""
    try:
        _, payload, _ = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        int(claims["exp"])
    except (ValueError, KeyError, TypeError):
        raise IssuerFault("it sent no identity token") from None
    return dict(claims)


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
