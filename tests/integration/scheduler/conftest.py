"""Schedulers inside the test process, on this worker's control dataset and a stub executor; tests set the time."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from convergence.executor.v1.run_service_pb2_grpc import add_RunServiceServicer_to_server

from services.platform.access.key_holder import KeyHolder
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.rpc.peers import peer_channel
from services.platform.server import Served
from services.platform.settings import ServiceSettings
from services.scheduler.queue.claim_watcher import ClaimWatcher
from services.scheduler.queue.executor_client import ExecutorClient
from services.scheduler.queue.processor import QueueProcessor
from services.scheduler.queue.span import Span
from services.scheduler.queue.store import QueueStore
from services.scheduler.queue.trigger import Trigger
from services.scheduler.settings import SchedulerSettings
from tests.conftest import serving
from tests.integration.scheduler.stub_executor import StubExecutor
from tests.support.set_clock import SetClock

LEASE = timedelta(seconds=60)
ALL = Span(first=datetime(2000, 1, 1, tzinfo=UTC), last=datetime(2100, 1, 1, tzinfo=UTC))
CHANCE = 1.0
NEVER = 1e6
"""Seconds between two rounds: the test makes the rounds itself."""

_TENANTS = """
INSERT INTO tenant_profiles (tenant_id, status) SELECT t.tenant_id, 'ACTIVE' FROM UNNEST(@tenants) AS t;
INSERT INTO tenant_subscriptions (subscription_id, tenant_id, status, daily_limit, concurrent_limit, max_priority, max_queued_runs)
SELECT t.tenant_id, t.tenant_id, 'ACTIVE', t.daily_limit, t.concurrent_limit, t.max_priority, t.max_queued_runs FROM UNNEST(@tenants) AS t;
"""
_PLAN = ("daily_limit", "concurrent_limit", "max_priority", "max_queued_runs")
_CONFIGS = """
INSERT INTO tenant_pipeline_configs
  (config_id, tenant_id, provider, domain, pipeline_template,
   schedule_cron, timezone, priority, max_retries, catch_up, next_run_time, is_active, parameters)
SELECT c.config_id, c.tenant_id, 'gcp', 'cost', 'billing',
  c.schedule_cron, c.timezone, c.priority, c.max_retries, c.catch_up, c.next_run_time, c.is_active, PARSE_JSON(c.parameters)
FROM UNNEST(@configs) AS c
"""
_CONFIG = (
    "config_id STRING, tenant_id STRING, schedule_cron STRING, timezone STRING, priority INT64, max_retries INT64, catch_up STRING, "
    "next_run_time TIMESTAMP, is_active BOOL, parameters STRING"
)
_EMPTY = """
DELETE FROM tenant_pipeline_configs WHERE TRUE;
DELETE FROM pipeline_execution_queue WHERE TRUE;
DELETE FROM scheduled_pipeline_runs WHERE TRUE;
"""


@dataclass(frozen=True, kw_only=True)
class Tables:
    """What a test puts into the tables, and finds in them."""

    bq: BigQuery
    clock: SetClock

    async def run(self, sql: str, params: Mapping[str, tuple[str, object]] | None = None) -> list[dict[str, Any]]:
        given = params or {}
        block = make_block("test", sql, {name: kind for name, (kind, _) in given.items()})
        values = {name: value for name, (_, value) in given.items()}
        return (await self.bq.query(block, values, dataset=self.bq.control(), seconds=60)).rows

    async def tenants(self, count: int = 1, **plan: int | None) -> list[str]:
        """Tenants with these limits, which are unlimited or the defaults where `plan` does not name them."""
        names = [f"t_{uuid.uuid4().hex[:12]}" for _ in range(count)]
        rows = [{**dict.fromkeys(_PLAN), **plan, "tenant_id": name} for name in names]
        columns = ", ".join(f"{limit} INT64" for limit in _PLAN)
        await self.run(_TENANTS, {"tenants": (f"ARRAY<STRUCT<tenant_id STRING, {columns}>>", rows)})
        return names

    async def schedules(self, tenant_ids: list[str], **columns: Any) -> list[str]:
        """One schedule an entry of `tenant_ids`, due a minute ago unless `columns` say otherwise."""
        default = {
            "schedule_cron": "0 * * * *",
            "timezone": "UTC",
            "priority": None,
            "max_retries": None,
            "catch_up": None,
            "is_active": None,
            "parameters": None,
            "next_run_time": self.clock.now() - timedelta(minutes=1),
        }
        rows = [{**default, **columns, "config_id": str(uuid.uuid4()), "tenant_id": tenant_id} for tenant_id in tenant_ids]
        await self.run(_CONFIGS, {"configs": (f"ARRAY<STRUCT<{_CONFIG}>>", rows)})
        return [row["config_id"] for row in rows]

    async def configs(self) -> dict[str, dict[str, Any]]:
        rows = await self.run("SELECT config_id, next_run_time, last_run_time, last_run_status FROM tenant_pipeline_configs")
        return {row["config_id"]: row for row in rows}

    async def runs(self) -> list[dict[str, Any]]:
        """Every run with its queue row."""
        return await self.run(
            """
            SELECT r.run_id, r.config_id, r.tenant_id, r.state, r.retry_count, r.max_retries, r.error_message, r.pipeline_logging_id,
              r.started_at, r.completed_at, r.scheduled_time,
              q.state AS queue_state, q.priority, q.not_before, q.claimed_by, q.attempt, q.lease_expires_at
            FROM scheduled_pipeline_runs AS r FULL JOIN pipeline_execution_queue AS q ON q.run_id = r.run_id
            ORDER BY r.scheduled_time, r.run_id
            """
        )

    async def the_run(self) -> dict[str, Any]:
        (run,) = await self.runs()
        return run


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """One scheduler process, whose rounds the test makes."""

    store: QueueStore
    trigger: Trigger
    watcher: ClaimWatcher
    processor: QueueProcessor

    async def started(self) -> None:
        """Every StartRun has been answered, and written down."""
        while tasks := [task for task in (*self.watcher._tasks, self.processor._looking) if task is not None and not task.done()]:
            await asyncio.gather(*tasks)

    async def process(self, max_runs: int = 1) -> int:
        claims = await self.processor.process(max_runs)
        await self.started()
        return len(claims)

    async def poll(self) -> None:
        await self.watcher.poll()
        await self.started()

    async def reconcile(self) -> None:
        await self.processor.reconcile()
        await self.poll()


class NoKeys:
    """No tenant's key is known."""

    async def authenticate(self, api_key_sha256: str) -> KeyHolder:
        raise AssertionError("no call here brings an API key")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def tables(bq: BigQuery, clock: SetClock) -> Tables:
    """The scheduler's tables, empty: its jobs look at all tenants."""
    tables = Tables(bq=bq, clock=clock)
    await tables.run(_EMPTY)
    return tables


