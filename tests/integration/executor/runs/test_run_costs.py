"""What a run costs, from BigQuery's jobs and sessions to the run's row, the step logs and the ledger; and the caps that refuse or stop it.

The emulator bills nothing, so the strict proxy says what BigQuery would bill.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from google.cloud import bigquery

from services.executor.metering.cap import RunCap
from services.executor.metering.run import Metering
from services.executor.records import RunCost, RunFilter, RunOutcome, RunStatus, StepLog
from services.executor.runs.active import ActiveRuns
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.servicers.to_proto import to_run
from services.executor.sources.gcp import bigquery as reading
from services.executor.staging.tables import StagingTables
from services.executor.store import Store
from services.executor.templates.step import Toolbox
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.prices import MIN_BYTES, TIB
from services.platform.clock import SystemClock
from services.platform.settings import REPOSITORY, ServiceSettings
from tests.support.executor.billing_export import MODERN, full, load
from tests.support.executor.fakes import OwnSource, RecordingLedger
from tests.support.executor.tenant import Tenant
from tests.support.strict_bigquery import Billing, StrictBigQuery, strict_bigquery

type Begin = Callable[..., Awaitable[PreparedRun]]
DAY = date(2025, 11, 17)
PRICE, READ_PRICE = 6.25, 1.1
EXPORT = "b.gcp_billing_export_resource_v1_X"
COST_NAMES = ("bytes_billed", "slot_ms", "bytes_read", "cost_usd")


@pytest.fixture
def rules(tenant: Tenant) -> Iterator[StrictBigQuery]:
    with strict_bigquery(
        StrictBigQuery(upstream=tenant.host.removeprefix("http://"), rate=10_000, billing=Billing(bytes_per_statement=MIN_BYTES))
    ) as rules:
        yield rules


@pytest.fixture
async def billed(tools: Toolbox, tenant: Tenant, rules: StrictBigQuery, service_settings: ServiceSettings) -> AsyncIterator[Toolbox]:
    """What an executor works with whose jobs, and those in the tenant's project, are billed."""
    settings = service_settings.model_copy(update={"bigquery_emulator_host": rules.url})
    async with BigQuery(settings, service="executor") as bq:
        staging = StagingTables(bq, SystemClock())
        yield replace(
            tools,
            bq=bq,
            store=Store(bq, ddl=REPOSITORY / "configs" / "bigquery" / "tenant"),
            staging=staging,
            sources=OwnSource(tenant, settings),
            metering=Metering(query_usd_per_tib=PRICE),
        )
        await staging.dropped()


@pytest.fixture
def exported(tenant: Tenant) -> int:
    """An export with two rows of the day; the bytes that the emulator says a session on it would scan."""
    load(tenant.host, f"{tenant.project}.{EXPORT}", [full(DAY), full(DAY, cost=0.5)], MODERN)
    return 2 * len(MODERN) * 8


async def led(job: PreparedRun, tools: Toolbox, store: Store, quota: RecordingLedger) -> None:
    """The run, from its beginning until it is settled."""
    slot = await quota.reserve(job.run)
    runs = ActiveRuns(
        execute=lambda prepared, progress: execute(prepared, tools, progress),
        store=store,
        quota=quota,  # type: ignore[arg-type]
        clock=SystemClock(),
        max_concurrent=2,
        grace_seconds=60.0,
    )
    async with runs:
        runs.start(job.admitted(slot.allowance), slot)


async def ends(store: Store, job: PreparedRun) -> dict[str, StepLog]:
    """The last line of each step."""
    lines = await store.list_step_logs(job.run.tenant_id, job.run.pipeline_logging_id)
    return {line.step_id: line for line in lines if line.status != "RUNNING"}


def with_cap(job: PreparedRun, **cap: Any) -> PreparedRun:
    return replace(job, template=replace(job.template, cap=RunCap(**cap)))


