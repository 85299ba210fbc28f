"""Verifies identity tokens as the clouds do: OpenID Connect discovery, the issuer's published keys, and RS256 alone (RFC 7519, 7517, 7518).

For the local emulators of AWS, Azure and Google's STS. None of them holds a key of ours: each fetches the public keys from the issuer, as
its cloud would.
"""

import base64
import binascii
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

DISCOVERY = "/.well-known/openid-configuration"
FETCH_SECONDS = 5.0
MAX_TOKEN_CHARACTERS = 16_384
KEPT_WITHOUT_CACHE_CONTROL = timedelta(minutes=5)
MIN_RSA_BITS = 2048


class TokenFault(StrEnum):
    """Why a token was refused; each cloud has an error of its own for each."""

    MALFORMED = "MALFORMED"
    ALGORITHM = "ALGORITHM"
    """Not RS256: among others `none`, and HS256 with the public key as its secret."""
    ISSUER = "ISSUER"
    ISSUER_UNREACHABLE = "ISSUER_UNREACHABLE"
    UNKNOWN_KEY = "UNKNOWN_KEY"
    SIGNATURE = "SIGNATURE"
    EXPIRED = "EXPIRED"
    NOT_YET_VALID = "NOT_YET_VALID"
    AUDIENCE = "AUDIENCE"
    SUBJECT = "SUBJECT"


