"""RunPipeline up to its response, with `size` concurrent callers: real ledger, store and templates; the runs' work is left out."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from benchmarks.counts import Row, measured
from benchmarks.place import Place
from services.auth.ledger import Ledger
from services.auth.settings import AuthSettings
from services.auth.store import AuthStore, Settlement
from services.executor.records import Run, RunCost, RunOutcome, RunStatus
from services.executor.runs.active import ActiveRuns
from services.executor.runs.admission import Admission
from services.executor.runs.prepared import PreparedRun, RunPreparer, RunRequest
from services.executor.runs.progress import RunProgress
from services.executor.runs.quota import Reservation
from services.executor.runs.reconcile import Reconciler
from services.executor.runs.start import RunStarter
from services.executor.steps import STEP_TYPES
from services.executor.store import Store
from services.executor.templates.catalog import load_catalog
from services.executor.templates.name import PipelineName
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import load_tables
from services.platform.clock import SystemClock
from services.platform.settings import REPOSITORY

SIZES = (1, 10, 100)
"""A thousand would need hundreds of tenants: a tenant's own table accepts 25 statements in 10 seconds, too."""


class LocalLedger:
    """A QuotaClient without the network."""

    def __init__(self, quota: Ledger) -> None:
        self._quota = quota
        self.settled = 0

    async def reserve(self, run: Run) -> Reservation:
        """As `services.executor.runs.quota.QuotaClient`."""
        slot = await self._quota.reserve(run.tenant_id, run.pipeline_logging_id, is_retry=run.attempt > 1, trigger_type=run.trigger_type)
        return Reservation(tenant_id=run.tenant_id, pipeline_logging_id=run.pipeline_logging_id, usage_date=slot.usage_date)

    async def settle(self, slot: Reservation, outcome: str, cost: RunCost | None = None) -> None:
        """As `services.executor.runs.quota.QuotaClient`."""
        end = Settlement(
            tenant_id=slot.tenant_id, reservation_id=slot.pipeline_logging_id, usage_date=slot.usage_date, outcome=str(outcome)
        )
        await self._quota.settle([end])
        self.settled += 1


class Credentials:
    """Every tenant has credentials."""

    async def require(self, tenant_id: str, provider: str) -> None:
        """Does nothing."""


async def bench(place: Place, size: int) -> AsyncIterator[Row]:
    """The day's rows and the tenants' tables exist before."""
    tenants = await place.tenants()
    await _datasets(place, tenants)
    clock, answered = SystemClock(), asyncio.Event()

    async def work(_: PreparedRun, __: RunProgress) -> RunOutcome:
        await answered.wait()
        return RunOutcome(status=RunStatus.COMPLETED, rows_processed=0)

    async with Ledger.of(AuthStore(place.bq), clock, AuthSettings()) as real:
        quota: Any = LocalLedger(real)
        credentials: Any = Credentials()
        store = Store(place.bq, ddl=REPOSITORY / "configs" / "bigquery" / "tenant")
        active = ActiveRuns(execute=work, store=store, quota=quota, clock=clock, max_concurrent=size, grace_seconds=60.0)
        reconciler, lease_seconds = Reconciler(store, quota, clock), place.settings.lease_seconds
        admission = Admission(
            store=store, quota=quota, credentials=credentials, reconciler=reconciler, clock=clock, lease_seconds=lease_seconds
        )
        preparer = RunPreparer(load_catalog(place.settings.configs_dir, STEP_TYPES), clock)
        starter = RunStarter(preparer=preparer, admission=admission, active=active)
        await asyncio.gather(*(real.usage(tenant) for tenant in tenants))
        async with active:
            with measured("RunPipeline", size) as row:
                await asyncio.gather(*(starter.start(preparer.prepare(_wanted(tenants[index % len(tenants)]))) for index in range(size)))
            answered.set()
            while quota.settled < size:
                await asyncio.sleep(0.05)
    await _drop(place, tenants)
    yield row


def _wanted(tenant_id: str) -> RunRequest:
    name = PipelineName.of("gcp", "cost", "billing")
    return RunRequest(pipeline_logging_id=str(uuid.uuid4()), tenant_id=tenant_id, name=name, given={"date": "2025-11-17"})


async def _datasets(place: Place, tenants: list[str]) -> None:
    tables = load_tables(place.settings.configs_dir / "bigquery" / "tenant")
    for name in map(place.bq.tenant, tenants):
        await place.bq.call("create_dataset", partial(_create, place.bq, name))
        await place.bq.query(tables["x_meta_pipeline_runs"].create, {}, dataset=name)


async def _drop(place: Place, tenants: list[str]) -> None:
    """The emulator gets slower with each dataset."""
    for name in map(place.bq.tenant, tenants):
        await place.bq.call("drop_dataset", partial(_delete, place.bq, name))


def _create(bq: BigQuery, name: str, timeout: float) -> None:
    bq.client.create_dataset(name, exists_ok=True, timeout=timeout)


def _delete(bq: BigQuery, name: str, timeout: float) -> None:
    bq.client.delete_dataset(name, delete_contents=True, timeout=timeout)
