"""Ledger and queue together under BigQuery's rules: transactions meet plain statements, statements take time, responses get lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import count

import pytest

from services.auth.ledger import Ledger
from services.auth.store import AuthStore, Settlement
from services.auth.tenants.spec import TenantSpec
from services.auth.tenants.store import TenantStore
from services.platform.bigquery.client import BigQuery
from services.platform.clock import utc_day
from services.platform.settings import ServiceSettings
from services.scheduler.ids import backfill_run_id
from services.scheduler.queue.outcomes import ClaimOutcome, End
from services.scheduler.queue.store import QueueStore
from services.scheduler.queue.trigger import Trigger
from services.scheduler.queue.writer import QueueWriter
from services.scheduler.schedules.backfills import BackfillRun
from services.scheduler.schedules.store import ScheduleStore
from tests.integration.scheduler.conftest import ALL, Tables
from tests.support.set_clock import SetClock
from tests.support.strict_bigquery import StrictBigQuery, strict_bigquery

TEN_TIMES_AS_FAST = {"seconds": (0.1, 0.2), "rate": 250}
GATHER_SECONDS = 1.5
"""As long as the ends of runs gather, ten times as fast."""
LONG = timedelta(days=2)
TENANTS, DAYS = 2, 2
ALWAYS_CHANGED = {"tenant_usage_quotas", "pipeline_execution_queue"}
pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True, kw_only=True)
class Process:
    """An auth and a scheduler, with a client of their own."""

    ledger: Ledger
    auth: AuthStore
    tenants: TenantStore
    queue: QueueStore
    journal: QueueWriter
    schedules: ScheduleStore
    trigger: Trigger


@asynccontextmanager
async def process(settings: ServiceSettings, clock: SetClock) -> AsyncIterator[Process]:
    async with BigQuery(settings, service="tests") as bq:
        auth, queue = AuthStore(bq), QueueStore(bq)
        async with Ledger(auth, clock, lease=LONG) as ledger, QueueWriter(queue, clock, batch_window_seconds=GATHER_SECONDS) as journal:
            schedules, trigger = ScheduleStore(bq), Trigger(queue, clock)
            yield Process(
                ledger=ledger, auth=auth, tenants=TenantStore(bq), queue=queue, journal=journal, schedules=schedules, trigger=trigger
            )


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What never pauses: slots are reserved, renewed and settled, runs claimed, renewed, requeued once and settled."""

    processes: tuple[Process, Process]
    tenants: list[str]
    now: datetime
    over: asyncio.Event = field(default_factory=asyncio.Event)
    rounds: Counter[str] = field(default_factory=Counter)

    def begin(self, group: asyncio.TaskGroup) -> None:
        steps = (self._reserve_and_settle, self._renew, self._claim_and_end, self._claim_and_end, self._renew_claims)
        for step, process in zip(steps, self.processes * 3, strict=False):
            group.create_task(self._keep(step, process))

    async def settle(self, ledger: Ledger, run: str, usage_date: date) -> None:
        """One run of every tenant."""
        await ledger.settle(
            [Settlement(tenant_id=t, reservation_id=f"{t}-{run}", usage_date=usage_date, outcome="COMPLETED") for t in self.tenants]
        )

    async def _keep(self, step: Callable[[Process, int], Awaitable[None]], process: Process) -> None:
        for number in count():
            if self.over.is_set():
                return
            await step(process, number)
            self.rounds[step.__name__] += 1

    async def _reserve_and_settle(self, process: Process, number: int) -> None:
        [slot, *_] = await asyncio.gather(*(process.ledger.reserve(t, f"{t}-{number}", is_retry=False) for t in self.tenants))
        await self.settle(self.processes[number % 2].ledger, str(number), slot.usage_date)

    async def _renew(self, process: Process, _: int) -> None:
        over_midnight = [f"{tenant_id}-over" for tenant_id in self.tenants]
        assert (await process.ledger.renew(over_midnight)).held == set(over_midnight), "no reservation loses its slot"

    async def _renew_claims(self, process: Process, _: int) -> None:
        await process.queue.renew(["another"], self.now + LONG)

    async def _claim_and_end(self, process: Process, number: int) -> None:
        claimed_by = f"{id(process)}-{number}"
        if not (claims := await process.queue.claim(claimed_by, 6, ALL, self.now, self.now + LONG)):
            return
        outcomes = {1: ClaimOutcome.RETRY}
        await process.journal.settle(
            [
                End(claim=claim, outcome=outcomes.get(claim.attempt, ClaimOutcome.COMPLETED), pipeline_logging_id=None, not_before=self.now)
                for claim in claims
            ]
        )


def backfill(config_id: str, now: datetime) -> list[BackfillRun]:
    days = [now - timedelta(days=back) for back in range(1, DAYS + 1)]
    return [
        BackfillRun(run_id=backfill_run_id(config_id, day.date()), scheduled_time=day, parameters={"date": day.date().isoformat()})
        for day in days
    ]