async def test_a_run_s_cost_is_on_its_steps_its_row_and_the_ledger(
    tenant: Tenant, begin: Begin, billed: Toolbox, store: Store, quota: RecordingLedger, rules: StrictBigQuery, exported: int
) -> None:
    """Each job has the run's labels and a limit; each step's line says what the step used; the run's row, its sum."""
    job = with_cap(await begin(date="2025-11-17"), cost_usd=2.0)
    await led(job, billed, store, quota)

    run = await store.require_run(tenant.tenant_id, job.run.pipeline_logging_id)
    assert (run.status, run.error_message) == (RunStatus.COMPLETED, None)
    mine = {name: one for name, one in rules.billing.jobs.items() if one.labels.get("run") == run.pipeline_logging_id}
    ours = {"tenant": tenant.tenant_id, "pipeline": "gcp-cost-billing", "attempt": "1", "service": "executor"}
    assert all(one.labels.items() >= ours.items() for one in mine.values())
    by_step = {one.labels["step"]: one for one in mine.values()}
    assert by_step.keys() >= {"extract", "checks", "publish"}
    assert len(mine) == len(by_step), "a load, a query, a script, and so on"

    costs = {step: line.metadata["cost"] for step, line in (await ends(store, job)).items()}
    for step in by_step.keys() - {"extract"}:
        billed_bytes = by_step[step].bytes_billed
        assert billed_bytes > 0
        assert costs[step] == {
            "bytes_billed": billed_bytes,
            "slot_ms": by_step[step].slot_ms,
            "bytes_read": 0,
            "cost_usd": pytest.approx(billed_bytes / TIB * PRICE),
        }
    assert (costs["extract"]["bytes_billed"], costs["extract"]["slot_ms"]) == (0, by_step["extract"].slot_ms)
    assert costs["extract"]["bytes_read"] >= exported
    assert costs["extract"]["cost_usd"] == pytest.approx(costs["extract"]["bytes_read"] / TIB * READ_PRICE)

    spent = costs["extract"]["cost_usd"]
    assert by_step["checks"].most == pytest.approx((2.0 - spent) / PRICE * TIB, abs=2)
    assert by_step["publish"].most == by_step["publish"].statement_most
    assert by_step["publish"].most == pytest.approx((2.0 - spent) / PRICE * TIB - by_step["checks"].bytes_billed, abs=2)

    total = {name: sum(one[name] for one in costs.values()) for name in COST_NAMES}
    assert {name: getattr(run, name) for name in COST_NAMES} == pytest.approx(total)
    shown = to_run(run)
    assert {name: getattr(shown, name) for name in COST_NAMES} == pytest.approx(total)
    assert quota.costs == [(run.pipeline_logging_id, RunCost(**{name: getattr(run, name) for name in COST_NAMES}))]


async def test_a_run_that_would_read_over_its_cap_is_refused_before_it_reads(
    monkeypatch: pytest.MonkeyPatch,
    tenant: Tenant,
    begin: Begin,
    billed: Toolbox,
    store: Store,
    quota: RecordingLedger,
    rules: StrictBigQuery,
    exported: int,
) -> None:
    """By the session's own estimate: no statement and no listing more, no byte read, and nothing else of the run is done."""

    def never(*_: object) -> None:
        raise AssertionError("it has begun to read")

    monkeypatch.setattr(reading, "read_session", never)
    job = with_cap(await begin(date="2025-11-17", export_table=EXPORT), bytes_read=100)
    await led(job, billed, store, quota)

    run = await store.require_run(tenant.tenant_id, job.run.pipeline_logging_id)
    assert run.status is RunStatus.FAILED
    assert f"The run would come to {exported:,} bytes: {exported - 100} bytes more than the cap of a run, 100 bytes read." in (
        run.error_message or ""
    )
    assert (run.bytes_read, run.bytes_billed, run.cost_usd) == (0, 0, 0.0)
    line = (await ends(store, job))["extract"]
    assert line.metadata["cap"] == {"name": "bytes_read", "most": 100, "needed": exported, "over_by": exported - 100}
    assert line.metadata["can_heal"] is False, "another attempt would be refused, too"
    assert [one for one in rules.billing.jobs.values() if one.labels.get("run") == run.pipeline_logging_id] == []


