"""Tokens are verified as the clouds do it: one algorithm, the issuer's published keys, and every claim."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from localcloud.oidc import TokenFault, TokenRefused, Verifier, claimed_issuer
from tests.support.oidc_issuer import LIFETIME, LocalIssuer, key_of, local_issuer

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
AUDIENCE = "sts.amazonaws.com"


@pytest.fixture
def issuer() -> Iterator[LocalIssuer]:
    with local_issuer() as it:
        yield it


@pytest.fixture
def verifier() -> Verifier:
    return Verifier()


def fault(verifier: Verifier, issuer: LocalIssuer, token: str, *, now: datetime = NOW, subject: str | None = "acme") -> TokenFault:
    with pytest.raises(TokenRefused) as refused:
        verifier.verify(token, issuer=issuer.url, audience=AUDIENCE, subject=subject, now=now)
    assert all(part not in str(refused.value) for part in token.split(".") if len(part) > 1), "an error must not quote the token"
    return refused.value.fault


def test_a_good_token_says_who_it_is_about(verifier: Verifier, issuer: LocalIssuer) -> None:
    token = issuer.token(subject="acme", audience=AUDIENCE, now=NOW)
    claims = verifier.verify(token, issuer=issuer.url, audience=AUDIENCE, now=NOW)
    assert (claims.issuer, claims.subject, claims.audience) == (issuer.url, "acme", AUDIENCE)
    assert (claims.issued_at, claims.expires_at) == (NOW, NOW + LIFETIME)
    assert claims.values["jti"]
    assert claimed_issuer(token) == issuer.url


def test_keys_are_fetched_once_and_again_when_their_time_is_over(verifier: Verifier, issuer: LocalIssuer) -> None:
    for _ in range(3):
        verifier.verify(issuer.token(subject="acme", audience=AUDIENCE, now=NOW), issuer=issuer.url, audience=AUDIENCE, now=NOW)
    assert issuer.requests == ["/.well-known/openid-configuration", "/.well-known/jwks.json"]
    later = NOW + timedelta(seconds=issuer.max_age)
    verifier.verify(issuer.token(subject="acme", audience=AUDIENCE, now=later), issuer=issuer.url, audience=AUDIENCE, now=later)
    assert len(issuer.requests) == 4


def test_a_new_key_is_fetched_at_once_and_the_old_one_still_verifies(verifier: Verifier, issuer: LocalIssuer) -> None:
    old = issuer.token(subject="acme", audience=AUDIENCE, now=NOW)
    verifier.verify(old, issuer=issuer.url, audience=AUDIENCE, now=NOW)
    issuer.rotate()
    verifier.verify(issuer.token(subject="acme", audience=AUDIENCE, now=NOW), issuer=issuer.url, audience=AUDIENCE, now=NOW)
    verifier.verify(old, issuer=issuer.url, audience=AUDIENCE, now=NOW)


def test_a_key_that_is_taken_away_verifies_no_longer_than_it_may_be_kept(verifier: Verifier, issuer: LocalIssuer) -> None:
    token = issuer.token(subject="acme", audience=AUDIENCE, now=NOW)
    verifier.verify(token, issuer=issuer.url, audience=AUDIENCE, now=NOW)
    issuer.rotate()
    issuer.published = ["key-2"]
    assert fault(verifier, issuer, token, now=NOW + timedelta(seconds=issuer.max_age)) == TokenFault.UNKNOWN_KEY


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"aud": "api://AzureADTokenExchange"}, TokenFault.AUDIENCE),
        ({"aud": [AUDIENCE, "other"]}, TokenFault.AUDIENCE),
        ({"aud": None}, TokenFault.AUDIENCE),
        ({"sub": "other_tenant"}, TokenFault.SUBJECT),
        ({"sub": "acme "}, TokenFault.SUBJECT),
        ({"sub": None}, TokenFault.MALFORMED),
        ({"iss": "https://elsewhere.example"}, TokenFault.ISSUER),
        ({"exp": int(NOW.timestamp())}, TokenFault.EXPIRED),
        ({"exp": None}, TokenFault.MALFORMED),
        ({"exp": "tomorrow"}, TokenFault.MALFORMED),
        ({"exp": 10**30}, TokenFault.MALFORMED),
        ({"nbf": int(NOW.timestamp()) + 1}, TokenFault.NOT_YET_VALID),
        ({"header": {"kid": "key-9"}}, TokenFault.UNKNOWN_KEY),
        ({"header": {"alg": "RS384"}}, TokenFault.ALGORITHM),
        ({"header": {"crit": ["exp"]}}, TokenFault.MALFORMED),
    ],
)
def test_a_token_that_says_something_else_is_refused(
    verifier: Verifier, issuer: LocalIssuer, changed: dict[str, object], expected: TokenFault
) -> None:
    token = issuer.token(subject="acme", audience=AUDIENCE, now=NOW, **changed)  # type: ignore[arg-type]
    assert fault(verifier, issuer, token) == expected


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_token_without_a_signature_is_refused(verifier: Verifier, issuer: LocalIssuer) -> None:
    claims = issuer.token(subject="acme", audience=AUDIENCE, now=NOW).split(".")[1]
    for algorithm in ("none", "None", None):
        assert fault(verifier, issuer, f"{part({'alg': algorithm, 'kid': 'key-1'})}.{claims}.") == TokenFault.ALGORITHM
    assert fault(verifier, issuer, f"{part({'alg': 'RS256', 'kid': 'key-1'})}.{claims}.") == TokenFault.SIGNATURE


def test_the_public_key_is_no_secret_for_hs256(verifier: Verifier, issuer: LocalIssuer) -> None:
    claims = issuer.token(subject="acme", audience=AUDIENCE, now=NOW).split(".")[1]
    pem = key_of("key-1").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{part({'alg': 'HS256', 'kid': 'key-1'})}.{claims}"
    forged = base64.urlsafe_b64encode(hmac.digest(pem, signed.encode(), hashlib.sha256)).rstrip(b"=").decode()
    assert fault(verifier, issuer, f"{signed}.{forged}") == TokenFault.ALGORITHM


def test_claims_that_were_changed_after_signing_are_refused(verifier: Verifier, issuer: LocalIssuer) -> None:
    header, claims, signature = issuer.token(subject="other_tenant", audience=AUDIENCE, now=NOW).split(".")
    decoded = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert fault(verifier, issuer, f"{header}.{part({**decoded, 'sub': 'acme'})}.{signature}") == TokenFault.SIGNATURE


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "é.é.é", "W10.W10.AA", "x" * 20_000, part({}) + "." + "@@" + ".AA"])
def test_what_is_no_token_is_refused(verifier: Verifier, issuer: LocalIssuer, token: str) -> None:
    assert fault(verifier, issuer, token) == TokenFault.MALFORMED


def test_an_issuer_that_does_not_answer_is_named(issuer: LocalIssuer) -> None:
    def refuse(url: str) -> requests.Response:
        raise requests.ConnectionError

    token = issuer.token(subject="acme", audience=AUDIENCE, now=NOW)
    assert fault(Verifier(refuse), issuer, token) == TokenFault.ISSUER_UNREACHABLE


def test_a_document_that_names_another_issuer_is_refused(verifier: Verifier, issuer: LocalIssuer) -> None:
    alias = issuer.url.replace("127.0.0.1", "localhost")
    token = issuer.token(subject="acme", audience=AUDIENCE, now=NOW, iss=alias)
    with pytest.raises(TokenRefused) as refused:
        verifier.verify(token, issuer=alias, audience=AUDIENCE, now=NOW)
    assert refused.value.fault == TokenFault.ISSUER
