"""Watching runs: which events are sent when, by whom they are read, and what that costs."""

import asyncio
import math
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import grpc
import pytest
from convergence.executor.v1 import run_pb2
from convergence.executor.v1.led_run_service_pb2 import FollowRunRequest
from convergence.executor.v1.led_run_service_pb2_grpc import LedRunServiceStub, add_LedRunServiceServicer_to_server

from services.executor.led_runs import Line, line_id
from services.executor.records import DqResult, Run, RunOutcome, RunStatus, StepLog
from services.executor.runs.active import ActiveRuns
from services.executor.runs.cancel import Canceller
from services.executor.runs.leases import ENDED_ELSEWHERE
from services.executor.runs.prepared import PreparedRun
from services.executor.runs.quota import Reservation
from services.executor.servicers.led_run import LedRunServicer, StopRun
from services.executor.servicers.to_proto import to_run
from services.executor.store import Store
from services.executor.watch.events import Event, Heartbeat
from services.executor.watch.leaders import Leaders, addresses
from services.executor.watch.places import Placed
from services.executor.watch.watched_run import WatchedRun
from services.executor.watch.watches import Watches
from services.platform.access.key_holder import KeyHolder
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.prices import MIN_BYTES, TIB
from services.platform.clock import SystemClock
from services.platform.errors import NotFound
from services.platform.rpc.peers import peer_channel
from services.platform.server import Served
from services.platform.settings import ServiceSettings
from tests.conftest import channel_as, serving
from tests.integration.executor.runs.test_life import Begin
from tests.support.counting import references
from tests.support.executor.fakes import RecordingLedger, Work
from tests.support.executor.tenant import Tenant

RUNS, STEPS, QUALITY = "x_meta_pipeline_runs", "x_meta_step_logs", "x_meta_dq_results"


SHOWN = (Run, run_pb2.Run, StepLog, DqResult)
"""All events but a Heartbeat."""


class NoLeaders:
    """No other executor."""

    async def follow(self, tenant_id: str, pipeline_logging_id: str, watched: WatchedRun) -> bool:
        return False


class NoCaller:
    """No tenant's key is known."""

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        raise AssertionError("no call here brings an API key")


def step(run: Run, action: str, **more: Any) -> StepLog:
    return StepLog(
        log_id=str(uuid.uuid4()),
        tenant_id=run.tenant_id,
        user_id=run.user_id,
        pipeline_logging_id=run.pipeline_logging_id,
        step_id="extract",
        step_type="gcp.bigquery_extract",
        step_index=0,
        attempt=1,
        action=action,
        provider=None,
        status="RUNNING",
        timestamp=datetime.now(UTC),
        **more,
    )


def verdict(run: Run) -> DqResult:
    return DqResult(
        dq_result_id=str(uuid.uuid4()),
        tenant_id=run.tenant_id,
        user_id=run.user_id,
        pipeline_logging_id=run.pipeline_logging_id,
        step_id="checks",
        table_name="billing_cost_daily",
        check_name="rows_present",
        severity="warn",
        status="FAILED",
        observed_value="0",
        threshold="> 0",
        failing_rows=2,
        sample_rows=({"sku_id": "A", "cost": None},),
        executed_at=datetime.now(UTC),
    )


def watches(store: Store, leaders: Any = None, *, poll_seconds: float = 0.02, heartbeat_seconds: float = 60.0) -> Watches:
    return Watches(store=store, leaders=leaders or NoLeaders(), poll_seconds=poll_seconds, heartbeat_seconds=heartbeat_seconds)


async def heard(watched: Watches, run: Run) -> list[Event]:
    """All events to the run's end."""
    async with asyncio.timeout(40):
        return [event async for _, event in watched.events(run.tenant_id, run.pipeline_logging_id) if not isinstance(event, Heartbeat)]


async def next_event(events: AsyncIterator[Placed]) -> Event:
    """The next event that is more than a keep-alive."""
    async with asyncio.timeout(20):
        while isinstance(event := (await anext(events))[1], Heartbeat):
            pass
    return event


