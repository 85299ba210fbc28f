"""The hourly trigger with `size` schedules due at once; and again, when none is due any more."""

from collections.abc import AsyncIterator

from benchmarks.counts import Row, measured
from benchmarks.place import Place
from services.platform.clock import SystemClock
from services.scheduler.queue.store import QueueStore
from services.scheduler.queue.trigger import Trigger

SIZES = (1, 10, 100, 1000, 10_000)


async def bench(place: Place, size: int) -> AsyncIterator[Row]:
    """Raises RuntimeError if not every schedule was queued once."""
    await place.due(await place.tenants(), size)
    trigger = Trigger(QueueStore(place.bq), SystemClock())
    for name, queued in (("trigger, all due", size), ("trigger, none due", 0)):
        with measured(name, size) as row:
            done = await trigger.fire()
        if done.queued != queued:
            raise RuntimeError(f"{name}: {done.queued} of {queued} schedules were queued.")
        yield row
