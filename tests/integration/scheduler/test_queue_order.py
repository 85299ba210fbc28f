"""The order of the queue in BigQuery's SQL: the same as the model's, for the claim and for what a tenant is answered."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from services.scheduler.queue.claims import Claim
from services.scheduler.queue.outcomes import ClaimOutcome, End, Refusal
from services.scheduler.queue.rules import QueueRules
from services.scheduler.queue.store import QueueStore
from services.scheduler.schedules.store import ScheduleStore
from tests.integration.scheduler.conftest import ALL, LEASE, Scheduler, Tables
from tests.support.queue_order import BACKFILL, WaitingRun, in_order

RUNS = """
INSERT INTO pipeline_execution_queue (run_id, config_id, tenant_id, state, priority, scheduled_time, added_at)
SELECT r.run_id, r.run_id, r.tenant_id, 'QUEUED', r.priority, r.scheduled_time, r.added_at FROM UNNEST(@runs) AS r
"""
RUN = "ARRAY<STRUCT<run_id STRING, tenant_id STRING, priority INT64, scheduled_time TIMESTAMP, added_at TIMESTAMP>>"
ENDED = "UPDATE tenant_pipeline_configs SET last_run_time = @ended WHERE tenant_id = @tenant"
CEILING, DEFAULT_CEILING = 3, 50


async def put(tables: Tables, runs: list[WaitingRun]) -> None:
    names = ("run_id", "tenant_id", "priority", "scheduled_time", "added_at")
    await tables.run(RUNS, {"runs": (RUN, [{name: getattr(run, name) for name in names} for run in runs])})


@pytest.mark.parametrize(("seed", "ageing"), [(1, 1800), (2, 600), (3, 0)])
async def test_claims_and_answers_follow_the_model(tables: Tables, seed: int, ageing: int) -> None:
    """Runs of any age and priority, backfills, tenants with and without a ceiling of their own, some of them served before."""
    dice, now = random.Random(seed), tables.clock.now()
    low, other = await tables.tenants(2, max_priority=CEILING)
    free, served = await tables.tenants(2)
    ceilings = {low: CEILING, other: CEILING, free: DEFAULT_CEILING, served: DEFAULT_CEILING}
    served_at = {served: now - timedelta(minutes=9)}
    await tables.schedules([served], next_run_time=now + timedelta(hours=1))
    await tables.run(ENDED, {"ended": ("TIMESTAMP", served_at[served]), "tenant": ("STRING", served)})
    runs = [
        WaitingRun(
            run_id=f"{number:04}",
            tenant_id=dice.choice(sorted(ceilings)),
            priority=dice.choice([0, 1, 2, 3, 4, 60, -1, BACKFILL, BACKFILL - 1]),
            scheduled_time=now - timedelta(minutes=dice.choice([10, 20, 30])),
            added_at=now - timedelta(minutes=dice.randrange(200)),
        )
        for number in range(40)
    ]
    await put(tables, runs)
    store = QueueStore(tables.bq, QueueRules(ageing_seconds=ageing))

    def expected() -> list[str]:
        order = in_order(runs, ceilings=ceilings, served_at=served_at, ageing_seconds=ageing, now=now)
        return [run.run_id for run in order]

    for place in (0, 1, 17, 39):
        run = next(run for run in runs if run.run_id == expected()[place])
        found = await store.position(run.tenant_id, run.run_id, now)
        assert found is not None
        assert found.runs_before == place
    for most in (1, 1, 1, 7, 12, 18):
        claims = await store.claim(f"claim {len(runs)}", most, ALL, now, now + LEASE)
        assert {claim.run_id for claim in claims} == set(expected()[:most])
        served_at |= {claim.tenant_id: now for claim in claims}
        runs = [run for run in runs if run.run_id not in {claim.run_id for claim in claims}]
        now += timedelta(minutes=5)


async def test_a_run_is_before_another_only_if_a_claim_would_take_it(tables: Tables, scheduler: Scheduler) -> None:
    """Not the third run of a tenant with two slots, nor the second of one with a unit left."""
    slots, units, waiting = [*await tables.tenants(concurrent_limit=2), *await tables.tenants(daily_limit=1), *await tables.tenants()]
    now = tables.clock.now()
    runs = [
        WaitingRun(run_id=f"{tenant}-{number}", tenant_id=tenant, priority=50, scheduled_time=now - timedelta(hours=2), added_at=now)
        for tenant in (slots, units)
        for number in range(5)
    ]
    last = WaitingRun(run_id="last", tenant_id=waiting, priority=10, scheduled_time=now, added_at=now)
    await put(tables, [*runs, last])
    found = await scheduler.store.position(waiting, "last", now)
    assert found is not None
    assert found.runs_before == 3
    claims = await scheduler.store.claim("all", 100, ALL, now, now + LEASE)
    assert len(claims) == 4


async def test_ten_thousand_due_schedules_of_one_tenant_do_not_crowd_out_the_others(
    tables: Tables, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit into one trigger is the greedy tenant's own: the bound is 10,000, here 20, of 30 schedules that are due."""
    monkeypatch.setattr("services.scheduler.queue.store.MAX_DUE", 20)
    monkeypatch.setattr("services.scheduler.queue.trigger.MAX_DUE", 20)
    greedy, good, poor = [*await tables.tenants(2), *await tables.tenants(daily_limit=2)]
    due = tables.clock.now() - timedelta(hours=3)
    await tables.schedules([greedy] * 24, priority=100, next_run_time=due, schedule_cron="0 0 1 1 *")
    await tables.schedules([good] * 2, priority=0, schedule_cron="0 0 1 1 *")
    await tables.schedules([poor] * 4, priority=0, next_run_time=due, schedule_cron="0 0 1 1 *")
    schedules = await scheduler.store.due_schedules(tables.clock.now())
    counts = {tenant_id: sum(one.tenant_id == tenant_id for one in schedules) for tenant_id in (greedy, good, poor)}
    assert counts == {greedy: 16, good: 2, poor: 2}
    assert {one.tenant_id for one in schedules[:3]} == {greedy, good, poor}
    assert (await scheduler.trigger.fire()).queued == 20


