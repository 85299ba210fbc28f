"""The chart of states in the package's docstring matches the code, transition by transition."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import services.executor
from services.executor.records import Run, RunOutcome, RunStatus
from services.executor.runs.cancel import Canceller
from services.executor.runs.prepared import PreparedRun
from services.executor.runs.reconcile import Reconciler
from services.executor.store import Store
from services.executor.templates.catalog import Catalog
from services.platform.errors import FailedPrecondition, NotFound
from tests.integration.executor.runs.test_life import DATE, slot
from tests.support.executor.fakes import RecordingLedger
from tests.support.executor.tenant import Tenant

NO_ROW = "-"
_EDGE = re.compile(r"^ {4}(\S+)\s+──([a-z]+)─+>\s+(\S+)", re.MULTILINE)


def chart() -> dict[tuple[str, str], str]:
    """State and event to the next state."""
    found = {(state, event): to for state, event, to in _EDGE.findall(services.executor.__doc__ or "")}
    assert len(found) == 8, "the chart cannot be read"
    return found


def each(event: Callable[[Run], Awaitable[object]]) -> Callable[[list[Run]], Awaitable[object]]:
    """The event, happening to all of them at once."""

    async def happens(runs: list[Run]) -> None:
        await asyncio.gather(*map(event, runs))

    return happens


async def test_the_code_does_what_the_chart_says(
    tenant: Tenant, catalog: Catalog, store: Store, quota: RecordingLedger, canceller: Canceller, reconciler: Reconciler
) -> None:
    """Every event happens to runs in every state at once, and to one without a row; where the chart has no edge, nothing moves."""
    now, expected = datetime.now(UTC), chart()

    async def finish(run: Run, status: RunStatus) -> None:
        await store.finish_run(run.tenant_id, run.pipeline_logging_id, RunOutcome(status=status), at=now)

    async def cancel(run: Run) -> None:
        try:
            await canceller.cancel(run.tenant_id, run.pipeline_logging_id)
        except (FailedPrecondition, NotFound):
            return

    async def reconcile(runs: list[Run]) -> None:
        quota.orphans = [slot(run) for run in runs]
        await reconciler.reconcile_expired()

    async def outlive(runs: list[Run]) -> None:
        for run in runs:
            reconciler.note_unconfirmed_insert(replace(run, deadline_at=now - timedelta(hours=1)))
        await reconciler.reconcile_expired()

    events: dict[str, Callable[[list[Run]], Awaitable[object]]] = {
        "start": each(lambda run: store.insert_run(run, seconds=20)),
        "claim": each(lambda run: store.claim_run(run, seconds=20)),
        "refuse": each(lambda run: store.insert_refused_run(run, seconds=20)),
        "complete": each(lambda run: finish(run, RunStatus.COMPLETED)),
        "fail": each(lambda run: finish(run, RunStatus.FAILED)),
        "cancel": each(cancel),
        "reconcile": reconcile,
        "outlive": outlive,
    }
    assert {event for _, event in expected} == set(events)
    for event, happens in events.items():
        runs = {state: job.run for state, job in (await put(tenant, catalog)).items()}
        await happens(list(runs.values()))
        there = {
            row["id"]: row["status"] for row in await tenant.rows("SELECT pipeline_logging_id AS id, status FROM x_meta_pipeline_runs")
        }
        for state, run in runs.items():
            assert there.pop(run.pipeline_logging_id, NO_ROW) == expected.get((state, event), state), f"{event} from {state}"
        assert there == {}


async def put(tenant: Tenant, catalog: Catalog) -> dict[str, PreparedRun]:
    """One run in each state, past its deadline, one without a row, and no other row."""
    jobs = {state: tenant.job(catalog, **DATE) for state in (NO_ROW, *RunStatus)}
    began = "TIMESTAMP '2025-11-18 01:00:00'"
    rows = ", ".join(
        f"('{job.run.pipeline_logging_id}', '{tenant.tenant_id}', '{state}', 1, {began}, TIMESTAMP_ADD({began}, INTERVAL 1 HOUR))"
        for state, job in jobs.items()
        if state != NO_ROW
    )
    await tenant.rows(
        "DELETE FROM x_meta_pipeline_runs WHERE TRUE;"
        "INSERT INTO x_meta_pipeline_runs (pipeline_logging_id, tenant_id, status, attempt, started_at, deadline_at) VALUES " + rows
    )
    return jobs
