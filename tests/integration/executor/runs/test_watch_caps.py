"""Open watches are bounded, a tenant and a process; one that is not read takes no memory; none costs statements of its own."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest
from convergence.executor.v1.watch_service_pb2 import RunEvent, WatchRunRequest
from convergence.executor.v1.watch_service_pb2_grpc import WatchServiceStub, add_WatchServiceServicer_to_server

from services.executor.records import Run
from services.executor.servicers.watch import WatchServicer
from services.executor.store import Store
from services.executor.templates.catalog import Catalog
from services.executor.watch.places import Place, Placed
from services.executor.watch.watchers import RETRY, Watchers
from services.executor.watch.watches import Watches
from services.platform.access.key_holder import KeyHolder
from services.platform.errors import ConvergenceError, from_rpc
from services.platform.plan import PlanLimits
from services.platform.server import Served
from services.platform.settings import ServiceSettings
from tests.conftest import channel_as, serving
from tests.integration.executor.runs.test_life import Begin
from tests.integration.executor.runs.test_watching import RUNS, STEPS, NoLeaders, step
from tests.support.counting import references
from tests.support.executor.tenant import Tenant

LINES, TEXT = 2_000, "x" * 8_000
"""16 MB: more than any window of HTTP/2 holds."""


class TenantKey:
    """Every key is the tenant's."""

    def __init__(self, tenant_id: str, limits: PlanLimits) -> None:
        self.tenant_id, self.limits = tenant_id, limits

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        return KeyHolder(
            tenant_id=self.tenant_id, api_key_id="k", scopes=(), tenant_active=True, subscription_active=True, limits=self.limits
        )


class CountedWatches(Watches):
    """Counts the events that gRPC has taken."""

    taken = 0

    async def events(self, tenant_id: str, pipeline_logging_id: str, last: Place | None = None) -> AsyncGenerator[Placed]:
        async with aclosing(super().events(tenant_id, pipeline_logging_id, last)) as events:
            async for placed in events:
                self.taken += 1
                yield placed


class Watching:
    """A real server of a run that this process leads, and its clients."""

    def __init__(self, run: Run, watches: CountedWatches, watchers: Watchers, channel: grpc.aio.Channel) -> None:
        self.run, self.watches, self.watchers, self._channel = run, watches, watchers, channel

    def call(self) -> Any:
        request = WatchRunRequest(tenant_id=self.run.tenant_id, pipeline_logging_id=self.run.pipeline_logging_id)
        return WatchServiceStub(self._channel).WatchRun(request, metadata=[("x-api-key", "any")])

    async def opened(self) -> Any:
        """A call that has got its first event."""
        call = self.call()
        assert (await call.read()).event == "RUN"
        return call

    async def refused(self) -> ConvergenceError:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.call().read()
        return from_rpc(refused.value, "executor")


type Watch = Callable[..., Any]


@pytest.fixture
def watch(tenant: Tenant, catalog: Catalog, store: Store, service_settings: ServiceSettings) -> Watch:
    @asynccontextmanager
    async def serve(*, most: int = 100, **limits: int) -> AsyncIterator[Watching]:
        run = tenant.job(catalog, date="2025-11-17").run
        store.led_runs.begin(run)
        watches = CountedWatches(store=store, leaders=NoLeaders(), poll_seconds=1e6, heartbeat_seconds=60.0)
        watchers = Watchers(most)
        served = Served(
            name="convergence.executor.v1.WatchService", add=add_WatchServiceServicer_to_server, servicer=WatchServicer(watches, watchers)
        )
        settings = service_settings.model_copy(update={"listen": "127.0.0.1:0"})
        key = TenantKey(tenant.tenant_id, PlanLimits(**limits))
        async with (
            serving(settings, name="executor", authenticator=key, served=[served]) as address,
            channel_as(settings, caller="gateway", peer="executor", address=address) as channel,
        ):
            yield Watching(run, watches, watchers, channel)

    return serve


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not done():
            await asyncio.sleep(0.01)


async def test_a_tenant_has_as_many_watches_as_its_plan_allows(watch: Watch) -> None:
    """One that its client leaves makes room for another, also if the client has read nothing."""
    async with watch(max_watchers=2) as watching:
        first, _ = await watching.opened(), await watching.opened()
        refused = await watching.refused()
        assert (refused.reason, refused.retry_after) == ("WATCH_LIMIT_REACHED", RETRY)
        assert "max_watchers" in refused.message

        first.cancel()
        await until(lambda: watching.watchers.open(watching.run.tenant_id) == 1)
        unread = watching.call()
        await until(lambda: watching.watchers.open(watching.run.tenant_id) == 2)
        unread.cancel()
        await until(lambda: watching.watchers.open(watching.run.tenant_id) == 1)
        await watching.opened()


async def test_a_process_has_a_cap_of_its_own(watch: Watch) -> None:
    async with watch(most=1) as watching:
        await watching.opened()
        refused = await watching.refused()
    assert (refused.reason, refused.retry_after) == ("WATCH_LIMIT_REACHED", timedelta(seconds=10))
    assert "CONVERGENCE_MAX_WATCHERS" in refused.message


async def test_where_none_may_be_open_waiting_does_not_help(watch: Watch) -> None:
    async with watch(max_watchers=0) as watching:
        refused = await watching.refused()
    assert (refused.reason, refused.retry_after) == ("WATCH_LIMIT_REACHED", None)


async def test_a_client_that_does_not_read_holds_no_events(watch: Watch, store: Store) -> None:
    """They stay in the run's own lines, of which there is one copy, until it reads on; another watcher is not held up."""
    async with watch() as watching:
        led = store.led_runs.find(watching.run.tenant_id, watching.run.pipeline_logging_id)
        assert led
        slow = await watching.opened()
        led.feed.add([step(watching.run, "STEP_STARTED", error_message=TEXT) for _ in range(LINES)])
        quick = await watching.opened()
        lines = [await quick.read() for _ in range(LINES)]
        taken = watching.watches.taken - len(lines) - 1
        assert 1 <= taken < LINES / 2, "no more than the window of its connection"
        rest: list[RunEvent] = [await slow.read() for _ in range(LINES)]
        assert [event.step.timestamp for event in rest] == [event.step.timestamp for event in lines]


async def test_twenty_watchers_of_a_run_without_an_executor_share_one_reader(begin: Begin, store: Store) -> None:
    job = await begin(date="2025-11-17")
    shared = Watches(store=store, leaders=NoLeaders(), poll_seconds=1e6, heartbeat_seconds=60.0)
    spent = references()
    async with AsyncExitStack() as stack:
        watchers = [
            await stack.enter_async_context(aclosing(shared.events(job.run.tenant_id, job.run.pipeline_logging_id))) for _ in range(20)
        ]
        first = await asyncio.gather(*(anext(events) for events in watchers))
        await until(lambda: (references() - spent)[STEPS] > 0)
    assert {event.pipeline_logging_id for _, event in first if isinstance(event, Run)} == {job.run.pipeline_logging_id}
    assert {table: count for table, count in (references() - spent).items() if table in {RUNS, STEPS}} == {RUNS: 1, STEPS: 1}
