"""Flow 3B on a real BigQuery emulator: claim, start, poll, settle, and what happens when a process dies."""

import asyncio
from collections import Counter
from datetime import UTC, timedelta
from typing import Any

import grpc
import pytest
from convergence.executor.v1.run_service_pb2 import RunState
from prometheus_client import REGISTRY

from services.platform.errors import FailedPrecondition, ResourceExhausted, Unavailable
from services.scheduler.ids import pipeline_logging_id
from services.scheduler.queue.claims import Claim
from services.scheduler.queue.executor_client import ExecutorClient
from services.scheduler.queue.outcomes import completed
from services.scheduler.queue.position import QueuePosition
from services.scheduler.queue.processor import QueueProcessor
from services.scheduler.queue.store import Started
from tests.integration.scheduler.conftest import ALL, LEASE, MakeScheduler, Scheduler, Tables
from tests.integration.scheduler.stub_executor import StubExecutor
from tests.support.counting import jobs


async def queued(tables: Tables, scheduler: Scheduler, count: int = 1, **columns: Any) -> None:
    """So many runs in the queue, of one tenant."""
    await tables.schedules(await tables.tenants() * count, **columns)
    await scheduler.trigger.fire()


async def test_a_run_that_works(tables: Tables, scheduler: Scheduler, executor: StubExecutor) -> None:
    """Two jobs before the answer; steps 2 to 5 of the flow; the executor is asked with all it needs."""
    await queued(tables, scheduler)
    before = jobs()
    (claim,) = await scheduler.processor.process(1)
    assert jobs() - before == 2
    assert REGISTRY.get_sample_value("convergence_queue_runs", {"state": "ready"}) == 1, "as the look has found it"
    await scheduler.started()

    run = await tables.the_run()
    assert (run["state"], run["queue_state"], run["attempt"]) == ("PENDING", "PROCESSING", 1)
    assert run["pipeline_logging_id"] == claim.pipeline_logging_id == pipeline_logging_id(run["run_id"], 1)
    (asked,) = executor.asked
    assert (asked.run_id, asked.attempt, asked.provider, asked.trigger_type, asked.trigger_by) == (
        run["run_id"],
        1,
        "gcp",
        "scheduler",
        "cloud_scheduler",
    )
    assert asked.as_of_date == run["scheduled_time"].date().isoformat()

    executor.end_all()
    await scheduler.poll()

    run = await tables.the_run()
    assert (run["state"], run["queue_state"], run["completed_at"]) == ("COMPLETED", None, tables.clock.now())
    (config,) = (await tables.configs()).values()
    assert (config["last_run_status"], config["last_run_time"]) == ("SUCCESS", tables.clock.now())


async def test_eight_at_once_from_two_schedulers_start_each_run_once(
    tables: Tables, make_scheduler: MakeScheduler, executor: StubExecutor
) -> None:
    one, other = await make_scheduler(), await make_scheduler()
    await queued(tables, one, 40)

    claimed = await asyncio.gather(*(side.process(6) for side in (one, other) * 4))

    assert (sum(claimed), len(executor.asked), len(executor.started), set(executor.started.values())) == (40, 40, 40, {1})
    executor.end_all()
    await asyncio.gather(one.poll(), other.poll())
    assert Counter((run["state"], run["queue_state"]) for run in await tables.runs()) == {("COMPLETED", None): 40}


async def test_the_best_first_and_no_tenant_beyond_its_slots(tables: Tables, scheduler: Scheduler) -> None:
    """A slot that is claimed and not begun is no longer free; one that has begun is the ledger's to count, which here knows of none."""
    full, free = [*await tables.tenants(concurrent_limit=2), *await tables.tenants()]
    await tables.schedules([full] * 3, priority=90)
    await tables.schedules([free], priority=10)
    await scheduler.trigger.fire()
    now, store = tables.clock.now(), scheduler.store
    assert [(look.ready, look.ready_since) for look in (await store.look(now),)] == [(4, now)]

    async def claim(claimed_by: str) -> list[Claim]:
        return await store.claim(claimed_by, 500, ALL, now, now + LEASE)

    first = await claim("a")
    assert [one.tenant_id for one in first] == [full, full, free]
    assert (await claim("b"), await claim("a")) == ([], first)
    await store.record_started([Started(claim=first[0], started_at=now)])
    assert [one.tenant_id for one in await claim("c")] == [full]