async def test_a_trigger_queues_no_more_than_the_plan_lets_wait(tables: Tables, scheduler: Scheduler) -> None:
    """The others stay due and are counted as skipped. A backfill does not keep a schedule's runs from being queued."""
    (tenant_id,) = await tables.tenants(max_queued_runs=3)
    now = tables.clock.now()
    await put(
        tables,
        [
            WaitingRun(run_id=f"b{number}", tenant_id=tenant_id, priority=BACKFILL, scheduled_time=now, added_at=datetime.now(UTC))
            for number in range(3)
        ],
    )
    await tables.schedules([tenant_id] * 5)
    first = await scheduler.trigger.fire()
    assert (first.queued, first.skipped) == (3, 2)
    again = await scheduler.trigger.fire()
    assert (again.queued, again.skipped) == (0, 2)
    assert await scheduler.process(1) == 1
    assert (await scheduler.trigger.fire()).queued == 1


@pytest.mark.parametrize("outcome", ["COMPLETED", "FAILED", "RETRY", "refused", "deleted"])
async def test_what_becomes_of_a_run_neither_costs_a_turn_nor_brings_one(tables: Tables, scheduler: Scheduler, outcome: str) -> None:
    """With one run a call, tenants alternate, even if each run ends after the next claim, the other tenant's runs are all refused, or it
    deletes the schedules of its runs while those are active.
    """
    greedy, good = await tables.tenants(2)
    await tables.schedules([greedy] * 4 + [good] * 2)
    assert (await scheduler.trigger.fire()).queued == 6
    store, now, taken = scheduler.store, tables.clock.now(), list[Claim]()
    for number in range(4):
        now += timedelta(minutes=5)
        taken += await store.claim(f"claim {number}", 1, ALL, now, now + LEASE)
        before, last = taken[-2] if len(taken) > 1 else None, taken[-1]
        if outcome == "refused" and last.tenant_id == greedy:
            await store.put_back([Refusal(claim=last, not_before=now + timedelta(minutes=1))])
        elif outcome == "deleted" and last.tenant_id == greedy:
            await ScheduleStore(tables.bq).delete(greedy, last.config_id, now)
            await store.settle([End(claim=last, outcome=ClaimOutcome.COMPLETED, pipeline_logging_id=None)], now)
        elif outcome in set(ClaimOutcome) and before:
            end = End(claim=before, outcome=ClaimOutcome(outcome), pipeline_logging_id=None, not_before=now + timedelta(hours=1))
            await store.settle([end], now + timedelta(minutes=1))
    first, second = taken[0].tenant_id, taken[1].tenant_id
    assert {first, second} == {greedy, good}
    assert [claim.tenant_id for claim in taken] == [first, second, first, second]
