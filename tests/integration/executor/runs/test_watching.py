"""Watching an active run: which events are sent when, from the tenant's own tables."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from services.executor.records import Run, RunOutcome, RunStatus, StepLog
from services.executor.runs.watch import Event, Heartbeat, Watch
from services.executor.store import Store
from services.platform.errors import NotFound
from tests.integration.executor.runs.test_life import Begin
from tests.support.executor.tenant import Tenant


def line(run: Run, action: str) -> StepLog:
    return StepLog(
        log_id=str(uuid.uuid4()),
        tenant_id=run.tenant_id,
        user_id=None,
        pipeline_logging_id=run.pipeline_logging_id,
        step_id="extract",
        step_type="gcp.bigquery_extract",
        step_index=0,
        attempt=1,
        action=action,
        provider="GCP",
        status="RUNNING",
        timestamp=datetime.now(UTC),
    )


async def next_event(events: AsyncIterator[Event]) -> Event:
    """The next event that is more than a sign of life."""
    async with asyncio.timeout(20):
        while isinstance(event := await anext(events), Heartbeat):
            pass
    return event


async def test_each_line_is_told_once_and_while_the_run_lives(tenant: Tenant, begin: Begin, store: Store) -> None:
    job = await begin(date="2025-11-17")
    events = Watch(
        store=store, tenant_id=tenant.tenant_id, pipeline_logging_id=job.run.pipeline_logging_id, poll_seconds=0.02, heartbeat_seconds=60
    ).events()
    first = await next_event(events)
    assert isinstance(first, Run)
    assert first.status is RunStatus.RUNNING
    for action in ("STEP_STARTED", "STEP_COMPLETED"):
        await store.log_steps(tenant.tenant_id, [line(job.run, action)])
        step = await next_event(events)
        assert isinstance(step, StepLog)
        assert step.action == action
    await store.finish_run(tenant.tenant_id, job.run.pipeline_logging_id, RunOutcome(status=RunStatus.COMPLETED), at=datetime.now(UTC))
    last = await next_event(events)
    assert isinstance(last, Run)
    assert last.status is RunStatus.COMPLETED
    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_silence_is_filled_and_what_is_not_there_is_refused(tenant: Tenant, begin: Begin, store: Store) -> None:
    job = await begin(date="2025-11-17")
    quiet = Watch(
        store=store, tenant_id=tenant.tenant_id, pipeline_logging_id=job.run.pipeline_logging_id, poll_seconds=0.01, heartbeat_seconds=0.0
    ).events()
    assert [type(await anext(quiet)) for _ in range(3)] == [Run, Heartbeat, Heartbeat]
    unknown = Watch(store=store, tenant_id=tenant.tenant_id, pipeline_logging_id="nothing", poll_seconds=0.01, heartbeat_seconds=60)
    with pytest.raises(NotFound):
        await anext(unknown.events())