class TokenRefused(Exception):
    """The message never quotes the token."""

    def __init__(self, fault: TokenFault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """What a verified token says."""

    issuer: str
    subject: str
    audience: str
    issued_at: datetime
    expires_at: datetime
    values: Mapping[str, Any]
    """All claims, by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Parsed:
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class _KeySet:
    keys: Mapping[str, RSAPublicKey]
    """By kid."""
    kept_until: datetime


class Verifier:
    """Keeps issuers' keys for as long as their Cache-Control allows, and asks again at once for a key that it does not know."""

    def __init__(self, get: Callable[[str], requests.Response] | None = None) -> None:
        self._get = get or (lambda url: requests.get(url, timeout=FETCH_SECONDS))
        self._sets: dict[str, _KeySet] = {}
        self._lock = threading.Lock()

    def verify(self, token: str, *, issuer: str, audience: str, subject: str | None = None, now: datetime) -> Claims:
        """The claims of a token that `issuer` (its exact URL) signed for `audience`, about `subject` unless that is None, and that is valid
        at `now` (UTC). Raises TokenRefused.
        """
        parsed = _parse(token)
        if parsed.header.get("alg") != "RS256":
            raise TokenRefused(TokenFault.ALGORITHM, "The token is not signed with RS256.")
        if parsed.claims.get("iss") != issuer:
            raise TokenRefused(TokenFault.ISSUER, f"The token's issuer is not {issuer}.")
        key = self._key(issuer, str(parsed.header.get("kid")), now)
        try:
            key.verify(parsed.signature, parsed.signed, PKCS1v15(), SHA256())
        except InvalidSignature:
            raise TokenRefused(TokenFault.SIGNATURE, "The token's signature does not match the issuer's key.") from None
        return _checked(parsed.claims, audience=audience, subject=subject, now=now)

    def _key(self, issuer: str, kid: str, now: datetime) -> RSAPublicKey:
        with self._lock:
            known = self._sets.get(issuer)
            if known is None or now >= known.kept_until or kid not in known.keys:
                known = self._sets[issuer] = self._fetch(issuer, now)
        if kid not in known.keys:
            raise TokenRefused(TokenFault.UNKNOWN_KEY, f"The issuer {issuer} publishes no key of the token's kid.")
        return known.keys[kid]

    def _fetch(self, issuer: str, now: datetime) -> _KeySet:
        try:
            discovery = self._answer(issuer + DISCOVERY).json()
            if discovery["issuer"] != issuer:  # OpenID Connect Discovery 1.0, section 4.3
                raise TokenRefused(TokenFault.ISSUER, f"The document at {issuer + DISCOVERY} names another issuer.")
            answer = self._answer(discovery["jwks_uri"])
            keys = {str(key["kid"]): _rsa_key(key) for key in answer.json()["keys"] if key.get("kty") == "RSA"}
        except (requests.RequestException, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TokenRefused(
                TokenFault.ISSUER_UNREACHABLE, f"The keys of {issuer} cannot be read ({type(error).__name__}). Check that it answers."
            ) from None
        return _KeySet(keys=keys, kept_until=now + _max_age(answer.headers.get("Cache-Control", "")))

    def _answer(self, url: str) -> requests.Response:
        answer = self._get(url)
        answer.raise_for_status()
        return answer


_PROCESS = Verifier()


def verify(token: str, *, issuer: str, audience: str, subject: str | None = None, now: datetime) -> Claims:
    """`Verifier.verify` with the keys that this process has fetched."""
    return _PROCESS.verify(token, issuer=issuer, audience=audience, subject=subject, now=now)


def claimed_issuer(token: str) -> str:
    """The issuer that a token names, unverified: only to look up which trusted issuer to verify it against. Raises TokenRefused."""
    return str(_parse(token).claims.get("iss"))


def _parse(token: str) -> _Parsed:
    try:
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise ValueError
        header, claims, signature = token.split(".")
        parsed = _Parsed(
            header=json.loads(_decode(header)),
            claims=json.loads(_decode(claims)),
            signed=f"{header}.{claims}".encode("ascii"),
            signature=_decode(signature),
        )
    except (ValueError, RecursionError):
        raise TokenRefused(TokenFault.MALFORMED, "This is no JSON Web Token of three parts.") from None
    if not isinstance(parsed.header, dict) or not isinstance(parsed.claims, dict):
        raise TokenRefused(TokenFault.MALFORMED, "The token's header or its claims are no JSON object.")
    if "crit" in parsed.header:  # RFC 7515, section 4.1.11
        raise TokenRefused(TokenFault.MALFORMED, "The token's header has extensions that are not understood.")
    return parsed


def _checked(claims: Mapping[str, Any], *, audience: str, subject: str | None, now: datetime) -> Claims:
    expires_at, issued_at = _time(claims, "exp"), _time(claims, "iat")
    if now >= expires_at:
        raise TokenRefused(TokenFault.EXPIRED, f"The token expired at {expires_at.isoformat()}.")
    if "nbf" in claims and now < _time(claims, "nbf"):
        raise TokenRefused(TokenFault.NOT_YET_VALID, "The token is not valid yet.")
    if claims.get("aud") != audience:  # one text: tokens for several audiences can be carried from one to another
        raise TokenRefused(TokenFault.AUDIENCE, f"The token is not for the audience {audience}.")
    about = claims.get("sub")
    if not isinstance(about, str) or not about:
        raise TokenRefused(TokenFault.MALFORMED, "The token has no subject.")
    if subject is not None and about != subject:
        raise TokenRefused(TokenFault.SUBJECT, "The token is about another subject than the one that is trusted.")
    return Claims(issuer=claims["iss"], subject=about, audience=audience, issued_at=issued_at, expires_at=expires_at, values=claims)


def _time(claims: Mapping[str, Any], name: str) -> datetime:
    seconds = claims.get(name)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TokenRefused(TokenFault.MALFORMED, f"The token has no {name}, or it is no number.")
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise TokenRefused(TokenFault.MALFORMED, f"The token's {name} is no point in time.") from None


def _rsa_key(key: Mapping[str, str]) -> RSAPublicKey:
    public = RSAPublicNumbers(e=_number(key["e"]), n=_number(key["n"])).public_key()
    if public.key_size < MIN_RSA_BITS:  # RFC 7518, section 3.3
        raise ValueError("the issuer's RSA key is too short")
    return public


def _number(text: str) -> int:
    return int.from_bytes(_decode(text), "big")


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("no Base64url") from None


def _max_age(cache_control: str) -> timedelta:
    found = re.search(r"\bmax-age=(\d{1,9})\b", cache_control)
    return timedelta(seconds=int(found[1])) if found else KEPT_WITHOUT_CACHE_CONTROL