async def test_the_plan_bounds_what_a_run_reads_of_an_export(
    tenant: Tenant, begin: Begin, billed: Toolbox, store: Store, quota: RecordingLedger, exported: int
) -> None:
    """The executor learns the limit with the reservation, so it holds for scheduled runs as well. The slot comes back."""
    quota.max_export_bytes = exported - 1
    job = await begin(date="2025-11-17", export_table=EXPORT)
    await led(job, billed, store, quota)

    run = await store.require_run(tenant.tenant_id, job.run.pipeline_logging_id)
    assert (run.status, run.bytes_read) == (RunStatus.FAILED, 0)
    assert "1 bytes more than one run may read of an export by the tenant's plan" in (run.error_message or "")
    assert "`max_export_bytes`" in (run.error_message or "")
    assert quota.settled == [(run.pipeline_logging_id, "FAILED")]


class Stale(OwnSource):
    """A tenant's export to which rows are streamed: the table's metadata, and so the sessions' estimates, are behind."""

    async def open(self, *args: Any, **kwargs: Any) -> Any:
        source = await super().open(*args, **kwargs)
        cloud: Any = source._cloud  # type: ignore[attr-defined]
        opened = cloud._open

        def stale(*asked: Any) -> Any:
            session = opened(*asked)
            session.estimated_total_bytes_scanned = 10
            return session

        cloud._open = stale
        return source


async def test_a_run_that_grows_past_its_cap_is_stopped(
    tenant: Tenant,
    begin: Begin,
    billed: Toolbox,
    store: Store,
    quota: RecordingLedger,
    service_settings: ServiceSettings,
    exported: int,
) -> None:
    job = with_cap(await begin(date="2025-11-17", export_table=EXPORT), bytes_read=100)
    await led(job, replace(billed, sources=Stale(tenant, service_settings)), store, quota)

    run = await store.require_run(tenant.tenant_id, job.run.pipeline_logging_id)
    cap = (await ends(store, job))["extract"].metadata["cap"]
    assert run.status is RunStatus.FAILED
    assert "has come to" in (run.error_message or "")
    assert "It was stopped." in (run.error_message or "")
    assert run.bytes_read == cap["needed"] == 100 + cap["over_by"] > 100
    assert quota.costs == [(run.pipeline_logging_id, RunCost(bytes_read=run.bytes_read or 0, cost_usd=run.cost_usd or 0.0))]
    await billed.staging.dropped()
    tables = {row["table_name"] for row in await tenant.rows("SELECT table_name FROM INFORMATION_SCHEMA.TABLES")}
    assert not {name for name in tables if name.startswith("x_staging")}


async def test_a_query_over_the_cap_is_refused_by_bigquery_free_of_charge(
    tenant: Tenant, begin: Begin, billed: Toolbox, store: Store, quota: RecordingLedger, rules: StrictBigQuery, exported: int
) -> None:
    """The checks may run and the publish, a script of more statements, may not: nothing is published, and the error says by how much."""
    job = with_cap(await begin(date="2025-11-17"), cost_usd=3.5 * MIN_BYTES / TIB * PRICE)
    await led(job, billed, store, quota)

    run = await store.require_run(tenant.tenant_id, job.run.pipeline_logging_id)
    lines = await ends(store, job)
    statuses = {step: line.status for step, line in lines.items()}
    assert statuses.items() >= {"extract": "COMPLETED", "checks": "COMPLETED", "publish": "FAILED"}.items()
    cap = lines["publish"].metadata["cap"]
    assert (cap["name"], cap["over_by"]) == ("cost_usd", pytest.approx(cap["needed"] - cap["most"]))
    assert cap["needed"] > cap["most"]
    assert "cap.cost_usd" in (run.error_message or "")
    assert rules.refused["bytesBilledLimitExceeded"] == 1
    assert lines["publish"].metadata["cost"]["bytes_billed"] == 0
    assert await tenant.rows("SELECT 1 FROM billing_cost_daily") == []


async def test_a_run_may_cost_what_the_month_has_left(
    tenant: Tenant, begin: Begin, billed: Toolbox, store: Store, quota: RecordingLedger, exported: int
) -> None:
    quota.month_left_usd = 0.5 * MIN_BYTES / TIB * PRICE
    job = with_cap(await begin(date="2025-11-17"), cost_usd=10.0)
    await led(job, billed, store, quota)
    lines = await ends(store, job)
    assert lines["extract"].status == "COMPLETED"
    assert lines["checks"].metadata["cap"]["name"] == "monthly_cost_limit_usd"
    assert "what was left of this month's limit" in (lines["checks"].error_message or "")