def summary(events: list[Event]) -> list[str]:
    """Each event in a word."""
    return [str(event.status) if isinstance(event, Run | run_pb2.Run) else line_id(event) for event in events if isinstance(event, SHOWN)]


def lead(active: ActiveRuns, job: PreparedRun) -> None:
    slot = Reservation(tenant_id=job.run.tenant_id, pipeline_logging_id=job.run.pipeline_logging_id, usage_date=datetime.now(UTC).date())
    active.start(job, slot)


def put(store: Store, line: Line) -> None:
    if isinstance(line, StepLog):
        store.log_steps(line.tenant_id, [line])
    else:
        store.record_verdicts(line.tenant_id, [line])


async def write(store: Store, run: Run) -> list[Line]:
    """A step, a verdict, and the step's end."""
    lines: list[Line] = [
        step(run, "STEP_STARTED"),
        verdict(run),
        step(run, "STEP_COMPLETED", rows_processed=3, metadata={"passed": 1, "share": math.nan}),
    ]
    for line in lines:
        put(store, line)
    await store.flushed(run.tenant_id, run.pipeline_logging_id)
    return lines


async def test_each_line_is_sent_once_and_while_the_run_lives(tenant: Tenant, begin: Begin, store: Store) -> None:
    """No executor leads it: it is read from the tables."""
    job = await begin(date="2025-11-17")
    async with aclosing(watches(store).events(tenant.tenant_id, job.run.pipeline_logging_id)) as events:
        first = await next_event(events)
        assert isinstance(first, Run)
        assert first.status is RunStatus.RUNNING
        for action in ("STEP_STARTED", "STEP_COMPLETED"):
            store.log_steps(tenant.tenant_id, [step(job.run, action)])
            line = await next_event(events)
            assert isinstance(line, StepLog)
            assert line.action == action
        await store.finish_run(tenant.tenant_id, job.run.pipeline_logging_id, RunOutcome(status=RunStatus.COMPLETED), at=datetime.now(UTC))
        last = await next_event(events)
        assert isinstance(last, Run)
        assert last.status is RunStatus.COMPLETED
        with pytest.raises(StopAsyncIteration):
            await anext(events)


async def test_silence_is_filled_and_what_is_not_there_is_refused(tenant: Tenant, begin: Begin, store: Store) -> None:
    job = await begin(date="2025-11-17")
    async with aclosing(watches(store, heartbeat_seconds=0.01).events(tenant.tenant_id, job.run.pipeline_logging_id)) as quiet:
        assert [type((await anext(quiet))[1]) for _ in range(3)] == [Run, Heartbeat, Heartbeat]
    for other_tenant, run in ((tenant.tenant_id, "nothing"), ("another_tenant", job.run.pipeline_logging_id)):
        with pytest.raises(NotFound):
            await anext(watches(store).events(other_tenant, run))


async def test_a_hundred_watchers_of_a_run_led_here_cost_no_read(
    tenant: Tenant, begin: Begin, store: Store, active: ActiveRuns, work: Work
) -> None:
    """Those who come late get the earlier lines, and all of them what the tables hold."""
    job = await begin(date="2025-11-17")
    lead(active, job)
    shared = watches(store)
    spent = references()
    early = [asyncio.create_task(heard(shared, job.run)) for _ in range(50)]
    await asyncio.sleep(0)
    lines = await write(store, job.run)
    late = [asyncio.create_task(heard(shared, job.run)) for _ in range(50)]
    await asyncio.sleep(0.1)
    work.end.set()
    seen = await asyncio.gather(*early, *late)

    assert {tuple(summary(events)) for events in seen} == {("RUNNING", *map(line_id, lines), "COMPLETED")}
    cost = references() - spent
    # Writing the lines, and the end of the run, are not the watchers'.
    assert cost[RUNS] - 1 == 0
    assert cost[STEPS] + cost[QUALITY] <= len(lines)
    assert seen[0][-1] == await store.require_run(tenant.tenant_id, job.run.pipeline_logging_id)
    tables: list[Line] = [
        *await store.list_step_logs(tenant.tenant_id, job.run.pipeline_logging_id),
        *await store.list_dq_results(tenant.tenant_id, job.run.pipeline_logging_id),
    ]
    in_order = sorted(tables, key=lambda line: line.timestamp if isinstance(line, StepLog) else line.executed_at)
    assert seen[0][1:-1] == in_order, "what memory has is what the tables hold"
    afterwards = await heard(watches(store), job.run)
    assert summary(afterwards)[1:] == summary(seen[0])[1:]


