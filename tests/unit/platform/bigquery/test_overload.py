"""A process that gets more calls than BigQuery's threads can carry."""

import asyncio
import threading

import pytest

from services.platform.bigquery.client import BigQuery
from services.platform.errors import Unavailable
from services.platform.settings import ServiceSettings


async def test_what_waited_for_a_thread_until_its_deadline_is_never_sent() -> None:
    """Its caller hears 503 and may count on that nothing happens later."""
    gate, began, sent = threading.Event(), threading.Event(), list[float]()

    def hold(_: float) -> bool:
        began.set()
        return gate.wait(60)

    settings = ServiceSettings(project="p", bigquery_emulator_host="http://127.0.0.1:1", bigquery_threads=1)
    async with BigQuery(settings, service="tests") as bq:
        holding = asyncio.create_task(bq.call("hold", hold, seconds=60))
        await asyncio.to_thread(began.wait)
        late = asyncio.create_task(bq.call("late", sent.append, seconds=0))
        in_time = asyncio.create_task(bq.call("in_time", sent.append, seconds=60))
        gate.set()
        with pytest.raises(Unavailable):
            await late
        await asyncio.gather(holding, in_time)
    assert len(sent) == 1
    assert sent[0] > 1