async def test_claims_at_once_from_two_schedulers_take_no_tenant_beyond_its_slots(tables: Tables, make_scheduler: MakeScheduler) -> None:
    one, other = await make_scheduler(), await make_scheduler()
    (narrow,) = await tables.tenants(concurrent_limit=2)
    await tables.schedules([narrow] * 10)
    await tables.schedules(await tables.tenants(3) * 2)
    await one.trigger.fire()
    now, sizes = tables.clock.now(), (1, 3, 2, 6, 1, 5, 2, 4)
    claims = ((side.store, f"claim-{index}", size) for index, (side, size) in enumerate(zip((one, other) * 4, sizes, strict=True)))
    await asyncio.gather(*(store.claim(claimed_by, size, ALL, now, now + LEASE) for store, claimed_by, size in claims))
    taken = Counter(run["tenant_id"] for run in await tables.runs() if run["queue_state"] == "PROCESSING")
    assert (taken.pop(narrow), sum(taken.values())) == (2, 6)


async def test_what_the_quota_would_refuse_does_not_take_the_turn_of_what_would_run(tables: Tables, scheduler: Scheduler) -> None:
    """Two of the rich one's five; none of the tenant whose limit went down after they were queued, but for the one that has its unit."""
    poor, rich = await tables.tenants(2)
    await tables.schedules([poor] * 3, priority=90)
    await tables.schedules([rich] * 5)
    await scheduler.trigger.fire()
    runs = [run["run_id"] for run in await tables.runs() if run["tenant_id"] == poor]
    await tables.run("UPDATE scheduled_pipeline_runs SET retry_count = 1 WHERE run_id = @r", {"r": ("STRING", runs[0])})
    for tenant_id, limit in ((poor, 0), (rich, 2)):
        limits: dict[str, tuple[str, object]] = {"t": ("STRING", tenant_id), "n": ("INT64", limit)}
        await tables.run("UPDATE tenant_subscriptions SET daily_limit = @n WHERE tenant_id = @t", limits)

    claims = await scheduler.processor.process(8)

    assert Counter(claim.tenant_id for claim in claims) == {poor: 1, rich: 2}
    assert [claim.run_id for claim in claims if claim.tenant_id == poor] == [runs[0]]


async def test_a_thousand_runs_of_one_tenant_do_not_hold_up_another_s_one(tables: Tables, scheduler: Scheduler) -> None:
    """The crowd was queued first; among equal priorities tenants take turns, and a higher priority still comes first."""
    crowd, one, urgent = await tables.tenants(3)
    await tables.schedules([crowd] * 30, next_run_time=tables.clock.now() - timedelta(minutes=30))
    await tables.schedules([one])
    await tables.schedules([urgent] * 2, priority=60)
    await scheduler.trigger.fire()
    claims = await scheduler.processor.process(5)
    assert Counter(claim.tenant_id for claim in claims) == {urgent: 2, crowd: 2, one: 1}


async def test_the_queue_is_listed_in_pages_of_all_tenants_or_of_one(tables: Tables, scheduler: Scheduler) -> None:
    one, other = await tables.tenants(2)
    await tables.schedules([one] * 3)
    await scheduler.trigger.fire()
    tables.clock.time += timedelta(minutes=1)
    await tables.schedules([other])
    await scheduler.trigger.fire()

    first = await scheduler.store.list_queue(None, None, 3)
    last = await scheduler.store.list_queue(None, (first[-1].added_at, first[-1].run_id), 3)

    assert [(run.tenant_id, run.state) for run in (*first, *last)] == [(one, "QUEUED")] * 3 + [(other, "QUEUED")]
    assert [run.run_id for run in await scheduler.store.list_queue(one, None, 9)] == [run.run_id for run in first]
    await scheduler.process(1)
    assert sorted(run.state for run in await scheduler.store.list_queue(None, None, 9)) == ["PROCESSING"] + ["QUEUED"] * 3