async def test_another_tenant_cannot_watch_a_run_led_here(begin: Begin, store: Store, active: ActiveRuns, work: Work) -> None:
    job = await begin(date="2025-11-17")
    lead(active, job)
    with pytest.raises(NotFound):
        await anext(watches(store).events("another_tenant", job.run.pipeline_logging_id))
    work.end.set()


async def test_watchers_have_lines_at_once_and_in_order_whatever_becomes_of_their_writing(
    store: Store, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a lost line says has happened all the same."""
    job = await begin(date="2025-11-17")
    store.led_runs.begin(job.run)
    led = store.led_runs.find(job.run.tenant_id, job.run.pipeline_logging_id)
    assert led is not None

    async def lose(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(store.lines._dq_results, "append", lose)
    lines: list[Line] = []
    for line in (step(job.run, "STEP_STARTED"), verdict(job.run), step(job.run, "STEP_COMPLETED")):
        put(store, line)
        lines.append(line)
        assert list(map(line_id, led.feed.lines)) == list(map(line_id, lines))
    await store.flushed(job.run.tenant_id, job.run.pipeline_logging_id)
    logs = await store.list_step_logs(job.run.tenant_id, job.run.pipeline_logging_id)
    assert logs == [led.feed.lines[0], led.feed.lines[2]]
    assert await store.list_dq_results(job.run.tenant_id, job.run.pipeline_logging_id) == []


@asynccontextmanager
async def executor_of(
    store: Store, settings: ServiceSettings, *, stop_run: StopRun = lambda *_: None
) -> AsyncIterator[tuple[str, LedRunServicer]]:
    """An executor as the others reach it, at an address."""
    servicer = LedRunServicer(store.led_runs, heartbeat_seconds=0.2, stop_run=stop_run)
    served = Served(name="convergence.executor.v1.LedRunService", add=add_LedRunServiceServicer_to_server, servicer=servicer)
    async with serving(
        settings.model_copy(update={"listen": "127.0.0.1:0"}), name="executor", authenticator=NoCaller(), served=[served]
    ) as address:
        yield address, servicer


@dataclass(kw_only=True)
class TwoExecutors:
    """The runs of one are watched through the other."""

    leading: Store
    servicer: LedRunServicer
    store: Store
    leaders: Leaders


@pytest.fixture
async def two(store: Store, bq: BigQuery, service_settings: ServiceSettings, active: ActiveRuns) -> AsyncIterator[TwoExecutors]:
    other = Store(bq, ddl=service_settings.configs_dir / "bigquery" / "tenant")

    def stop_run(run: str, status: RunStatus) -> None:
        active.stop(run, ENDED_ELSEWHERE, status=status)

    async with (
        executor_of(store, service_settings, stop_run=stop_run) as (address, servicer),
        executor_of(other, service_settings) as (own, _),
    ):
        open_channel = partial(peer_channel, service_settings, caller="executor", peer="executor")
        # Its own address is among them, as in a headless service's, and one of a process that is gone.
        leaders = Leaders(f"ipv4:{own},127.0.0.1:1,{address}", open_channel, heartbeat_seconds=0.2)
        yield TwoExecutors(leading=store, servicer=servicer, store=other, leaders=leaders)


async def test_a_run_led_by_another_executor_is_followed_there(
    tenant: Tenant, begin: Begin, two: TwoExecutors, active: ActiveRuns, work: Work
) -> None:
    """The same events in the same order, some from before the first watcher; no read for any number of watchers."""
    job = await begin(date="2025-11-17")
    lead(active, job)
    lines = await write(two.leading, job.run)
    shared = watches(two.store, two.leaders)
    spent = references()
    watchers = [asyncio.create_task(heard(shared, job.run)) for _ in range(100)]
    while not shared._watched or not next(iter(shared._watched.values()))[0]._feed.lines:
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.5)  # longer than two keep-alives of the leader
    read = references() - spent
    lines += await write(two.leading, job.run)
    work.end.set()
    seen = await asyncio.gather(*watchers)

    assert {tuple(summary(events)) for events in seen} == {("RUNNING", *map(line_id, lines), "COMPLETED")}
    assert read == Counter()
    # The end itself is a statement.
    assert (references() - spent)[RUNS] - 1 == 0
    assert seen[0][0] == to_run(job.run)
    assert seen[0][-1] == to_run(await two.store.require_run(tenant.tenant_id, job.run.pipeline_logging_id))
    tables = [*await two.store.list_step_logs(tenant.tenant_id, job.run.pipeline_logging_id)]
    followed = [event for event in seen[0] if isinstance(event, StepLog)]
    assert followed == tables
    checked = [event for event in seen[0] if isinstance(event, DqResult)]
    assert checked == await two.store.list_dq_results(tenant.tenant_id, job.run.pipeline_logging_id)


@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_watchers_see_the_end_before_the_reservation_has_ended(
    tenant: Tenant, begin: Begin, two: TwoExecutors, active: ActiveRuns, work: Work, quota: RecordingLedger, where: str
) -> None:
    """The run is COMPLETED when its row says so. What follows takes a statement more, or longer while auth is away."""
    job, settled, settle = await begin(date="2025-11-17"), asyncio.Event(), quota.settle

    async def settle_late(*given: Any, **more: Any) -> None:
        await settled.wait()
        await settle(*given, **more)

    quota.settle = settle_late  # type: ignore[method-assign]
    lead(active, job)
    shared = watches(two.leading) if where == "here" else watches(two.store, two.leaders)
    watcher = asyncio.create_task(heard(shared, job.run))
    await asyncio.sleep(0.1)
    work.end.set()
    assert summary(await watcher) == ["RUNNING", "COMPLETED"]
    assert quota.settled == []
    shown = to_run(await two.store.require_run(tenant.tenant_id, job.run.pipeline_logging_id))
    assert shown.status == RunStatus.COMPLETED
    led = two.leading.led_runs.find(tenant.tenant_id, job.run.pipeline_logging_id)
    assert led is not None
    assert led.last is not None
    assert to_run(led.last) == shown, "what memory says is what the row says"
    late = watches(two.leading) if where == "here" else watches(two.store, two.leaders)
    assert summary(await heard(late, job.run)) == ["COMPLETED", "COMPLETED"], "who comes late sees that it has ended"
    settled.set()


async def test_a_cancel_through_another_executor_stops_the_run_at_once(
    tenant: Tenant, begin: Begin, two: TwoExecutors, active: ActiveRuns, quota: RecordingLedger
) -> None:
    """Its executor does not wait for its next look at the reservations, and no longer answers from memory that the run is RUNNING."""
    job = await begin(date="2025-11-17")
    lead(active, job)
    watcher = asyncio.create_task(heard(watches(two.leading), job.run))
    nothing: Any = quota
    elsewhere = ActiveRuns(execute=Work(), store=two.store, quota=nothing, clock=SystemClock(), max_concurrent=1, grace_seconds=5.0)
    canceller = Canceller(store=two.store, quota=nothing, active=elsewhere, clock=SystemClock(), announce_end=two.leaders.announce_end)
    await canceller.cancel(tenant.tenant_id, job.run.pipeline_logging_id)

    led = two.leading.led_runs.find(tenant.tenant_id, job.run.pipeline_logging_id)
    assert led is None or (led.has_ended and led.last is None)
    assert summary(await watcher)[-1] == "CANCELLED"
    assert not active.is_active(job.run.pipeline_logging_id)


@pytest.mark.parametrize("how", ["stops", "dies"])
async def test_the_end_is_not_missed_when_the_leader_is_gone(
    tenant: Tenant, begin: Begin, two: TwoExecutors, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """It stops, or falls silent without closing the connection. Its last line is in the table only; the reconciler ends the run."""
    job = await begin(date="2025-11-17")
    run = job.run
    two.leading.led_runs.begin(run)
    lines = await write(two.leading, run)
    shared = watches(two.store, two.leaders)
    async with aclosing(shared.events(run.tenant_id, run.pipeline_logging_id)) as events:
        seen = [await next_event(events) for _ in range(1 + len(lines))]
        if how == "stops":
            two.servicer.stop()
        else:
            monkeypatch.setattr(two.servicer, "_heartbeat_seconds", 1e6)
        two.leading.led_runs._runs.clear()
        last = step(run, "STEP_FAILED")
        two.leading.log_steps(run.tenant_id, [last])
        seen.append(await next_event(events))
        lost = RunOutcome(status=RunStatus.FAILED, error_message="The executor of this run was lost; run it again.")
        await two.store.finish_run(tenant.tenant_id, run.pipeline_logging_id, lost, at=datetime.now(UTC))
        seen.append(await next_event(events))
    assert summary(seen) == ["RUNNING", *map(line_id, [*lines, last]), "FAILED"]


async def test_only_executors_may_follow_and_only_the_tenant_s_own_run(
    begin: Begin, two: TwoExecutors, service_settings: ServiceSettings
) -> None:
    job = await begin(date="2025-11-17")
    two.leading.led_runs.begin(job.run)
    async with executor_of(two.leading, service_settings) as (address, _):
        for caller, tenant_id, code in (
            ("scheduler", job.run.tenant_id, grpc.StatusCode.PERMISSION_DENIED),
            ("gateway", job.run.tenant_id, grpc.StatusCode.PERMISSION_DENIED),
            ("executor", "another_tenant", grpc.StatusCode.NOT_FOUND),
        ):
            async with channel_as(service_settings, caller=caller, peer="executor", address=address) as channel:
                request = FollowRunRequest(tenant_id=tenant_id, pipeline_logging_id=job.run.pipeline_logging_id)
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await LedRunServiceStub(channel).FollowRun(request).read()
                assert refused.value.code() is code


async def test_a_run_without_a_leader_is_read_ever_more_rarely(begin: Begin, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most a day of it costs ten cents: two tables every two minutes."""
    job = await begin(date="2025-11-17")
    waits = list[float]()
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr("services.executor.watch.watches.asyncio.sleep", note)
    spent = references()
    async with aclosing(watches(store, poll_seconds=10.0).events(job.run.tenant_id, job.run.pipeline_logging_id)) as events:
        await anext(events)
        waiting = asyncio.ensure_future(anext(events))
        while len(waits) < 7:
            await sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert waits[:7] == [10.0, 20.0, 40.0, 80.0, 120.0, 120.0, 120.0]
    reads = (references() - spent)[RUNS]
    assert (references() - spent)[STEPS] in {reads, reads - 1}
    assert (references() - spent)[QUALITY] == 0
    assert 86_400 / 120 * 2 * MIN_BYTES / TIB * 6.25 < 0.10


async def test_the_reader_ends_with_the_last_watcher(begin: Begin, store: Store) -> None:
    job = await begin(date="2025-11-17")
    shared = watches(store, poll_seconds=1e6)
    key = (job.run.tenant_id, job.run.pipeline_logging_id)
    async with aclosing(shared.events(*key)) as one:
        await anext(one)
        _, reader = shared._watched[key]
        async with aclosing(shared.events(*key)) as two_of_them:
            await anext(two_of_them)
            assert shared._watched[key][1] is reader
        assert not reader.done()
    await asyncio.wait([reader])
    assert (reader.cancelled(), shared._watched) == (True, {})


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("ipv4:10.0.0.1:50054,10.0.0.2:50054", ["10.0.0.1:50054", "10.0.0.2:50054"]),
        ("dns:///127.0.0.1:50054", ["127.0.0.1:50054"]),
        ("127.0.0.1:50054", ["127.0.0.1:50054"]),
        ("no-such-host.invalid:50054", []),
    ],
)
async def test_the_executors_behind_an_address(target: str, found: list[str]) -> None:
    assert await addresses(target) == found
