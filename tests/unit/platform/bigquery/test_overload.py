"""A process that gets more calls than BigQuery's threads can carry."""

import asyncio
import threading
from collections import Counter

import pytest

from services.platform.bigquery.client import BigQuery
from services.platform.errors import ResourceExhausted, Unavailable
from services.platform.settings import ServiceSettings
from services.platform.turns import ALL, on_behalf_of


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


async def test_a_tenant_with_very_many_calls_leaves_threads_to_others_and_to_the_suite_itself() -> None:
    """Of four threads it has two; the next of these is another tenant's, and the rest is open to what no tenant alone asks for."""
    gate, order = threading.Semaphore(0), list[str]()

    async def call(bq: BigQuery, tenant_id: str, *, waits: bool) -> None:
        on_behalf_of.set(tenant_id)

        def send(_: float) -> bool:
            order.append(tenant_id)
            return waits and gate.acquire(timeout=60)

        await bq.call("read", send, seconds=60)

    settings = ServiceSettings(project="p", bigquery_emulator_host="http://127.0.0.1:1", bigquery_threads=4)
    async with BigQuery(settings, service="tests") as bq:
        greedy = [asyncio.create_task(call(bq, "greedy", waits=True)) for _ in range(100)]
        while len(order) < 2:
            await asyncio.sleep(0.001)
        await asyncio.create_task(call(bq, ALL, waits=False))
        good = asyncio.create_task(call(bq, "good", waits=False))
        await asyncio.sleep(0.05)
        assert order == ["greedy", "greedy", ALL]
        gate.release()
        await good
        assert order[3] == "good"
        gate.release(100)
        await asyncio.gather(*greedy)


async def test_a_tenant_with_very_many_changes_of_a_table_leaves_budget_to_others_and_to_the_suite_itself() -> None:
    """Of 25 statements in 10 s it has fifteen; twenty more wait, the rest is refused at once. No other waits."""
    sent = Counter[str]()

    async def change(bq: BigQuery, tenant_id: str) -> None:
        on_behalf_of.set(tenant_id)
        await bq.call("change", lambda _: sent.update([tenant_id]), seconds=60, written=["p.d.t"])

    settings = ServiceSettings(project="p", bigquery_emulator_host="http://127.0.0.1:1", bigquery_threads=4)
    async with BigQuery(settings, service="tests") as bq:
        greedy = [asyncio.create_task(change(bq, "greedy")) for _ in range(60)]
        async with asyncio.timeout(30):
            while sum(task.done() for task in greedy) < 15 + 25:
                await asyncio.sleep(0.01)
        waiting = [task for task in greedy if not task.done()]
        errors = [error for task in greedy if task.done() and (error := task.exception()) is not None]
        assert [type(error) for error in errors] == [ResourceExhausted] * 25
        async with asyncio.timeout(5):
            for tenant_id in ["good"] * 5 + [ALL] * 5:
                await asyncio.create_task(change(bq, tenant_id))
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
    assert sent == {"greedy": 15, "good": 5, ALL: 5}