async def test_a_view_is_read_by_a_query_that_is_labelled_limited_and_counted(
    tenant: Tenant, begin: Begin, billed: Toolbox, store: Store, quota: RecordingLedger, rules: StrictBigQuery, exported: int
) -> None:
    """In the tenant's project and at its expense, so it counts as read; the result of the query is read for nothing."""
    view = bigquery.Table(f"{tenant.project}.b.costs")
    view.view_query = f"SELECT * FROM `{tenant.project}.{EXPORT}`"
    await tenant.bq.call("make_view", lambda timeout: tenant.bq.client.create_table(view, timeout=timeout))
    job = with_cap(await begin(date="2025-11-17", export_table="b.costs"), bytes_read=50 * MIN_BYTES)
    await led(job, billed, store, quota)

    lines = await ends(store, job)
    [query] = [one for one in rules.billing.jobs.values() if one.labels.get("statement") == "read_view"]
    assert lines["extract"].metadata["cost"]["bytes_read"] == query.bytes_billed == MIN_BYTES
    assert lines["extract"].metadata["cost"]["cost_usd"] == pytest.approx(MIN_BYTES / TIB * PRICE)
    assert query.most == 50 * MIN_BYTES
    assert (query.labels["run"], query.labels["step"], query.labels["attempt"]) == (job.run.pipeline_logging_id, "extract", "1")

    rules.billing.bytes_per_statement = 60 * MIN_BYTES
    job = with_cap(await begin(date="2025-11-17", export_table="b.costs"), bytes_read=50 * MIN_BYTES)
    await led(job, billed, store, quota)
    cap = (await ends(store, job))["extract"].metadata["cap"]
    assert cap == {"name": "bytes_read", "most": 50 * MIN_BYTES, "needed": 60 * MIN_BYTES, "over_by": 10 * MIN_BYTES}


@pytest.mark.parametrize("late_status", [RunStatus.FAILED, RunStatus.COMPLETED])
async def test_the_cost_of_a_run_that_another_process_has_ended_is_added_once(
    tenant: Tenant, begin: Begin, store: Store, late_status: RunStatus
) -> None:
    """A cancel through another executor ends the row without a cost; the executing process adds it, and changes nothing else."""
    job, now = await begin(date="2025-11-17"), datetime.now(UTC)
    identity = job.run.pipeline_logging_id
    cancelled = RunOutcome(status=RunStatus.CANCELLED, error_message="The run was cancelled.")
    await store.finish_run(tenant.tenant_id, identity, cancelled, at=now)
    before = await store.require_run(tenant.tenant_id, identity)
    for cost in (RunCost(bytes_billed=5, slot_ms=6, bytes_read=7, cost_usd=0.5), RunCost(bytes_billed=50)):
        late = RunOutcome(status=late_status, rows_processed=9, error_message="late", cost=cost)
        status = await store.finish_run(tenant.tenant_id, identity, late, at=datetime.now(UTC))
        assert status is RunStatus.CANCELLED
    after = await store.require_run(tenant.tenant_id, identity)
    assert after == replace(before, bytes_billed=5, slot_ms=6, bytes_read=7, cost_usd=0.5)


async def test_runs_that_are_listed_show_their_cost(tenant: Tenant, begin: Begin, store: Store) -> None:
    """A run that has not ended has none."""
    done, active = await begin(date="2025-11-17"), await begin(date="2025-11-17")
    cost = RunCost(bytes_billed=2**53 + 1, slot_ms=6, bytes_read=7, cost_usd=0.5)
    outcome = RunOutcome(status=RunStatus.COMPLETED, rows_processed=1, cost=cost)
    await store.finish_run(tenant.tenant_id, done.run.pipeline_logging_id, outcome, at=datetime.now(UTC))
    found = {run.pipeline_logging_id: to_run(run) for run in await store.list_runs(tenant.tenant_id, RunFilter(), limit=10)}
    ended, running = found[done.run.pipeline_logging_id], found[active.run.pipeline_logging_id]
    assert (ended.bytes_billed, ended.slot_ms, ended.bytes_read, ended.cost_usd) == (2**53 + 1, 6, 7, 0.5)
    assert not any(field.name in COST_NAMES for field, _ in running.ListFields())
