"""One process-queue call that claims `size` runs, until it returns."""

import asyncio
from collections.abc import AsyncIterator

from benchmarks.counts import Row, measured
from benchmarks.place import Place
from benchmarks.stub_executor import StubExecutor
from services.platform.clock import SystemClock
from services.scheduler.queue.claim_watcher import ClaimWatcher
from services.scheduler.queue.claims import Claim
from services.scheduler.queue.processor import QueueProcessor
from services.scheduler.queue.store import QueueStore
from services.scheduler.queue.trigger import Trigger

SIZES = (1, 10, 100, 1000)


async def bench(place: Place, size: int) -> AsyncIterator[Row]:
    """Raises RuntimeError if not all runs were claimed."""
    await place.due(await place.tenants(), size)
    store, clock, executor = QueueStore(place.bq), SystemClock(), StubExecutor(admit=_never, work=_never)
    await Trigger(store, clock).fire()
    async with ClaimWatcher(store=store, executor=executor, clock=clock, settings=place.settings) as watcher:
        lease = place.settings.claim_lease
        async with QueueProcessor(store=store, watcher=watcher, executor=executor, clock=clock, lease_seconds=lease) as processor:
            await executor.looked.wait()
            with measured("claim", size) as row:
                claims = await processor.process(size)
            if len(claims) != size:
                raise RuntimeError(f"{len(claims)} of {size} runs were claimed.")
            yield row


async def _never(_claim: Claim) -> None:
    await asyncio.Event().wait()
