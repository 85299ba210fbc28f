"""Which tokens are good, and what a good one makes of its holder."""

import base64
import json
import time
from hashlib import sha256
from typing import Any

import jwt
import pytest

from services.platform.access.admin_keys import operator_of
from services.platform.access.oidc_operators import Operators
from services.platform.errors import Unauthenticated, Unavailable
from services.platform.oidc.fetch import NotRead
from services.platform.oidc.verifier import LEEWAY_SECONDS, MAX_CHARACTERS, MAX_LIFETIME_SECONDS
from services.platform.settings import AdminKey
from tests.unit.platform.oidc.tokens import AUDIENCE, ISSUER, JOBS, TRUSTED, Published, jwk_of, key_of, token

PUBLISHED = ("RS256-1", "ES256-1")
SYMMETRIC = {"kid": "s", "kty": "oct", "k": "c2VjcmV0"}


def operators(published: Published | None = None) -> Operators:
    return Operators([TRUSTED], fetch=published or Published(*PUBLISHED))


def now() -> int:
    return int(time.time())


async def refused(text: str, published: Published | None = None) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        await operators(published).authenticate(text)
    assert refusal.value.reason == "TOKEN_INVALID"
    return refusal.value.message


@pytest.mark.parametrize("kid", PUBLISHED)
async def test_a_good_token_names_its_holder_and_its_roles(kid: str) -> None:
    operator = await operators().authenticate(token(kid))
    assert (operator.principal, set(operator.roles)) == (JOBS, {"scheduler"})


@pytest.mark.parametrize(
    ("claims", "principal", "roles"),
    [
        ({"email_verified": False}, f"{ISSUER}|42", set()),
        ({"email_verified": "true"}, f"{ISSUER}|42", set()),
        ({"email": "other@example.com"}, "other@example.com", set()),
        ({"email": [JOBS]}, f"{ISSUER}|42", set()),
        ({"email": None, "groups": ["finops"]}, f"{ISSUER}|42", set()),
        ({"email": None, "groups": "finops", "sub": "7"}, f"{ISSUER}|7", set()),
        ({"email": None, "groups": ["other", "finops"], "sub": "7"}, f"{ISSUER}|7", {"provisioner"}),
        ({"groups": ["finops"], "sub": "7"}, JOBS, {"provisioner", "scheduler"}),
        ({"email": None, "sub": "root"}, f"{ISSUER}|root", {"provisioner"}),
    ],
)
async def test_roles_come_from_verified_claims(claims: dict[str, Any], principal: str, roles: set[str]) -> None:
    operator = await operators().authenticate(token(**claims))
    assert (operator.principal, set(operator.roles)) == (principal, roles)


async def test_operators_of_two_issuers_or_of_a_key_are_never_counted_as_one() -> None:
    other = "https://other.example.com"
    trusted = (TRUSTED, TRUSTED.model_copy(update={"issuer": other, "jwks_uri": f"{other}/keys"}))
    both = Operators(trusted, fetch=Published("ES256-1"))
    hashed = sha256(b"admin").hexdigest()
    by_key = operator_of("admin", [AdminKey(role="scheduler", sha256=hashed)])
    subject = by_key.principal
    found = [by_key, *[await both.authenticate(token(iss=iss, sub=subject, email=None)) for iss in (ISSUER, other)]]
    assert len({one.counted_as for one in found}) == len(found)
    assert len({one.principal for one in found}) == len(found)
    renamed = await both.authenticate(token(sub=subject))
    assert (renamed.principal, renamed.counted_as) == (JOBS, found[1].counted_as), "another address makes no fresh limit"


def unsigned(**claims: Any) -> str:
    """`none`, with the key id of a real key."""
    said = jwt.decode(token(**claims), options={"verify_signature": False})
    return jwt.encode(said, None, algorithm="none", headers={"kid": "RS256-1"})  # type: ignore[arg-type]  # takes no key


def signed_with_public_key() -> str:
    """HS256 with what the issuer publishes as the secret: the oldest trick."""
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "42", "iat": now(), "exp": now() + 60}
    return jwt.encode(said, jwk_of("RS256-1")["n"], algorithm="HS256", headers={"kid": "RS256-1"})


