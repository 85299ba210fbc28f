"""`overlap: refuse`: one active run for each pipeline and day, across processes and however close together."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.executor.records import Period, Run
from services.executor.runs.active import ActiveRuns
from services.executor.runs.prepared import PreparedRun, RunPreparer, RunRequest
from services.executor.runs.start import RunStarter
from services.executor.store import Store
from services.executor.templates.catalog import Catalog
from services.executor.templates.period import period_of
from services.executor.templates.template import Overlap
from services.platform.clock import SystemClock
from services.platform.errors import AlreadyExists, ResourceExhausted
from tests.integration.executor.runs.test_life import Begin
from tests.support.executor.fakes import RecordingLedger, Work
from tests.support.executor.tenant import BILLING, Tenant

DAY = "2025-11-17"


@pytest.fixture
def catalog(catalog: Catalog) -> Catalog:
    """As ours, but the pipeline refuses a second run."""
    return replace(catalog, templates={name: replace(one, overlap=Overlap.REFUSE) for name, one in catalog.templates.items()})


@pytest.fixture
async def other(
    make_starter: Callable[[ActiveRuns], RunStarter], work: Work, store: Store, quota: RecordingLedger
) -> AsyncIterator[RunStarter]:
    """A second executor process: it shares the ledger and the store with the first, and nothing else."""
    async with ActiveRuns(execute=work, store=store, quota=quota, clock=SystemClock(), max_concurrent=9, grace_seconds=5.0) as active:  # type: ignore[arg-type]
        yield make_starter(active)
        work.end.set()


@pytest.fixture
def wanted(tenant: Tenant, preparer: RunPreparer) -> Callable[..., PreparedRun]:
    def prepare(**given: object) -> PreparedRun:
        identity, given = str(uuid.uuid4()), given or {"date": DAY}
        return preparer.prepare(RunRequest(pipeline_logging_id=identity, tenant_id=tenant.tenant_id, name=BILLING, given=given))

    return prepare


async def test_a_second_one_hears_the_firsts_id_and_leaves_nothing_behind(
    tenant: Tenant, wanted: Callable[..., PreparedRun], starter: RunStarter, quota: RecordingLedger
) -> None:
    first = wanted()
    await starter.start(first)
    with pytest.raises(AlreadyExists, match="cancel it") as refused:
        await starter.start(wanted())
    assert refused.value.metadata == {"pipeline_logging_id": first.run.pipeline_logging_id}
    await starter.start(wanted(date="2025-11-18"))
    assert len(await tenant.rows("SELECT 1 FROM x_meta_pipeline_runs")) == 2
    assert first.run.pipeline_logging_id in quota.reserved
    assert len(quota.reserved) == 2


async def test_the_overlap_is_what_a_caller_hears_also_at_a_limit(
    tenant: Tenant, wanted: Callable[..., PreparedRun], starter: RunStarter, quota: RecordingLedger
) -> None:
    await starter.start(wanted())
    quota.refusal = ResourceExhausted("CONCURRENT_LIMIT_REACHED", "Too many.")
    with pytest.raises(AlreadyExists):
        await starter.start(wanted())
    with pytest.raises(ResourceExhausted):
        await starter.start(wanted(date="2025-11-18"))


async def test_a_run_that_has_ended_is_in_nobodys_way(
    tenant: Tenant, wanted: Callable[..., PreparedRun], starter: RunStarter, quota: RecordingLedger, work: Work
) -> None:
    await starter.start(wanted())
    work.end.set()
    async with asyncio.timeout(10):
        while not quota.settled:
            await asyncio.sleep(0.02)
    await starter.start(wanted())


async def test_many_at_once_over_two_processes_are_one(
    tenant: Tenant, wanted: Callable[..., PreparedRun], starter: RunStarter, other: RunStarter, quota: RecordingLedger
) -> None:
    """All of them may pass the first look; the row decides."""
    answers = await asyncio.gather(*(one.start(wanted()) for one in [starter, other] * 4), return_exceptions=True)
    assert sorted(str(answer) for answer in answers if not isinstance(answer, AlreadyExists)) == ["RUNNING"], answers
    [row] = await tenant.rows("SELECT pipeline_logging_id, deadline_at FROM x_meta_pipeline_runs")
    assert row["deadline_at"] is not None
    assert {answer.metadata["pipeline_logging_id"] for answer in answers if isinstance(answer, AlreadyExists)} == {
        row["pipeline_logging_id"]
    }
    assert sorted(outcome for _, outcome in quota.settled) == ["NOT_STARTED"] * (len(quota.reserved) - 1)


OVERLAPS = [
    ({"date": "2025-11-17"}, {"start_date": "2025-11-01", "end_date": "2025-11-30"}, True),
    ({"start_date": "2025-11-01", "end_date": "2025-11-30"}, {"date": "2025-11-30"}, True),
    ({"start_date": "2025-11-01", "end_date": "2025-11-30"}, {"date": "2025-12-01"}, False),
    ({"start_date": "2025-11-10", "end_date": "2025-11-20"}, {"start_date": "2025-11-20", "end_date": "2025-11-21"}, True),
    ({"start_date": "2025-11-10", "end_date": "2025-11-20"}, {"start_date": "2025-11-01", "end_date": "2025-11-09"}, False),
]
"""What the live run works on, what the next one asks for, and whether they overlap."""


def asking(run: Run, asked: dict[str, str]) -> tuple[Run, Period]:
    days = {name: datetime.fromisoformat(value).date() for name, value in asked.items()}
    period = period_of({"date": None, "start_date": None, "end_date": None, **days})
    assert isinstance(period, Period)
    return replace(run, pipeline_logging_id=str(uuid.uuid4()), parameters=asked, started_at=datetime.now(UTC)), period


async def test_ranges_overlap_where_they_share_a_day(tenant: Tenant, catalog: Catalog, store: Store) -> None:
    """Each pair on a pipeline of its own."""
    active, asked, overlaps = zip(*OVERLAPS, strict=True)
    run = tenant.job(catalog, date=DAY).run
    runs = [
        replace(run, pipeline_logging_id=str(uuid.uuid4()), pipeline_id=f"{tenant.tenant_id}-gcp-cost-{number}", parameters=parameters)
        for number, parameters in enumerate(active)
    ]
    await asyncio.gather(*(store.insert_run(ahead, seconds=20) for ahead in runs))

    found = await asyncio.gather(*(store.overlapping_run(*asking(one, days)) for one, days in zip(runs, asked, strict=True)))

    assert found == [ahead.pipeline_logging_id if overlap else None for ahead, overlap in zip(runs, overlaps, strict=True)]


@pytest.mark.parametrize("overlap", [True, False])
async def test_who_works_where_ranges_overlap(begin: Begin, store: Store, *, overlap: bool) -> None:
    """Asked twice, it is the same answer; and a run that is past its deadline works no more."""
    ahead = (await begin(start_date="2025-11-10", end_date="2025-11-20")).run
    follower, period = asking(ahead, {"date": "2025-11-20" if overlap else "2025-11-21"})

    claim = await store.claim_run(follower, period, seconds=20)
    again = await store.claim_run(follower, period, seconds=20)

    assert (claim.is_ours, claim.status, claim.other) == ((False, None, ahead.pipeline_logging_id) if overlap else (True, "RUNNING", None))
    assert again == claim
    if overlap:
        late = replace(follower, started_at=ahead.deadline_at + timedelta(seconds=1))
        assert await store.overlapping_run(late, period) is None
