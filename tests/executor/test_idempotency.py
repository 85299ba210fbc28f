"""Idempotency-Key: one run a key and day, whoever sends it and how often."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.executor.runs.active import LiveRuns
from services.executor.runs.idempotency import KEPT, KeyedStarts, key_of, run_ids
from services.executor.runs.start import Starter, Wanted
from services.executor.store import Store
from services.executor.templates.name import PipelineName
from services.platform.clock import SystemClock
from services.platform.errors import InvalidArgument, ResourceExhausted
from tests.auth.conftest import SetClock
from tests.executor.conftest import RecordingLedger, Tenant, Work


@pytest.fixture
async def other(
    make_starter: Callable[[LiveRuns], Starter], work: Work, store: Store, ledger: RecordingLedger
) -> AsyncIterator[KeyedStarts]:
    """A second executor process: it shares the ledger and the store with the first, and nothing else."""
    async with LiveRuns(execute=work, store=store, ledger=ledger, clock=SystemClock(), max_concurrent=2, grace_seconds=5.0) as live:  # type: ignore[arg-type]
        yield KeyedStarts(make_starter(live), store, SystemClock())
        work.end.set()


def wanted(tenant: Tenant, **given: object) -> Wanted:
    name = PipelineName.of("gcp", "cost", "billing")
    return Wanted(pipeline_logging_id="", tenant_id=tenant.tenant_id, name=name, given=given or {"date": "2025-11-17"}, user_id="alice")


async def test_twenty_at_once_over_two_executors_are_one_run(
    tenant: Tenant, starter: Starter, store: Store, other: KeyedStarts, work: Work, ledger: RecordingLedger
) -> None:
    """All hear the same id, also after the run has ended; another key, and another tenant's same key, is another run."""
    one = KeyedStarts(starter, store, SystemClock())
    ids = await asyncio.gather(*(side.start(wanted(tenant), "order-1") for side in (one, other) * 10))
    assert (len(set(ids)), len(await tenant.rows("SELECT 1 FROM x_meta_pipeline_runs")), set(ledger.reserved)) == (1, 1, set(ids))
    async with asyncio.timeout(20):
        work.end.set()
        while (await store.run_states(tenant.tenant_id, ids))[ids[0]].status == "RUNNING":
            await asyncio.sleep(0.02)
    assert await other.start(wanted(tenant), "order-1") == ids[0]
    assert await other.start(wanted(tenant), "order-2") != ids[0]
    assert run_ids("other", "order-1")[0] != run_ids(tenant.tenant_id, "order-1")[0]


async def test_a_key_is_for_one_wish_and_a_refusal_does_not_use_it_up(
    tenant: Tenant, starter: Starter, store: Store, ledger: RecordingLedger
) -> None:
    keyed = KeyedStarts(starter, store, SystemClock())
    ledger.refusal = ResourceExhausted("DAILY_LIMIT_REACHED", "No more today.", retry_after=timedelta(hours=1))
    with pytest.raises(ResourceExhausted):
        await keyed.start(wanted(tenant), "k")
    with pytest.raises(InvalidArgument, match=r"parameters\.date"):
        await keyed.start(wanted(tenant, date="soon"), "k")
    assert await tenant.rows("SELECT 1 FROM x_meta_pipeline_runs") == []
    ledger.refusal = None
    identity = await keyed.start(wanted(tenant), "k")
    with pytest.raises(InvalidArgument, match="other parameters"):
        await keyed.start(wanted(tenant, date="2025-11-16"), "k")
    assert [row["pipeline_logging_id"] for row in await tenant.rows("SELECT pipeline_logging_id FROM x_meta_pipeline_runs")] == [identity]


async def test_after_24_hours_a_key_means_a_new_run(tenant: Tenant, starter: Starter, store: Store) -> None:
    """`yesterday` sent again in time is the same wish, though the day has changed meanwhile."""
    clock = SetClock()
    clock.time = datetime.now(UTC)
    keyed = KeyedStarts(starter, store, clock)
    first = await keyed.start(wanted(tenant, date="yesterday"), "daily")
    clock.time += KEPT - timedelta(minutes=1)
    assert await keyed.start(wanted(tenant, date="yesterday"), "daily") == first
    clock.time += timedelta(minutes=2)
    second = await keyed.start(wanted(tenant, date="yesterday"), "daily")
    assert [first, second] == list(run_ids(tenant.tenant_id, "daily")[:2])


async def test_a_key_that_was_used_on_many_days_still_means_one_run(
    tenant: Tenant, starter: Starter, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.executor.runs.idempotency.PAGE", 2)
    clock = SetClock()
    clock.time = datetime.now(UTC)
    keyed, seen = KeyedStarts(starter, store, clock), list[str]()
    for _ in range(3):
        seen.append(await keyed.start(wanted(tenant), "daily"))
        clock.time += KEPT + timedelta(minutes=1)
    assert seen == [*run_ids(tenant.tenant_id, "daily", 0), run_ids(tenant.tenant_id, "daily", 2)[0]]


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb"])
def test_a_key_that_cannot_be_one_is_refused(key: str) -> None:
    class Call:
        def invocation_metadata(self) -> Any:
            return (("x-user-id", "alice"), ("idempotency-key", key))

    call: Any = Call()
    with pytest.raises(InvalidArgument, match="Idempotency-Key"):
        key_of(call)
