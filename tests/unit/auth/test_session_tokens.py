"""Session tokens: what a new one says, and which ones are read."""

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from pydantic import SecretStr

from services.auth.sessions import tokens as session_tokens
from services.auth.sessions.tokens import SessionClaims, SessionTokens, new_claims
from services.platform.access.sessions.shape import ALGORITHM, AUDIENCE, ISSUER, TYPE
from services.platform.errors import ConvergenceError, FailedPrecondition, InvalidArgument, PermissionDenied, Unauthenticated
from tests.support.set_clock import SetClock

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD, NEW = SecretStr("old secret " * 4), SecretStr("new secret " * 4)


@pytest.fixture
def clock() -> SetClock:
    clock = SetClock()
    clock.time = NOW
    return clock


def claims(**changes: Any) -> SessionClaims:
    asked: dict[str, Any] = {
        "tenant_id": "acme",
        "api_key_id": "key-1",
        "key_scopes": (),
        "key_expires_at": None,
        "scopes": ("runs:read",),
        "lifetime": None,
        "user_id": "jo",
        "now": NOW,
    }
    return new_claims(**{**asked, **changes})


def forged(secret: bytes, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
    said = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "exp": int(NOW.timestamp()) + 60,
        "jti": "1",
        "tenant": "acme",
        "key": "key-1",
        "scope": "runs:read",
        **changes,
    }
    said = {name: value for name, value in said.items() if value is not None}
    return jwt.encode(said, secret, algorithm=ALGORITHM, headers=header or {"typ": TYPE})


def test_what_is_signed_is_read_until_it_expires(clock: SetClock) -> None:
    tokens, said = SessionTokens([NEW], clock), claims()
    token = tokens.issue(said)
    assert tokens.read(token) == said
    clock.time = said.expires_at - timedelta(microseconds=1)
    assert tokens.read(token) == said
    clock.time = said.expires_at
    with pytest.raises(Unauthenticated):
        tokens.read(token)


def test_a_secret_is_rotated_by_putting_a_new_one_in_front(clock: SetClock) -> None:
    before, after, later = SessionTokens([OLD], clock), SessionTokens([NEW, OLD], clock), SessionTokens([NEW], clock)
    old = before.issue(claims())
    assert after.read(old) == before.read(old)
    assert later.read(after.issue(claims())).tenant_id == "acme"
    with pytest.raises(Unauthenticated):
        later.read(old)


def test_without_secrets_none_is_issued_and_none_is_read(clock: SetClock) -> None:
    off = SessionTokens([], clock)
    with pytest.raises(FailedPrecondition) as refusal:
        off.issue(claims())
    assert refusal.value.reason == "SESSION_TOKENS_OFF"
    with pytest.raises(Unauthenticated):
        off.read(SessionTokens([NEW], clock).issue(claims()))


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "other"},
        {"aud": "other"},
        {"aud": [AUDIENCE]},
        {"exp": None},
        {"exp": int(NOW.timestamp())},
        {"jti": None},
        {"tenant": None},
        {"key": None},
        {"scope": None},
        {"header": {"typ": "JWT"}},
    ],
)
def test_a_token_of_another_kind_is_not_read_even_if_our_key_has_signed_it(clock: SetClock, change: dict[str, Any]) -> None:
    derived = session_tokens._derived(NEW)
    assert SessionTokens([NEW], clock).read(forged(derived)).api_key_id == "key-1"
    with pytest.raises(Unauthenticated) as refusal:
        SessionTokens([NEW], clock).read(forged(derived, **change))
    assert refusal.value.reason == "TOKEN_INVALID"


def test_the_secret_itself_signs_nothing(clock: SetClock) -> None:
    """It is for page tokens, too: what is signed for one purpose is worth nothing for another."""
    with pytest.raises(Unauthenticated):
        SessionTokens([NEW], clock).read(forged(NEW.get_secret_value().encode()))


@pytest.mark.parametrize("token", ["", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "x" * 5000, "é.é.é"])
def test_what_is_no_token_is_refused(clock: SetClock, token: str) -> None:
    with pytest.raises(Unauthenticated):
        SessionTokens([NEW], clock).read(token)


@pytest.mark.parametrize(
    ("asked", "key_scopes", "given"),
    [
        (("runs:read", "pipelines:run"), (), ("pipelines:run", "runs:read")),
        ((), (), ("runs:read",)),
        ((), ("costs:read", "costs:write", "runs:read"), ("costs:read", "runs:read")),
        (("costs:write", "costs:write"), ("costs:write",), ("costs:write",)),
    ],
)
def test_scopes_are_of_the_key_and_by_default_those_that_read(
    asked: tuple[str, ...], key_scopes: tuple[str, ...], given: tuple[str, ...]
) -> None:
    assert claims(scopes=asked, key_scopes=key_scopes).scopes == given


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"scopes": ("costs:read",)}, PermissionDenied, "costs:read"),
        ({"scopes": ("runs:read", "root")}, InvalidArgument, "scopes[1]"),
        ({"scopes": (), "key_scopes": ("pipelines:run",)}, InvalidArgument, "scopes: name at least one"),
        ({"lifetime": timedelta(seconds=59)}, InvalidArgument, "60 to 3600"),
        ({"lifetime": timedelta(seconds=3601)}, InvalidArgument, "60 to 3600"),
    ],
)
def test_more_than_the_key_may_is_refused(change: dict[str, Any], error: type[ConvergenceError], said: str) -> None:
    with pytest.raises(error) as refusal:
        claims(**change)
    assert said in refusal.value.message


@pytest.mark.parametrize(
    ("lifetime", "key_left", "lasts"),
    [(None, None, 900), (timedelta(minutes=60), None, 3600), (None, timedelta(seconds=30), 30), (None, timedelta(days=1), 900)],
)
def test_it_lasts_minutes_and_no_longer_than_the_key(lifetime: timedelta | None, key_left: timedelta | None, lasts: int) -> None:
    said = claims(lifetime=lifetime, key_expires_at=NOW + key_left if key_left else None)
    assert said.expires_at - NOW == timedelta(seconds=lasts)