@pytest.fixture(scope="session")
def scheduler_settings(service_settings: ServiceSettings) -> SchedulerSettings:
    given = service_settings.model_dump(include={"tls_dir", "project", "control_dataset", "bigquery_emulator_host"})
    own = {"listen": "127.0.0.1:0", "poll_seconds": NEVER, "journal_gather_seconds": 0.0, "claim_lease_seconds": LEASE.total_seconds()}
    return SchedulerSettings.model_validate(given | own)


@pytest.fixture
def executor() -> Iterator[StubExecutor]:
    """Whatever happens, an attempt is only new the first time."""
    yield (stub := StubExecutor())
    seen = set[str]()
    for asked in stub.asked:
        assert not (asked.is_new and asked.pipeline_logging_id in seen), f"{asked} was sent before"
        seen.add(asked.pipeline_logging_id)


@pytest.fixture
async def to_executor(scheduler_settings: SchedulerSettings, executor: StubExecutor) -> AsyncIterator[grpc.aio.Channel]:
    """The scheduler's channel to the stub, with mTLS and all."""
    name = "convergence.executor.v1.RunService"
    served = Served(name=name, add=add_RunServiceServicer_to_server, servicer=executor)
    async with (
        serving(scheduler_settings, name="executor", authenticator=NoKeys(), served=[served]) as address,
        peer_channel(scheduler_settings, caller="scheduler", peer="executor", address=address) as channel,
    ):
        yield channel


type MakeScheduler = Callable[[], Awaitable[Scheduler]]


@pytest.fixture
async def make_scheduler(
    bq: BigQuery, clock: SetClock, scheduler_settings: SchedulerSettings, to_executor: grpc.aio.Channel
) -> AsyncIterator[MakeScheduler]:
    """Makes scheduler processes that share nothing but the tables and the executor."""
    async with AsyncExitStack() as stack:

        async def make() -> Scheduler:
            store, executor = QueueStore(bq), ExecutorClient(to_executor)
            watcher = ClaimWatcher(store=store, executor=executor, clock=clock, settings=scheduler_settings, chance=lambda: CHANCE)
            await stack.enter_async_context(watcher)
            lease = scheduler_settings.claim_lease
            processor = QueueProcessor(store=store, watcher=watcher, executor=executor, clock=clock, lease_seconds=lease)
            await stack.enter_async_context(processor)
            scheduler = Scheduler(store=store, trigger=Trigger(store, clock), watcher=watcher, processor=processor)
            await scheduler.started()
            return scheduler

        yield make


@pytest.fixture
async def scheduler(make_scheduler: MakeScheduler) -> Scheduler:
    return await make_scheduler()


def full_hour(moment: datetime) -> datetime:
    """The full hour before `moment`."""
    return moment.replace(minute=0, second=0, microsecond=0)
