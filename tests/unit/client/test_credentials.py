"""Which call carries which credential, and that none is ever shown."""

import traceback
from collections.abc import Awaitable, Callable

import pytest
from convergence.auth.v1 import quota_service_pb2
from convergence.client import AsyncClient, Client, Profile, errors
from convergence.credentials.v1 import issuer_service_pb2
from convergence.rpc.credentials import Credentials
from convergence.scheduler.v1 import fleet_service_pb2

from services.platform import errors as service
from tests.unit.client.conftest import Caller, Make
from tests.unit.client.scripted import refused

QUOTA, FLEET = quota_service_pb2.GetQuotaResponse(), fleet_service_pb2.GetFleetResponse()
SECRET = "key_dHJ5-to-find-me"


async def test_each_call_carries_the_key_it_is_for_and_no_other(caller: Caller) -> None:
    caller.script.on("GetQuota", QUOTA)
    caller.script.on("GetFleet", FLEET)
    caller.script.on("GetJsonWebKeySet", issuer_service_pb2.GetJsonWebKeySetResponse())
    await caller.call(lambda client: client.quota.get())
    await caller.call(lambda client: client.fleet.get())
    await caller.call(lambda client: client.issuer.key_set())
    keys = [
        {
            name: value
            for name, value in caller.script.sent[rpc][0].metadata.items()
            if name in {"x-api-key", "x-admin-key", "authorization"}
        }
        for rpc in ("GetQuota", "GetFleet", "GetJsonWebKeySet")
    ]
    assert keys == [{"x-api-key": "key-1"}, {"x-admin-key": "admin-1"}, {}]


async def test_a_user_is_named(make: Make) -> None:
    caller = make(user_id="jo@acme.example")
    caller.script.on("GetQuota", QUOTA)
    await caller.call(lambda client: client.quota.get())
    assert caller.script.sent["GetQuota"][0].metadata["x-user-id"] == "jo@acme.example"


async def test_a_refused_token_is_replaced_once(make: Make) -> None:
    tokens = iter(["old", "new", "newer"])
    caller = make(token=lambda: next(tokens))
    bad = refused(service.Unauthenticated, "TOKEN_INVALID")
    caller.script.on("GetQuota", QUOTA, bad, QUOTA, bad, bad)
    for _ in range(2):
        await caller.call(lambda client: client.quota.get())
    with pytest.raises(errors.TokenInvalid):
        await caller.call(lambda client: client.quota.get())
    sent = [sent.metadata["authorization"] for sent in caller.script.sent["GetQuota"]]
    assert sent == [f"Bearer {token}" for token in ("old", "old", "new", "new", "newer")]
    assert caller.clock.waits == [0, 0]


async def test_a_token_may_be_got_by_a_coroutine_in_the_async_client_only(make: Make) -> None:
    async def token() -> str:
        return "from-afar"

    given: Callable[[], Awaitable[str]] = token
    caller = make(token=given)
    caller.script.on("GetQuota", QUOTA)
    if "Async" in type(caller.resources).__name__:
        await caller.call(lambda client: client.quota.get())
        assert caller.script.sent["GetQuota"][0].metadata["authorization"] == "Bearer from-afar"
    else:
        with pytest.warns(RuntimeWarning, match="never awaited"), pytest.raises(errors.ConfigurationError, match="AsyncClient"):
            await caller.call(lambda client: client.quota.get())


async def test_a_call_without_its_credential_is_not_sent(make: Make) -> None:
    caller = make(token="")
    caller.link.credentials = Credentials()
    for what, name in ((lambda c: c.quota.get(), "CONVERGENCE_API_KEY"), (lambda c: c.fleet.get(), "CONVERGENCE_ADMIN_KEY")):
        with pytest.raises(errors.ConfigurationError, match=name):
            await caller.call(what)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_no_repr_shows_a_secret(kind: type[Client] | type[AsyncClient]) -> None:
    client = kind("http://127.0.0.1:1", api_key=SECRET, admin_key=SECRET, token=SECRET)
    profile = Profile(url="http://127.0.0.1:1", api_key=SECRET, admin_key=SECRET, token=SECRET)
    for shown in (client, client.connection, client.connection.credentials, profile, client.options):
        assert SECRET not in f"{shown!r} {shown}"


@pytest.mark.parametrize("bad", [f"{SECRET}\n", f'"{SECRET} "', f"{SECRET}ä"])
@pytest.mark.parametrize("name", ["api_key", "admin_key", "token"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(name: str, bad: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=name) as raised:
        Credentials(**{name: bad})
    assert SECRET not in "".join(traceback.format_exception(raised.value))


async def test_no_error_shows_a_secret(make: Make) -> None:
    caller = make(token=SECRET)
    caller.script.on("GetQuota", refused(service.Unauthenticated, "TOKEN_INVALID"))
    with pytest.raises(errors.TokenInvalid) as raised:
        await caller.call(lambda client: client.quota.get())
    assert SECRET not in "".join(traceback.format_exception(raised.value))