async def test_runs_of_a_paused_schedule_wait_until_it_goes_on(tables: Tables, scheduler: Scheduler) -> None:
    """They keep neither another schedule from being queued nor another run from its turn; unpaused, the best comes first again."""
    (tenant_id,) = await tables.tenants(daily_limit=2)
    paused = await tables.schedules([tenant_id] * 2, priority=90)
    await scheduler.trigger.fire()
    await tables.run("UPDATE tenant_pipeline_configs SET is_active = FALSE WHERE TRUE")
    (other,) = await tables.schedules([tenant_id], priority=10)
    assert (await scheduler.trigger.fire()).queued == 1
    now, places = tables.clock.now(), dict[str, QueuePosition]()
    for run in await tables.runs():
        found = await scheduler.store.position(tenant_id, run["run_id"], now)
        assert found is not None
        places[run["config_id"]] = found
    assert {config_id: one.schedule_paused for config_id, one in places.items()} == {**dict.fromkeys(paused, True), other: False}
    assert (places[other].runs_before, (await scheduler.store.status(now)).queued_count) == (0, 3)

    before = jobs()
    assert [claim.config_id for claim in await scheduler.processor.process(5)] == [other]
    assert jobs() - before == 2
    await scheduler.started()
    assert (await scheduler.store.status(now)).oldest_queued_time is None
    await tables.run("UPDATE tenant_pipeline_configs SET is_active = TRUE WHERE TRUE")
    assert {claim.config_id for claim in await scheduler.processor.process(5)} == set(paused)


async def test_callers_at_once_share_one_claim_and_each_gets_its_own_runs(tables: Tables, scheduler: Scheduler) -> None:
    await queued(tables, scheduler, 20)
    before = jobs("claim_runs")
    answers = await asyncio.gather(*(scheduler.processor.process(2) for _ in range(9)))
    claims = [claim.run_id for answer in answers for claim in answer]
    assert ([len(answer) for answer in answers], len(set(claims))) == ([2] * 9, 18)
    assert jobs("claim_runs") - before <= 2


async def test_three_failures_and_out(tables: Tables, scheduler: Scheduler, executor: StubExecutor) -> None:
    """DESIGN's table for max_retries 3; each retry waits, twice as long as the one before."""
    await queued(tables, scheduler, max_retries=3)
    seen, waits = [], []
    for _ in range(3):
        assert await scheduler.process() == 1
        executor.end_all("FAILED", error_message="No rows.")
        await scheduler.poll()
        run = await tables.the_run()
        seen.append((run["retry_count"], run["state"], run["queue_state"], run["priority"]))
        assert await scheduler.process() == 0
        if run["not_before"]:
            waits.append(run["not_before"] - tables.clock.now())
            tables.clock.time = run["not_before"]

    assert seen == [(1, "FAILED", "QUEUED", 49), (2, "FAILED", "QUEUED", 48), (3, "FAILED", None, None)]
    assert waits == [timedelta(minutes=1), timedelta(minutes=2)]
    assert (run["error_message"], run["completed_at"]) == ("No rows.", tables.clock.now())
    assert [config["last_run_status"] for config in (await tables.configs()).values()] == ["FAILED"]
    assert [(asked.attempt, asked.is_new) for asked in executor.asked] == [(1, True), (2, False), (3, False)]


async def test_a_settlement_that_broke_off_is_done_again_and_counts_its_failure_once(
    tables: Tables, scheduler: Scheduler, make_scheduler: MakeScheduler, executor: StubExecutor
) -> None:
    """A scheduler died before the last of its statements; until those are made up for, no reader sees the run ended."""
    await queued(tables, scheduler, max_retries=2)
    assert await scheduler.process() == 1
    executor.end_all("FAILED", error_message="No rows.")
    await tables.run("UPDATE scheduled_pipeline_runs SET state = 'FAILED', retry_count = 1, error_message = 'No rows.' WHERE TRUE")
    run = await tables.the_run()
    meanwhile = await scheduler.store.find_run(run["tenant_id"], run["run_id"])

    tables.clock.time += LEASE
    other = await make_scheduler()
    await other.reconcile()

    run = await tables.the_run()
    assert (run["state"], run["queue_state"], run["retry_count"], run["priority"]) == ("FAILED", "QUEUED", 1, 49)
    told = await scheduler.store.find_run(run["tenant_id"], run["run_id"])
    assert meanwhile is not None
    assert told is not None
    assert (meanwhile.state, told.state, told.queue_state) == ("PENDING", "FAILED", "QUEUED")


