"""`Authorization: Bearer` on the RPCs of tenants and operators, beside the keys."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest
from convergence.auth.v1 import quota_service_pb2, usage_service_pb2

from services.platform.access.bearer import bearer_token
from services.platform.access.caller import Caller, current_caller
from services.platform.access.control import AccessControl
from services.platform.access.key_holder import KeyHolder
from services.platform.access.sessions.cache import MAX_WAITING
from services.platform.access.sessions.session import Session
from services.platform.errors import ConvergenceError, Unauthenticated
from services.platform.oidc import verifier
from services.platform.rpc.calls import Call, Rpc
from services.platform.settings import AdminKey, ServiceSettings
from tests.support.session_tokens import name_of, shaped
from tests.support.set_clock import SetClock
from tests.unit.platform.oidc.tokens import JOBS, TRUSTED, Published, token
from tests.unit.platform.test_waiting import Time

QUOTA, RESET, USAGE = (
    f"/{service.full_name}/{method}"
    for service, method in (
        (quota_service_pb2.DESCRIPTOR.services_by_name["QuotaService"], "GetQuota"),
        (quota_service_pb2.DESCRIPTOR.services_by_name["QuotaService"], "ResetDailyQuotas"),
        (usage_service_pb2.DESCRIPTOR.services_by_name["UsageService"], "GetUsage"),
    )
)
ADMIN = "admin-key"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GOOD = shaped("good", NOW)


class Auth:
    """Knows one key, `key`, and session tokens whose id begins with `good`."""

    def __init__(self) -> None:
        self.asked = Counter[str]()
        self.holder = KeyHolder(tenant_id="acme", api_key_id="k", scopes=("runs:read",), tenant_active=True, subscription_active=True)
        self.user_id: str | None = "jo"
        self.answers: asyncio.Event | None = None
        """None: it answers at once; else when this is set."""

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        if api_key_sha256 != sha256(b"key").hexdigest():
            raise Unauthenticated("API_KEY_INVALID", "No.")
        return self.holder

    async def authenticate_session(self, session_token: str) -> Session:
        self.asked[name_of(session_token)] += 1
        if self.answers is not None:
            await self.answers.wait()
        if not name_of(session_token).startswith("good"):
            raise Unauthenticated("TOKEN_INVALID", "No.")
        return Session(holder=self.holder, session_token_id="s-1", user_id=self.user_id)


@pytest.fixture
def auth() -> Auth:
    return Auth()


@pytest.fixture
def clock() -> SetClock:
    clock = SetClock()
    clock.time = NOW
    return clock


@pytest.fixture
def access(auth: Auth, clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> AccessControl:
    settings = ServiceSettings(oidc=(TRUSTED,), admin_keys=(AdminKey(role="scheduler", sha256=sha256(ADMIN.encode()).hexdigest()),))
    access = AccessControl(settings, auth, sessions=auth, monotonic=Time(), clock=clock)
    access._operators._tokens = verifier.TokenVerifier(settings.oidc, fetch=Published("ES256-1"))
    return access


async def caller(access: AccessControl, path: str, **metadata: str) -> Caller:
    context = SimpleNamespace(auth_context=dict, peer=lambda: "ipv4:10.0.0.1:1234")
    headers = {name.replace("_", "-"): value for name, value in metadata.items()}
    request = SimpleNamespace(tenant_id="acme")
    call: Any = SimpleNamespace(request=request, context=context, metadata=headers, headers={})

    async def admitted(call: Call) -> Caller:
        return current_caller()

    found: Caller = await access(Rpc.of(path), admitted)(call)
    return found


async def refusal(access: AccessControl, path: str, **metadata: str) -> tuple[str, str]:
    with pytest.raises(ConvergenceError) as refused:
        await caller(access, path, **metadata)
    return refused.value.code.name, refused.value.reason


@pytest.mark.parametrize(
    ("header", "found"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("BEARER abc", "abc"), ("Basic abc", ""), ("Bearer", ""), ("abc", ""), ("", "")],
)
def test_only_the_scheme_bearer_is_read(header: str, found: str) -> None:
    assert bearer_token({"authorization": header}) == found


async def test_a_job_calls_by_its_token_as_by_an_admin_key(access: AccessControl) -> None:
    by_token = await caller(access, RESET, authorization=f"Bearer {token()}")
    by_key = await caller(access, RESET, x_admin_key=ADMIN)
    assert (by_token.admin_role, by_token.principal) == ("scheduler", JOBS)
    assert (by_key.admin_role, by_key.principal) == ("scheduler", f"admin-key:{sha256(ADMIN.encode()).hexdigest()[:8]}")


async def test_a_token_without_the_role_and_one_that_is_not_good(access: AccessControl) -> None:
    assert await refusal(access, RESET, authorization=f"Bearer {token(email='other@example.com')}") == (
        "PERMISSION_DENIED",
        "ADMIN_ROLE_DENIED",
    )
    assert await refusal(access, RESET, authorization=f"Bearer {token(exp=1)}") == ("UNAUTHENTICATED", "TOKEN_INVALID")
    assert await refusal(access, RESET, authorization=f"Bearer {GOOD}") == ("UNAUTHENTICATED", "TOKEN_INVALID")
    assert await refusal(access, RESET, authorization="Basic x") == ("UNAUTHENTICATED", "ADMIN_KEY_MISSING")
    assert await refusal(access, RESET, x_admin_key="bad", authorization=f"Bearer {token()}") == ("UNAUTHENTICATED", "ADMIN_KEY_INVALID")


async def test_a_session_token_calls_as_its_key_and_its_user(access: AccessControl, auth: Auth) -> None:
    named = await caller(access, USAGE, authorization=f"Bearer {GOOD}", x_user_id="somebody else")
    assert (named.tenant_id, named.api_key_id, named.session_token_id, named.user_id) == ("acme", "k", "s-1", "jo")
    auth.user_id = None
    assert (await caller(access, USAGE, authorization=f"Bearer {shaped('good 2', NOW)}", x_user_id="claimed")).user_id == "claimed"
    by_key = await caller(access, USAGE, x_api_key="key", authorization=f"Bearer {GOOD}", x_user_id="claimed")
    assert (by_key.session_token_id, by_key.user_id) == (None, "claimed"), "a key that is sent counts"


async def test_a_token_in_use_never_waits_for_auth_and_dies_as_soon_as_auth_says_so(auth: Auth, clock: SetClock) -> None:
    """As a key. While auth is silent its last answer counts, for as long as it always did."""
    time = Time()
    access = AccessControl(ServiceSettings(key_cache_seconds=3), auth, sessions=auth, monotonic=time, clock=clock)

    async def calls(seconds: float) -> None:
        for _ in range(int(seconds / 0.125)):
            time.now += 0.125
            await caller(access, USAGE, authorization=f"Bearer {GOOD}")
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    await caller(access, USAGE, authorization=f"Bearer {GOOD}")
    await calls(6)
    assert auth.asked["good"] == 5
    auth.answers = asyncio.Event()
    await calls(2.875)
    waiting = asyncio.create_task(caller(access, USAGE, authorization=f"Bearer {GOOD}"))
    time.now += 0.125
    await asyncio.sleep(0)
    assert not waiting.done()
    auth.answers.set()
    assert (await waiting).tenant_id == "acme"
    assert auth.asked["good"] == 6


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tenant_id": "globex"}, "TENANT_MISMATCH"),
        ({"scopes": ("costs:read",)}, "SCOPE_MISSING"),
        ({"tenant_active": False}, "TENANT_NOT_ACTIVE"),
        ({"subscription_active": False}, "SUBSCRIPTION_NOT_ACTIVE"),
    ],
)
async def test_a_session_token_is_bound_as_a_key_is(access: AccessControl, auth: Auth, change: dict[str, Any], reason: str) -> None:
    auth.holder = replace(auth.holder, **change)
    assert await refusal(access, USAGE, authorization=f"Bearer {GOOD}") == ("PERMISSION_DENIED", reason)


async def test_what_is_no_session_token_is_refused(access: AccessControl, auth: Auth) -> None:
    bad = shaped("bad", NOW)
    for text in (bad, bad, bad, token(), "short", "x" * 5000, f"{GOOD}=", f"{GOOD}\u00e9", "a.b.c"):
        assert await refusal(access, QUOTA, authorization=f"Bearer {text}") == ("UNAUTHENTICATED", "TOKEN_INVALID")
    assert auth.asked == {"bad": 1}, "neither a refused one again, nor what cannot be one"
    without = AccessControl(ServiceSettings(), auth)
    assert await refusal(without, QUOTA, authorization=f"Bearer {GOOD}") == ("UNAUTHENTICATED", "TOKEN_INVALID")


async def test_a_session_is_kept_until_it_ends_or_its_tenant_changes(access: AccessControl, auth: Auth, clock: SetClock) -> None:
    auth.holder = replace(auth.holder, expires_at=clock.now() + timedelta(seconds=1))
    for _ in range(3):
        await caller(access, QUOTA, authorization=f"Bearer {GOOD}")
    assert auth.asked.total() == 1
    access.forget("globex")
    await caller(access, QUOTA, authorization=f"Bearer {GOOD}")
    access.forget("acme")
    await caller(access, QUOTA, authorization=f"Bearer {GOOD}")
    assert auth.asked.total() == 2
    clock.time += timedelta(seconds=1)
    assert await refusal(access, QUOTA, authorization=f"Bearer {GOOD}") == ("UNAUTHENTICATED", "TOKEN_INVALID")


async def test_a_token_that_was_good_waits_for_no_others(access: AccessControl, auth: Auth) -> None:
    """Neither look-ups of strangers that wait, nor any number of refused tokens."""
    await caller(access, QUOTA, authorization=f"Bearer {GOOD}")
    auth.answers = asyncio.Event()
    strangers = [asyncio.create_task(refusal(access, QUOTA, authorization=f"Bearer {shaped(f'bad {n}', NOW)}")) for n in range(MAX_WAITING)]
    while auth.asked.total() <= MAX_WAITING:
        await asyncio.sleep(0)
    assert await refusal(access, QUOTA, authorization=f"Bearer {shaped('good 2', NOW)}") == ("UNAVAILABLE", "SERVICE_UNAVAILABLE")
    await caller(access, QUOTA, authorization=f"Bearer {GOOD}")
    access.forget("acme")
    again = asyncio.create_task(caller(access, QUOTA, authorization=f"Bearer {GOOD}"))
    while auth.asked["good"] < 2:
        await asyncio.sleep(0)
    auth.answers.set()
    assert (await again).tenant_id == "acme"
    assert set(await asyncio.gather(*strangers)) == {("UNAUTHENTICATED", "TOKEN_INVALID")}
