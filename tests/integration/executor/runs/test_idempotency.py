"""Idempotency-Key: one run for each key and day, however often and from wherever it is sent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.executor.runs.active import ActiveRuns
from services.executor.runs.idempotency import RUNS, IdempotentStarts
from services.executor.runs.prepared import PreparedRun, RunPreparer, RunRequest
from services.executor.runs.start import RunStarter
from services.executor.store import Store
from services.platform.clock import SystemClock
from services.platform.errors import FailedPrecondition, InvalidArgument, ResourceExhausted
from services.platform.rpc.idempotency import WINDOW, key_ids, key_of
from tests.support.executor.fakes import RecordingLedger, Work
from tests.support.executor.tenant import BILLING, Tenant
from tests.support.set_clock import SetClock


@pytest.fixture
async def other(
    make_starter: Callable[[ActiveRuns], RunStarter], work: Work, store: Store, quota: RecordingLedger
) -> AsyncIterator[IdempotentStarts]:
    """A second executor process: it shares the ledger and the store with the first, and nothing else."""
    async with ActiveRuns(execute=work, store=store, quota=quota, clock=SystemClock(), max_concurrent=2, grace_seconds=5.0) as active:  # type: ignore[arg-type]
        yield IdempotentStarts(make_starter(active), store, SystemClock())
        work.end.set()


@pytest.fixture
def wanted(tenant: Tenant, preparer: RunPreparer) -> Callable[..., PreparedRun]:
    def prepare(**given: object) -> PreparedRun:
        given = given or {"date": "2025-11-17"}
        request = RunRequest(pipeline_logging_id="", tenant_id=tenant.tenant_id, name=BILLING, given=given, user_id="alice")
        return preparer.prepare(request)

    return prepare


async def test_twenty_at_once_over_two_executors_are_one_run(
    tenant: Tenant,
    wanted: Callable[..., PreparedRun],
    starter: RunStarter,
    store: Store,
    other: IdempotentStarts,
    work: Work,
    quota: RecordingLedger,
) -> None:
    """All hear the same id, also after the run has ended; another key, and another tenant's same key, is another run."""
    one = IdempotentStarts(starter, store, SystemClock())
    ids = await asyncio.gather(*(side.start(wanted(), "order-1") for side in (one, other) * 10))
    assert (len(set(ids)), len(await tenant.rows("SELECT 1 FROM x_meta_pipeline_runs")), set(quota.reserved)) == (1, 1, set(ids))
    async with asyncio.timeout(20):
        work.end.set()
        while (await store.run_states(tenant.tenant_id, ids))[ids[0]].status == "RUNNING":
            await asyncio.sleep(0.02)
    assert await other.start(wanted(), "order-1") == ids[0]
    assert await other.start(wanted(), "order-2") != ids[0]
    assert key_ids(RUNS, "other", "order-1")[0] != key_ids(RUNS, tenant.tenant_id, "order-1")[0]


async def test_a_key_is_for_one_request_and_a_refusal_does_not_use_it_up(
    tenant: Tenant, wanted: Callable[..., PreparedRun], starter: RunStarter, store: Store, quota: RecordingLedger
) -> None:
    idempotent_starts = IdempotentStarts(starter, store, SystemClock())
    quota.refusal = ResourceExhausted("DAILY_LIMIT_REACHED", "No more today.", retry_after=timedelta(hours=1))
    with pytest.raises(ResourceExhausted):
        await idempotent_starts.start(wanted(), "k")
    with pytest.raises(InvalidArgument, match=r"parameters\.date"):
        await idempotent_starts.start(wanted(date="soon"), "k")
    assert await tenant.rows("SELECT 1 FROM x_meta_pipeline_runs") == []
    quota.refusal = None
    identity = await idempotent_starts.start(wanted(), "k")
    with pytest.raises(FailedPrecondition, match="other parameters"):
        await idempotent_starts.start(wanted(date="2025-11-16"), "k")
    assert [row["pipeline_logging_id"] for row in await tenant.rows("SELECT pipeline_logging_id FROM x_meta_pipeline_runs")] == [identity]


async def test_after_24_hours_a_key_means_a_new_run(
    tenant: Tenant, wanted: Callable[..., PreparedRun], starter: RunStarter, store: Store
) -> None:
    """`yesterday` sent again in time is the same request, though the day has changed meanwhile."""
    clock = SetClock()
    clock.time = datetime.now(UTC)
    idempotent_starts = IdempotentStarts(starter, store, clock)
    first = await idempotent_starts.start(wanted(date="yesterday"), "daily")
    clock.time += WINDOW - timedelta(minutes=1)
    assert await idempotent_starts.start(wanted(date="yesterday"), "daily") == first
    clock.time += timedelta(minutes=2)
    second = await idempotent_starts.start(wanted(date="yesterday"), "daily")
    assert [first, second] == list(key_ids(RUNS, tenant.tenant_id, "daily")[:2])


async def test_a_key_that_was_used_on_many_days_still_means_one_run(
    tenant: Tenant, wanted: Callable[..., PreparedRun], starter: RunStarter, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.platform.rpc.idempotency.LOOKUP_PAGE", 2)
    clock = SetClock()
    clock.time = datetime.now(UTC)
    idempotent_starts, seen = IdempotentStarts(starter, store, clock), list[str]()
    for _ in range(3):
        seen.append(await idempotent_starts.start(wanted(), "daily"))
        clock.time += WINDOW + timedelta(minutes=1)
    assert seen == [*key_ids(RUNS, tenant.tenant_id, "daily", 0), key_ids(RUNS, tenant.tenant_id, "daily", 2)[0]]


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb"])
def test_a_key_that_cannot_be_one_is_refused(key: str) -> None:
    class Call:
        def invocation_metadata(self) -> Any:
            return (("x-user-id", "alice"), ("idempotency-key", key))

    call: Any = Call()
    with pytest.raises(InvalidArgument, match="Idempotency-Key"):
        key_of(call)