@pytest.mark.parametrize("how", ["said by the run", "said by StartRun", "cancelled", "its schedule is gone"])
async def test_what_cannot_heal_is_final_at_once(tables: Tables, scheduler: Scheduler, executor: StubExecutor, how: str) -> None:
    await queued(tables, scheduler)
    if how == "said by StartRun":
        executor.refusal = FailedPrecondition("CREDENTIALS_MISSING", "Bad credentials.")
    if how == "its schedule is gone":
        await tables.run("DELETE FROM tenant_pipeline_configs WHERE TRUE")
    await scheduler.process()
    executor.end_all("CANCELLED" if how == "cancelled" else "FAILED", error_message="Bad credentials.", is_final=how == "said by the run")
    await scheduler.poll()

    run = await tables.the_run()
    assert (run["state"], run["retry_count"], run["queue_state"], run["completed_at"]) == ("FAILED", 1, None, tables.clock.now())
    assert "deleted" in run["error_message"] if how == "its schedule is gone" else run["error_message"] == "Bad credentials."


async def test_a_refused_run_goes_back_unharmed(tables: Tables, scheduler: Scheduler, executor: StubExecutor) -> None:
    await queued(tables, scheduler)
    executor.refusal = ResourceExhausted("DAILY_LIMIT_REACHED", "No more today.", retry_after=timedelta(hours=9))
    assert await scheduler.process() == 1

    run = await tables.the_run()
    assert (run["state"], run["queue_state"], run["retry_count"], run["priority"]) == ("PENDING", "QUEUED", 0, 50)
    assert (run["claimed_by"], run["not_before"]) == (None, tables.clock.now() + timedelta(hours=1))
    assert await scheduler.process() == 0
    executor.refusal, tables.clock.time = None, run["not_before"]
    assert await scheduler.process() == 1
    assert [(asked.attempt, asked.is_new) for asked in executor.asked] == [(1, True), (1, False)], "the first may have begun all the same"


@pytest.mark.parametrize("began", [True, False])
async def test_a_run_whose_start_is_not_answered_stays_claimed_until_its_record_is_looked_for(
    tables: Tables, scheduler: Scheduler, executor: StubExecutor, began: bool
) -> None:
    """A schedule that is deleted meanwhile ends what is queued: it must not end a run that works."""
    await queued(tables, scheduler)
    executor.loses_answers = True
    if not began:
        executor.refusal = Unavailable("BIGQUERY_UNAVAILABLE", "BigQuery does not answer.")
    await scheduler.process()
    await scheduler.poll()
    claimed = await tables.the_run()
    assert executor.asked[0].start_by.ToDatetime(UTC) == tables.clock.now() + LEASE / 2
    tables.clock.time += LEASE * 0.6
    await scheduler.poll()
    looked_for = await tables.the_run()
    executor.end_all()
    await scheduler.poll()

    assert (claimed["queue_state"], claimed["state"]) == ("PROCESSING", "PENDING")
    assert looked_for["queue_state"] == ("PROCESSING" if began else "QUEUED")
    run = await tables.the_run()
    assert (run["state"], run["queue_state"], run["retry_count"]) == (("COMPLETED", None, 0) if began else ("PENDING", "QUEUED", 0))
    assert (run["not_before"] is not None) == (not began)


async def test_no_start_may_come_after_its_claim(tables: Tables, scheduler: Scheduler, executor: StubExecutor) -> None:
    """A scheduler that stood still sends it when another may have taken the claim over, and ended the run."""
    await queued(tables, scheduler)
    now = tables.clock.now()
    claims = await scheduler.store.claim("holder", 1, ALL, now, now + LEASE)
    tables.clock.time += LEASE * 0.8
    scheduler.watcher.start(claims, lease_expires_at=now + LEASE)
    await scheduler.started()
    assert executor.asked[0].start_by.ToDatetime(UTC) == now + LEASE


