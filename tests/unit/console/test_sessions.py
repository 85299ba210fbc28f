"""Sessions, attempts and cookies: with the time passed in."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from console.gateway.api import Credential
from console.web.attempts import WINDOW, Attempts
from console.web.cookies import Cookie
from console.web.guards import is_of_this_site, is_same
from console.web.session import PER_HOLDER, Audience, Session, SessionsFull, SessionStore
from console.web.sign_in import local_path

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECRET = "acme_api_v1_secret"


def begin(store: SessionStore, *, name: str = "acme", now: datetime = NOW, ends_at: datetime | None = None) -> Session:
    credential = Credential.of_token(SecretStr(SECRET), name)
    return store.begin(
        audience=Audience.TENANT, name=name, credential=credential, scopes=frozenset({"runs:read"}), ends_at=ends_at, now=now
    )


def store_of(most: int = 100) -> SessionStore:
    return SessionStore(idle=30 * MINUTE, longest=60 * MINUTE, most=most)


def test_a_session_ends_when_it_is_idle_when_it_is_old_and_with_its_credential() -> None:
    store = store_of()
    idle, busy, short = begin(store), begin(store), begin(store, ends_at=NOW + 5 * MINUTE)
    assert store.find(short.session_id, NOW + 4 * MINUTE) is short
    assert store.find(short.session_id, NOW + 5 * MINUTE) is None
    for minutes in (20, 40):
        assert store.find(busy.session_id, NOW + minutes * MINUTE) is busy
    assert store.find(idle.session_id, NOW + 30 * MINUTE) is None
    assert store.find(busy.session_id, NOW + 60 * MINUTE) is None


def test_looking_whether_a_session_goes_on_does_not_prolong_it() -> None:
    store = store_of()
    session = begin(store)
    assert store.find(session.session_id, NOW + 20 * MINUTE, is_use=False) is session
    assert store.find(session.session_id, NOW + 31 * MINUTE) is None


def test_every_session_has_an_id_and_a_form_token_of_its_own_and_shows_no_secret() -> None:
    store = store_of()
    one, other = begin(store), begin(store)
    assert len({one.session_id, other.session_id, one.csrf, other.csrf}) == 4
    assert not any(secret in repr(one) for secret in (SECRET, one.session_id, one.csrf))
    store.end(one.session_id)
    store.end(one.session_id)
    assert store.find(one.session_id, NOW) is None
    assert store.find("", NOW) is None


def test_a_tenant_ends_its_own_oldest_session_and_not_that_of_others() -> None:
    store = store_of(most=PER_HOLDER + 1)
    other = begin(store, name="other")
    mine = [begin(store, now=NOW + number * MINUTE / 60) for number in range(PER_HOLDER + 1)]
    assert store.find(mine[0].session_id, NOW + MINUTE) is None
    assert store.find(mine[1].session_id, NOW + MINUTE) is mine[1]
    assert store.find(other.session_id, NOW + MINUTE) is other
    with pytest.raises(SessionsFull):
        begin(store, name="third", now=NOW + MINUTE)
    # Sessions that have ended take no place.
    begin(store, name="third", now=NOW + 90 * MINUTE)


def test_an_address_that_fails_often_waits_and_others_do_not() -> None:
    attempts = Attempts(2)
    for second in (0, 60):
        assert attempts.wait("a", NOW + timedelta(seconds=second)) is None
        attempts.begin("a", NOW + timedelta(seconds=second))
    assert attempts.wait("a", NOW + timedelta(seconds=90)) == WINDOW - timedelta(seconds=90)
    assert attempts.wait("b", NOW + timedelta(seconds=90)) is None
    assert attempts.wait("a", NOW + WINDOW) is None


def test_a_sign_in_counts_from_its_beginning_and_not_if_it_succeeds() -> None:
    attempts = Attempts(2)
    attempts.begin("a", NOW)
    attempts.begin("a", NOW)
    assert attempts.wait("a", NOW) == WINDOW
    attempts.forgive("a")
    assert attempts.wait("a", NOW) is None
    attempts.forgive("b")


def test_cookies_are_for_this_host_alone() -> None:
    response = Response()
    Cookie(purpose="session", secure=True).set(response, "v")
    Cookie(purpose="session", secure=False).set(response, "v")
    secure, plain = [header.decode() for name, header in response.raw_headers if name == b"set-cookie"]
    assert secure == "__Host-session=v; HttpOnly; Path=/; SameSite=strict; Secure"
    assert plain == "convergence-session=v; HttpOnly; Path=/; SameSite=strict"


@pytest.mark.parametrize(
    ("headers", "public_url", "is_ours"),
    [
        ({"sec-fetch-site": "same-origin", "origin": "http://c.test"}, None, True),
        ({"origin": "http://c.test"}, None, True),
        ({"sec-fetch-site": "same-origin"}, None, True),
        ({"origin": "https://console.example.com"}, "https://console.example.com", True),
        ({}, None, False),
        ({"origin": "null"}, None, False),
        ({"origin": "http://evil.test"}, None, False),
        ({"sec-fetch-site": "same-site", "origin": "http://c.test"}, None, False),
        ({"sec-fetch-site": "cross-site"}, None, False),
        ({"origin": "http://c.test"}, "https://console.example.com", False),
    ],
)
def test_a_form_comes_from_a_page_of_ours(headers: dict[str, str], public_url: str | None, is_ours: bool) -> None:
    raw = [(name.encode(), value.encode()) for name, value in {"host": "c.test", **headers}.items()]
    assert is_of_this_site(Request({"type": "http", "headers": raw}), public_url) == is_ours


def test_an_empty_token_equals_nothing() -> None:
    assert is_same("a", "a")
    assert not is_same("", "")
    assert not is_same("\N{EURO SIGN}", "a")


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/runs/1?x=2", "/runs/1?x=2"),
        ("", "/"),
        ("//evil.test", "/"),
        ("/\\evil.test", "/"),
        ("https://evil.test", "/"),
        ("/sign-in", "/"),
        ("/a\r\nb", "/"),
    ],
)
def test_after_the_sign_in_it_goes_to_a_path_of_ours_alone(path: str, where: str) -> None:
    assert local_path(path) == where
