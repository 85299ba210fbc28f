"""Reserve and settle: `size` concurrent callers of twenty tenants."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

from benchmarks.counts import Row, measured
from benchmarks.place import Place
from services.auth.ledger import Ledger
from services.auth.store import AuthStore, Settlement
from services.platform.clock import SystemClock

SIZES = (1, 10, 100, 1000)


async def bench(place: Place, size: int) -> AsyncIterator[Row]:
    """The day's rows exist before: they are created once a day."""
    tenants = await place.tenants()
    lease = timedelta(seconds=place.settings.lease_seconds)
    async with Ledger(AuthStore(place.bq), SystemClock(), lease=lease) as ledger:

        async def one(tenant: str) -> None:
            identity = str(uuid.uuid4())
            slot = await ledger.reserve(tenant, identity, is_retry=False)
            await ledger.settle([Settlement(tenant_id=tenant, reservation_id=identity, usage_date=slot.usage_date, outcome="COMPLETED")])

        await asyncio.gather(*map(one, tenants))
        with measured("reserve + settle", size) as row:
            await asyncio.gather(*(one(tenants[index % len(tenants)]) for index in range(size)))
        yield row
