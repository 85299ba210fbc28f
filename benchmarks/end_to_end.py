"""Scheduled runs from the trigger to their end, 50 at a time: each reserves and settles in a real ledger and does no other work."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date

from benchmarks.counts import Row, measured
from benchmarks.place import POLL_SECONDS, Place
from benchmarks.stub_executor import StubExecutor
from services.auth.ledger import Ledger
from services.auth.settings import AuthSettings
from services.auth.store import AuthStore, Settlement
from services.platform.clock import SystemClock
from services.scheduler.queue.claim_watcher import ClaimWatcher
from services.scheduler.queue.claims import Claim
from services.scheduler.queue.processor import QueueProcessor
from services.scheduler.queue.store import QueueStore
from services.scheduler.queue.trigger import Trigger

SIZES = (1, 10, 100, 1000)
MAX_RUNS = 50
SECONDS = 400.0


async def bench(place: Place, size: int) -> AsyncIterator[Row]:
    """Raises TimeoutError if the runs do not end."""
    await place.due(await place.tenants(), size)
    store, clock = QueueStore(place.bq), SystemClock()
    async with Ledger.of(AuthStore(place.bq), clock, AuthSettings()) as ledger:
        days = dict[str, date]()

        async def reserve(claim: Claim) -> None:
            slot = await ledger.reserve(claim.tenant_id, claim.pipeline_logging_id, is_retry=claim.attempt > 1)
            days[claim.pipeline_logging_id] = slot.usage_date

        async def settle(claim: Claim) -> None:
            run = claim.pipeline_logging_id
            await ledger.settle([Settlement(tenant_id=claim.tenant_id, reservation_id=run, usage_date=days[run], outcome="COMPLETED")])

        executor = StubExecutor(admit=reserve, work=settle)
        with measured(f"scheduled runs, max_runs {MAX_RUNS}", size) as row:
            await Trigger(store, clock).fire()
            async with ClaimWatcher(store=store, executor=executor, clock=clock, settings=place.settings) as watcher:
                lease = place.settings.claim_lease
                async with (
                    QueueProcessor(store=store, watcher=watcher, executor=executor, clock=clock, lease_seconds=lease) as processor,
                    asyncio.timeout(SECONDS),
                ):
                    await _drain(store, executor, processor, size)
        yield row


async def _drain(store: QueueStore, executor: StubExecutor, processor: QueueProcessor, size: int) -> None:
    claimed = 0
    while claimed < size:
        claimed += len(await processor.process(MAX_RUNS))
        while executor.ended < claimed:
            await asyncio.sleep(POLL_SECONDS / 10)
    while (status := await store.status(SystemClock().now())).processing_count + status.queued_count:
        await asyncio.sleep(POLL_SECONDS)
