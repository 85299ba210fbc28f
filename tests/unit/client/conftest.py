"""Both clients on a scripted server, with a clock that only their own waiting moves."""

import inspect
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from convergence.api.resources import AsyncResources, Resources
from convergence.rpc.async_calls import AsyncCalls, AsyncLink
from convergence.rpc.calls import Calls, Link
from convergence.rpc.credentials import AsyncToken, Credentials
from convergence.rpc.options import Options, World
from convergence.rpc.retry import Retry

from tests.unit.client.scripted import Script, serving


@dataclass(kw_only=True, slots=True)
class Clock:
    """Seconds, and the waits that a client has taken."""

    now: float = 1000.0
    waits: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    async def async_sleep(self, seconds: float) -> None:
        self.sleep(seconds)


@dataclass(kw_only=True, slots=True)
class Caller:
    """One of the clients, so that a test is written once for both."""

    resources: Any
    script: Script
    clock: Clock
    link: Any

    async def call(self, what: Callable[[Any], Any]) -> Any:
        """The answer of a call, or the list of what an iteration gives."""
        given = what(self.resources)
        if inspect.isawaitable(given):
            return await given
        if hasattr(given, "__aiter__"):
            return [item async for item in given]
        return list(given) if hasattr(given, "__iter__") else given

    def but(self, **options: Any) -> "Caller":
        """With other options."""
        calls = self.resources._calls
        kind = type(self.resources)
        return Caller(resources=kind(calls.with_options(Options(**options))), script=self.script, clock=self.clock, link=self.link)


Make = Callable[..., Caller]


@pytest.fixture(params=["sync", "async"], name="make")
async def _make(request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    """Makes a client: `token`, `options`."""
    script, clock = Script(), Clock()
    closing: list[Any] = []
    with serving(script) as address:

        def make(token: AsyncToken = "", **options: Any) -> Caller:
            credentials = Credentials(api_key="" if token else "key-1", admin_key="" if token else "admin-1", token=token)
            world = World(monotonic=lambda: clock.now, random=lambda: 0.5)
            settings = Options(**{"tenant_id": "acme_corp", "retry": Retry(), **options})
            if request.param == "sync":
                link = Link(lambda: grpc.insecure_channel(address), credentials)
                closing.append(link)
                resources: Any = Resources(Calls(link, settings, world, clock.sleep))
                return Caller(resources=resources, script=script, clock=clock, link=link)
            async_link = AsyncLink(lambda: grpc.aio.insecure_channel(address), credentials)
            closing.append(async_link)
            resources = AsyncResources(AsyncCalls(async_link, settings, world, clock.async_sleep))
            return Caller(resources=resources, script=script, clock=clock, link=async_link)

        yield make
        for opened in closing:
            closed = opened.close()
            if inspect.isawaitable(closed):
                await closed


@pytest.fixture
def caller(make: Make) -> Caller:
    return make()