def plan(tenant_id: str) -> TenantSpec:
    return TenantSpec(
        tenant_id=tenant_id,
        company_name="Acme",
        admin_email="ops@acme.example",
        status="ACTIVE",
        plan_name="SCALE",
        subscription_status="ACTIVE",
        daily_limit=10_000,
        monthly_limit=None,
        concurrent_limit=None,
    )


async def transactions(one: Process, other: Process, configs: dict[str, str], now: datetime) -> float:
    """Everything that is or was a transaction, at once and from two processes; seconds that the reset took."""

    async def reset() -> float:
        began = asyncio.get_running_loop().time()
        await one.ledger.reset()
        return asyncio.get_running_loop().time() - began

    async def fill(process: Process, config_id: str, tenant_id: str) -> None:
        schedule = await process.schedules.find(tenant_id, config_id)
        assert schedule is not None
        await process.schedules.backfill(schedule, backfill(config_id, now), now, max_queued_runs=1_000)

    async with asyncio.TaskGroup() as group:
        took = group.create_task(reset())
        group.create_task(other.tenants.put(plan(next(iter(configs.values()))), now, utc_day(now)))
        for at in (one, other):
            group.create_task(at.trigger.fire())
            group.create_task(fill(at, *next(iter(configs.items()))))
    return took.result()


async def test_at_midnight_everything_is_done_once_and_no_transaction_starves(
    tables: Tables, service_settings: ServiceSettings, clock: SetClock
) -> None:
    """The day is opened and reset, a plan changes, schedules fire and go, days are backfilled; all of it in the middle of the traffic."""
    now, yesterday = clock.time, utc_day(clock.time) - timedelta(days=1)
    tenants = await tables.tenants(TENANTS)
    configs = dict(zip(await tables.schedules(tenants), tenants, strict=True))
    (leaving,) = await tables.schedules(tenants[:1])
    upstream = (service_settings.bigquery_emulator_host or "").removeprefix("http://")
    rules = StrictBigQuery(upstream=upstream, lose_every=9, **TEN_TIMES_AS_FAST)  # type: ignore[arg-type]
    async with AsyncExitStack() as stack:
        stack.enter_context(strict_bigquery(rules))
        fast = {"bigquery_emulator_host": rules.url, "bigquery_deadline_seconds": 60.0, "dml_statements_per_10_seconds": 250}
        settings = service_settings.model_copy(update=fast)
        one, other = [await stack.enter_async_context(process(settings, clock)) for _ in range(2)]
        traffic = Traffic(processes=(one, other), tenants=tenants, now=now)
        clock.time = datetime.combine(yesterday, time(23, 59, 30), tzinfo=UTC)
        await asyncio.gather(*(one.ledger.reserve(tenant_id, f"{tenant_id}-over", is_retry=False) for tenant_id in tenants))
        clock.time = now

        async with asyncio.TaskGroup() as group:
            traffic.begin(group)
            took = await transactions(one, other, configs, now)
            await other.schedules.delete(tenants[0], leaving, now)
            while any(run["queue_state"] for run in await tables.runs()):
                await asyncio.sleep(1)
            traffic.over.set()
        await traffic.settle(other.ledger, "over", yesterday)
        usages = [await one.ledger.usage(tenant_id) for tenant_id in tenants]

    assert took < ServiceSettings().bigquery_script_seconds
    kept = [run for run in await tables.runs() if run["config_id"] != leaving]
    assert len({run["run_id"] for run in kept}) == len(kept) == TENANTS + DAYS
    assert {(run["state"], run["retry_count"], run["queue_state"]) for run in kept} == {("COMPLETED", 1, None)}
    left = await tables.configs()
    assert {config_id: row["last_run_status"] for config_id, row in left.items()} == dict.fromkeys(configs, "SUCCESS")
    rounds = traffic.rounds["_reserve_and_settle"]
    counted = [(u.pipelines_run_today, u.pipelines_succeeded_today, u.concurrent_pipelines_running) for u in usages]
    assert counted == [(rounds, rounds, 0)] * TENANTS
    past = await tables.run(
        "SELECT q.pipelines_run_today, q.pipelines_succeeded_today, q.concurrent_pipelines_running, ARRAY_LENGTH(q.live_runs) "
        "FROM tenant_usage_quotas AS q WHERE q.usage_date = @day AND q.tenant_id IN UNNEST(@tenants)",
        {"day": ("DATE", yesterday), "tenants": ("ARRAY<STRING>", tenants)},
    )
    assert [tuple(value or 0 for value in row.values()) for row in past] == [(0, 1, 0, 0)] * TENANTS
    # What is changed without a pause is changed by plain statements only, which no transaction cancels, and which cancel no transaction for
    # ever.
    assert not {table.rpartition(".")[2] for table in rules.aborted} & ALWAYS_CHANGED
    assert rules.refused["lost"] > 0
    assert min(traffic.rounds.values()) > 1