def altered() -> str:
    """Another subject under the signature of a good token."""
    header, _, signature = token().split(".")
    claims = base64.urlsafe_b64encode(json.dumps(jwt.decode(token(sub="root"), options={"verify_signature": False})).encode())
    return ".".join((header, claims.decode().rstrip("="), signature))


def without_key_id() -> str:
    said = jwt.decode(token(), options={"verify_signature": False})
    return jwt.encode(said, key_of("ES256-1"), algorithm="ES256")


def nested() -> str:
    deep = base64.urlsafe_b64encode(b"[" * 2500).decode().rstrip("=")
    return f"{deep}.{deep}."


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: "", "no JSON Web Token"),
        (lambda: "a.b", "no JSON Web Token"),
        (lambda: "a.b.c", "no JSON Web Token"),
        (nested, "no JSON Web Token"),
        (lambda: "x" * (MAX_CHARACTERS + 1), "longer than"),
        (unsigned, "not signed by"),
        (signed_with_public_key, "not signed by"),
        (lambda: token("ES384-1"), "not signed by"),
        (altered, "signature"),
        (lambda: token("ES256-1", key=key_of("ES256-2")), "signature"),
        (lambda: token("RS256-1", key=key_of("ES256-1"), alg="ES256"), "signature"),
        (without_key_id, "does not publish"),
        (lambda: token("ES256-9"), "does not publish"),
        (lambda: token(header={"crit": ["exp"]}), "no JSON Web Token"),
        (lambda: token(iss="https://evil.example.com"), "issuer and audience"),
        (lambda: token(iss=ISSUER + "/"), "issuer and audience"),
        (lambda: token(aud="https://other.example.com"), "issuer and audience"),
        (lambda: token(aud=[AUDIENCE]), "issuer and audience"),
        (lambda: token(aud=None), "issuer and audience"),
        (lambda: token(exp=now() - LEEWAY_SECONDS - 1), "expired"),
        (lambda: token(exp=None), "claims"),
        (lambda: token(exp=now() + MAX_LIFETIME_SECONDS + 60), "longer than a day"),
        (lambda: token(exp=1e308), "longer than a day"),
        (lambda: token(exp=float("inf")), "claims"),
        (lambda: token(exp=f"{now() + 2 * MAX_LIFETIME_SECONDS}"), "longer than a day"),
        (lambda: token(sub=None), "claims"),
        (lambda: token(iat=None), "claims"),
        (lambda: token(iat=now() + LEEWAY_SECONDS + 60), "claims"),
        (lambda: token(nbf=now() + LEEWAY_SECONDS + 60), "claims"),
    ],
)
async def test_a_token_that_is_not_good_is_refused_and_not_quoted(make: Any, said: str) -> None:
    text = make()
    message = await refused(text)
    assert said in message
    assert len(text) < 5 or text not in message


async def test_clocks_may_differ_a_little() -> None:
    moment = now()
    await operators().authenticate(token(exp=moment - LEEWAY_SECONDS // 2, iat=moment + LEEWAY_SECONDS // 2))


@pytest.mark.parametrize(
    "key",
    [
        jwk_of("RS256-1024-1"),
        jwk_of("ES384-1"),
        jwk_of("RS256-1", use="enc"),
        SYMMETRIC,
        {"kid": "x"},
        "key",
    ],
    ids=["short", "other curve", "for encryption", "symmetric", "no key", "no object"],
)
async def test_keys_of_other_kinds_are_passed_over(key: Any) -> None:
    published = Published(*PUBLISHED)
    published.keys.insert(0, key)
    await operators(published).authenticate(token("RS256-1"))
    alone = Published()
    alone.keys = [key]
    with pytest.raises(Unavailable):
        await operators(alone).authenticate(token("RS256-1"))


async def test_another_issuers_discovery_is_not_taken() -> None:
    published = Published(*PUBLISHED)
    published.issuer = "https://evil.example.com"
    with pytest.raises(Unavailable):
        await operators(published).authenticate(token())


async def test_without_trusted_issuers_no_token_is_good() -> None:
    with pytest.raises(Unauthenticated) as refusal:
        await Operators([]).authenticate(token())
    assert refusal.value.reason == "TOKEN_INVALID"


async def test_an_issuer_that_never_answered_is_unavailable() -> None:
    published = Published(*PUBLISHED)
    published.failure = NotRead("down")
    with pytest.raises(Unavailable) as refusal:
        await operators(published).authenticate(token())
    assert ISSUER in refusal.value.message
