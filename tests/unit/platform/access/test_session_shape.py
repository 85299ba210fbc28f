"""Which texts may be session tokens of ours: decided without the secret."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.platform.access.sessions.shape import AUDIENCE, CLOCKS_DIFFER, LONGEST, MAX_CHARACTERS, may_be_good
from tests.support.session_tokens import shaped

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AT = int(NOW.timestamp())
LATEST = AT + int((LONGEST + CLOCKS_DIFFER).total_seconds())
GOOD = shaped("1", NOW)
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def test_a_token_has_one_spelling() -> None:
    """Of all texts that decoders of base64 take for the same token."""
    assert may_be_good(GOOD, now=NOW)
    head, claims, signature = GOOD.split(".")
    last = BASE64URL.index(signature[-1])
    # 32 bytes are 43 digits, the last of which has two bits that mean nothing.
    unused = [f"{head}.{claims}.{signature[:-1]}{BASE64URL[last + more]}" for more in (1, 2, 3)]
    padded = [f"{GOOD}=", f"{GOOD}==", f"{head}=.{claims}.{signature}", f"{head}.{claims}==.{signature}"]
    strewn = [f"{GOOD}\n", f"{GOOD[:-1]} {GOOD[-1]}", f"{GOOD[:-1]}!{GOOD[-1]}", f"{GOOD}.", f"{GOOD}\u00e9", f"{GOOD}\udc80"]
    spellings = [
        *unused,
        *padded,
        *strewn,
        *([GOOD.replace("-", "+")] if "-" in GOOD else []),
        *([GOOD.replace("_", "/")] if "_" in GOOD else []),
    ]
    assert [one for one in spellings if may_be_good(one, now=NOW)] == []


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "other"},
        {"aud": "other"},
        {"aud": [AUDIENCE]},
        {"exp": None},
        {"exp": AT},
        {"exp": LATEST + 1},
        {"exp": float(AT + 60)},
        {"exp": True},
        {"exp": str(AT + 60)},
        {"exp": 10**400},
        {"jti": None},
        {"tenant": None},
        {"key": None},
        {"scope": None},
        {"header": {"typ": "JWT"}},
        {"header": {"typ": "convergence-session+jwt", "kid": "1"}},
        {"jti": "x" * MAX_CHARACTERS},
    ],
)
def test_what_auth_would_refuse_anyway_is_refused_here(change: dict[str, Any]) -> None:
    assert not may_be_good(shaped("1", NOW, **change), now=NOW)


def test_a_token_of_the_longest_lifetime_may_come_from_a_clock_that_is_ahead() -> None:
    assert may_be_good(shaped("1", NOW, exp=LATEST), now=NOW)
    assert not may_be_good(GOOD, now=NOW + timedelta(minutes=1))


@pytest.mark.parametrize("text", ["", "a.b.c", "..", "...", "eyJhbGciOiJub25lIn0.e30.", "x" * 5000, "\u00e9.\u00e9.\u00e9"])
def test_what_is_no_token_is_refused(text: str) -> None:
    assert not may_be_good(text, now=NOW)


@pytest.mark.parametrize("claims", [b"[]", b"null", b"{", b"\xff", b"[" * 2000, json.dumps("x").encode()])
def test_claims_that_are_no_object_are_refused(claims: bytes) -> None:
    head, _, signature = GOOD.split(".")
    part = base64.urlsafe_b64encode(claims).rstrip(b"=").decode()
    assert not may_be_good(f"{head}.{part}.{signature}", now=NOW)
