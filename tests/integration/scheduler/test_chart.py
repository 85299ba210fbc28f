"""The chart of states in the package's docstring matches the statements, transition by transition."""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import uuid4

import services.scheduler
from services.scheduler.offboarding.store import OffboardingStore
from services.scheduler.queue.claims import Claim
from services.scheduler.queue.outcomes import ClaimOutcome, End, Refusal
from services.scheduler.queue.trigger_plan import Firing, Plan, QueuedRun
from services.scheduler.schedules.backfills import BackfillRun
from services.scheduler.schedules.store import ScheduleStore
from tests.integration.scheduler.conftest import ALL, LEASE, Scheduler, Tables

type Place = tuple[str, str]
NOTHING: Place = ("-", "-")
PLACES: list[Place] = [
    ("PENDING", "QUEUED"),
    ("PENDING", "PROCESSING"),
    ("FAILED", "QUEUED"),
    ("FAILED", "PROCESSING"),
    ("COMPLETED", "-"),
    ("FAILED", "-"),
]
_EDGE = re.compile(r"^ {4}(\S+), (\S+)\s+──([a-z ]+)──>\s+(\S+), (\S+)", re.MULTILINE)
_PLACE = """
DELETE FROM pipeline_execution_queue WHERE TRUE;
DELETE FROM scheduled_pipeline_runs WHERE TRUE;
INSERT INTO scheduled_pipeline_runs (run_id, config_id, tenant_id, pipeline_id, state, scheduled_time, priority, retry_count, max_retries)
SELECT p.run_id, @config, @tenant, 'gcp-cost-billing', p.state, @slot, 50, 1, 3 FROM UNNEST(@places) AS p;
INSERT INTO pipeline_execution_queue (run_id, config_id, tenant_id, state, priority, scheduled_time, claimed_by, attempt, lease_expires_at)
SELECT p.run_id, @config, @tenant, p.queue_state, 50, @slot, IF(p.queue_state = 'PROCESSING', 'holder', NULL), 2, @lease
FROM UNNEST(@places) AS p WHERE p.queue_state != '-';
"""


def chart() -> dict[tuple[Place, str], Place]:
    """Place and event to the next place."""
    found = {((a, b), event): (c, d) for a, b, event, c, d in _EDGE.findall(services.scheduler.__doc__ or "")}
    assert len(found) == 17, "the chart cannot be read"
    return found


async def test_the_statements_do_what_the_chart_says(tables: Tables, scheduler: Scheduler) -> None:
    """Every event happens to a run in every place, and to none; where the chart has no edge, nothing moves."""
    (tenant_id,) = await tables.tenants()
    (config_id,) = await tables.schedules([tenant_id])
    now, store, schedules = tables.clock.now(), scheduler.store, ScheduleStore(tables.bq)
    slot = (await tables.configs())[config_id]["next_run_time"]
    expected = chart()

    def claim(run_id: str) -> Claim:
        return Claim(
            run_id=run_id,
            config_id=config_id,
            tenant_id=tenant_id,
            pipeline_id="gcp-cost-billing",
            claimed_by="holder",
            attempt=2,
            scheduled_time=slot,
            retry_count=1,
            max_retries=3,
            parameters={},
            pipeline=None,
        )

    async def settle(outcome: ClaimOutcome, ids: list[str]) -> None:
        ends = [End(claim=claim(one), outcome=outcome, pipeline_logging_id=None, error_message="x", not_before=now) for one in ids]
        await store.settle(ends, now)

    async def trigger(ids: list[str]) -> None:
        runs = tuple(QueuedRun(run_id=one, scheduled_time=slot) for one in ids)
        firing = Firing(config_id=config_id, seen=slot, next_run_time=slot + timedelta(hours=1), runs=runs)
        await store.enqueue(Plan(firings=(firing,), first_fire_times=(), skipped_count=0, unreadable=()), now)

    async def backfill(ids: list[str]) -> None:
        schedule = await schedules.find(tenant_id, config_id)
        assert schedule is not None
        await schedules.backfill(
            schedule, [BackfillRun(run_id=one, scheduled_time=slot, parameters={}) for one in ids], now, max_queued_runs=9
        )

    async def retry(ids: list[str]) -> None:
        for one in ids:
            await store.retry_run(tenant_id, one, now, max_queued_runs=9)

    events: dict[str, Callable[[list[str]], Awaitable[object]]] = {
        "trigger": trigger,
        "backfill": backfill,
        "claim": lambda _: store.claim("another", 500, ALL, now, now + LEASE),
        "refuse": lambda ids: store.put_back([Refusal(claim=claim(one), not_before=now) for one in ids]),
        "complete": lambda ids: settle(ClaimOutcome.COMPLETED, ids),
        "fail": lambda ids: settle(ClaimOutcome.RETRY, ids),
        "give up": lambda ids: settle(ClaimOutcome.FAILED, ids),
        "retry": retry,
        "renew": lambda _: store.renew(["holder"], now + LEASE),
        "take over": lambda _: store.take_over("another", ALL, now + LEASE, now + 2 * LEASE),
        "delete": lambda _: schedules.delete(tenant_id, config_id, now),
        "offboard": lambda _: OffboardingStore(tables.bq).stop(tenant_id, now),
    }
    assert {event for _, event in expected} < set(events)
    for event, happens in events.items():
        ids = await put(tables, tenant_id, config_id, slot)
        await happens([*ids.values(), str(uuid4())])
        there = {run["run_id"]: (run["state"] or "-", run["queue_state"] or "-") for run in await tables.runs()}
        for place, run_id in ids.items():
            assert there.pop(run_id) == expected.get((place, event), place), f"{event} from {place}"
        assert list(there.values()) == ([expected[NOTHING, event]] if (NOTHING, event) in expected else []), event


async def put(tables: Tables, tenant_id: str, config_id: str, slot: datetime) -> dict[Place, str]:
    """One run in each place, and no other."""
    ids = {place: str(uuid4()) for place in PLACES}
    rows = [{"run_id": run_id, "state": state, "queue_state": queue} for (state, queue), run_id in ids.items()]
    await tables.run(
        _PLACE,
        {
            "places": ("ARRAY<STRUCT<run_id STRING, state STRING, queue_state STRING>>", rows),
            "config": ("STRING", config_id),
            "tenant": ("STRING", tenant_id),
            "slot": ("TIMESTAMP", slot),
            "lease": ("TIMESTAMP", tables.clock.now() + LEASE),
        },
    )
    return ids