async def test_an_attempt_that_has_begun_counts_though_the_schedule_is_deleted(
    tables: Tables, scheduler: Scheduler, executor: StubExecutor
) -> None:
    """Of two runs that were put back, one began all the same: a call that was refused once may have been repeated on its way."""
    await queued(tables, scheduler, 2)
    executor.refusal = ResourceExhausted("DAILY_LIMIT_REACHED", "No more today.", retry_after=timedelta(hours=1))
    assert await scheduler.process(2) == 2
    began, never = executor.asked
    executor.runs[began.pipeline_logging_id] = RunState(pipeline_logging_id=began.pipeline_logging_id, status="COMPLETED")
    await tables.run("DELETE FROM tenant_pipeline_configs WHERE TRUE")

    tables.clock.time += timedelta(hours=1)
    assert await scheduler.process(2) == 2
    await scheduler.poll()

    runs = {run["run_id"]: run for run in await tables.runs()}
    assert {one: (run["state"], run["queue_state"]) for one, run in runs.items()} == {
        began.run_id: ("COMPLETED", None),
        never.run_id: ("FAILED", None),
    }
    assert "deleted" in runs[never.run_id]["error_message"]


async def test_a_dead_scheduler_s_runs_are_taken_over(
    tables: Tables, make_scheduler: MakeScheduler, executor: StubExecutor, scheduler: Scheduler
) -> None:
    """One had ended, one was running, one had never begun. The dead one, come back, writes nothing."""
    await queued(tables, scheduler, 3)
    claims = await scheduler.processor.process(3)
    await scheduler.started()
    ended, running, never = (claim.pipeline_logging_id for claim in claims)
    executor.runs[ended].status = "COMPLETED"
    del executor.runs[never]
    other = await make_scheduler()
    await other.reconcile()
    assert all(run["claimed_by"] == claims[0].claimed_by for run in await tables.runs()), "its lease still held"

    tables.clock.time += LEASE
    await other.reconcile()
    await scheduler.store.settle([completed(claim) for claim in claims], tables.clock.now())

    runs = {run["pipeline_logging_id"]: run for run in await tables.runs()}
    assert {one: (run["state"], run["queue_state"]) for one, run in runs.items()} == {
        ended: ("COMPLETED", None),
        running: ("PENDING", "PROCESSING"),
        never: ("PENDING", "PROCESSING"),
    }
    assert executor.started == {ended: 1, running: 1, never: 2}
    executor.end_all()
    await scheduler.poll()
    assert sum(run["queue_state"] == "PROCESSING" for run in await tables.runs()) == 2
    await other.poll()
    assert {(run["state"], run["queue_state"]) for run in await tables.runs()} == {("COMPLETED", None)}
    assert executor.reconciled >= 2


async def test_runs_of_a_dead_scheduler_are_looked_for_without_any_tick(
    tables: Tables, scheduler: Scheduler, executor: StubExecutor, to_executor: grpc.aio.Channel, make_scheduler: MakeScheduler
) -> None:
    """Cloud Scheduler ticks every five minutes; a claim without a holder waits for no more than a lease."""
    await queued(tables, scheduler)
    await scheduler.processor.process(1)
    other = await make_scheduler()
    looking = QueueProcessor(
        store=other.store, watcher=other.watcher, executor=ExecutorClient(to_executor), clock=tables.clock, lease_seconds=0.05
    )
    async with looking:
        tables.clock.time += LEASE
        before = (await tables.the_run())["claimed_by"]
        async with asyncio.timeout(30):
            while (await tables.the_run())["claimed_by"] == before:
                await asyncio.sleep(0.05)


async def test_renewing_keeps_a_claim_and_stopping_hands_it_over(
    tables: Tables, make_scheduler: MakeScheduler, scheduler: Scheduler, executor: StubExecutor
) -> None:
    await queued(tables, scheduler, 2)
    await scheduler.process(2)
    other = await make_scheduler()
    tables.clock.time += LEASE * 0.9
    before = jobs()
    await scheduler.watcher.renew()
    assert jobs() - before == 1
    tables.clock.time += LEASE * 0.9
    assert await other.store.take_over("other", ALL, tables.clock.now(), tables.clock.now() + LEASE) == []

    await scheduler.watcher.__aexit__(None, None, None)
    await other.reconcile()
    executor.end_all()
    await other.poll()
    assert {run["state"] for run in await tables.runs()} == {"COMPLETED"}
