"""A dry run reports what a run would read and fail with, and leaves nothing behind."""

import asyncio
import math
import uuid
from dataclasses import replace

import pytest

from services.executor.metering.cap import RunAllowance, RunCap
from services.executor.metering.run import Metering
from services.executor.records import RunStatus
from services.executor.runs.dry_run import DryRunner
from services.executor.runs.execute import execute
from services.executor.runs.prepared import RunPreparer, RunRequest
from services.executor.servicers.to_proto import to_dry_run
from services.executor.sources.gcp.prices import GcpPrices
from services.executor.steps.bigquery_publish import Publish
from services.executor.steps.run_end_script import EndOfRun
from services.executor.templates.step import Toolbox
from services.platform.bigquery.prices import MIN_BYTES, TIB, query_cost
from services.platform.bigquery.sql import make_block
from services.platform.errors import InvalidArgument, ResourceExhausted
from tests.integration.executor.steps.test_billing import DAY, export
from tests.support.executor.billing_export import STANDARD, many
from tests.support.executor.fakes import Credentials, RecordingLedger
from tests.support.executor.tenant import BILLING, Tenant


@pytest.fixture
def dry_runner(tools: Toolbox, credentials: Credentials) -> DryRunner:
    return DryRunner(tools, credentials, query_usd_per_tib=6.25)  # type: ignore[arg-type]


def wanted(tenant: Tenant, **parameters: object) -> RunRequest:
    return RunRequest(
        pipeline_logging_id="7c1d94f2-5f0b-4e0e-9a53-2b8f5a4f61d7", tenant_id=tenant.tenant_id, name=BILLING, given=parameters
    )


async def test_what_a_run_would_read_and_cost(
    tenant: Tenant, tools: Toolbox, preparer: RunPreparer, dry_runner: DryRunner, quota: RecordingLedger
) -> None:
    """As much as the export's rows hold, once to read them and once for each query over them. No slot, no row, no table is left."""
    source = export(tenant, many(DAY, 5000))
    job = preparer.prepare(wanted(tenant, date="2025-11-17"))

    found = await dry_runner.dry_run(job)

    assert found.problems == {}
    focus = ["focus_stage", "focus_google", "focus_conformance", "focus_publish"]
    assert [step.step_id for step in found.steps] == ["extract", "checks", "publish", *focus]
    extract, checks, publish, *_ = found.steps
    reason = f"It is the only usage cost export of project {tenant.project}."
    assert extract.metadata == {"source_table": source, "source_reason": reason, "estimated_rows": 5000, "source_location": "US"}
    assert extract.bytes_read > 5000 * 8
    assert (checks.bytes_read, publish.bytes_read) == (extract.bytes_read, extract.bytes_read)
    assert math.isclose(extract.cost_usd, extract.bytes_read / TIB * 1.1)
    minimum = MIN_BYTES / TIB * 6.25
    assert math.isclose(checks.cost_usd, 2 * minimum), "ten MiB at least for staging and the published table"
    # What an INSERT appends to is not charged.
    assert math.isclose(publish.cost_usd, 10 * minimum), "each table that a statement of the script reads or changes"
    answer = to_dry_run(job, found)
    assert math.isclose(answer.cost_usd, sum(step.cost_usd for step in found.steps))
    assert math.isclose(answer.tenant_cost_usd, extract.cost_usd)
    assert quota.reserved == []
    assert await tenant.rows("SELECT 1 FROM x_meta_pipeline_runs") == []
    assert await tenant.rows("SELECT 1 FROM x_meta_step_logs") == []
    await tools.staging.dropped()
    assert await tenant.rows("SELECT table_name FROM INFORMATION_SCHEMA.TABLES WHERE table_name LIKE 'x_staging%'") == []
    assert await tenant.rows("SELECT 1 FROM billing_cost_daily") == []


async def test_a_run_after_it_is_as_any_other(tenant: Tenant, tools: Toolbox, preparer: RunPreparer, dry_runner: DryRunner) -> None:
    export(tenant, many(DAY, 30))
    job = preparer.prepare(wanted(tenant, date="2025-11-17"))
    await dry_runner.dry_run(job)
    await tools.store.insert_run(job.run, seconds=10)
    assert (await execute(job, tools)).status is RunStatus.COMPLETED


async def test_a_tenant_has_two_under_way_at_most(tenant: Tenant, preparer: RunPreparer, dry_runner: DryRunner) -> None:
    """They spend no quota, so something else must bound them; another tenant's are not counted with them."""
    export(tenant, many(DAY, 3))
    job = preparer.prepare(wanted(tenant, date="2025-11-17"))
    jobs = [replace(job, run=replace(job.run, pipeline_logging_id=str(uuid.uuid4()))) for _ in range(3)]
    answers = await asyncio.gather(*(dry_runner.dry_run(one) for one in jobs), return_exceptions=True)
    assert [isinstance(answer, ResourceExhausted) for answer in answers] == [False, False, True]
    assert (await dry_runner.dry_run(job)).problems == {}


async def test_a_source_that_is_not_there_is_a_problem(tenant: Tenant, preparer: RunPreparer, dry_runner: DryRunner) -> None:
    """Reported by the step that would fail, in the words of the run; what needs it is not looked at."""
    found = await dry_runner.dry_run(preparer.prepare(wanted(tenant, date="2025-11-17", export_table="nowhere.gcp_billing_export_v1_X")))
    assert list(found.problems) == ["extract"]
    assert "there is no such table" in found.problems["extract"]
    assert found.steps == []


async def test_a_table_that_is_no_export_is_a_problem(tenant: Tenant, preparer: RunPreparer, dry_runner: DryRunner) -> None:
    table = export(tenant, many(DAY, 3), schema=STANDARD.remove(STANDARD.get_field_index("cost")))
    found = await dry_runner.dry_run(preparer.prepare(wanted(tenant, date="2025-11-17", export_table=table)))
    assert "it has no columns cost and usage_start_time" in found.problems["extract"]


async def test_sql_that_does_not_fit_the_tables_is_a_problem(tenant: Tenant, preparer: RunPreparer, dry_runner: DryRunner) -> None:
    """BigQuery's own words stay in the log."""
    export(tenant, many(DAY, 3))
    job = preparer.prepare(wanted(tenant, date="2025-11-17"))
    extract, checks, publish, *_ = job.template.steps
    assert isinstance(publish.action, Publish)
    renamed = make_block("renamed", "SELECT s.no_such_column FROM x_staging_gcp_billing AS s", {})
    action = replace(publish.action, scripts=dict.fromkeys(EndOfRun, renamed))
    job = replace(job, template=replace(job.template, steps=(extract, checks, replace(publish, action=action))))
    found = await dry_runner.dry_run(job)
    assert list(found.problems) == ["publish"]
    assert found.problems["publish"].startswith("BigQuery refuses this step's SQL.")
    assert [step.step_id for step in found.steps] == ["extract", "checks"]


async def test_what_a_run_would_be_refused_for_is_refused(tenant: Tenant, preparer: RunPreparer) -> None:
    with pytest.raises(InvalidArgument) as refused:
        preparer.prepare(wanted(tenant, start_date="2025-11-17"))
    assert refused.value.field == "parameters.end_date"


@pytest.mark.parametrize(
    ("by_query", "size", "cost"), [(True, TIB, 6.25), (True, 0, 6.25 * MIN_BYTES / TIB), (False, TIB, 1.1), (False, 0, 0)]
)
def test_prices(by_query: bool, size: int, cost: float) -> None:
    prices = GcpPrices(query=6.25, storage_read=1.1)
    assert prices.reading(size, by_query=by_query) == cost
    assert query_cost(0, usd_per_tib=0.0) == 0.0


@pytest.mark.parametrize(("size", "references", "cost"), [(0, 3, 3 * MIN_BYTES), (TIB, 3, TIB), (2 * MIN_BYTES, 1, 2 * MIN_BYTES)])
def test_a_query_costs_the_minimum_of_each_table_at_least(size: int, references: int, cost: int) -> None:
    assert query_cost(size, references=references, usd_per_tib=6.25) == cost / TIB * 6.25


async def test_it_says_with_which_step_a_run_would_pass_its_cap(tenant: Tenant, tools: Toolbox, preparer: RunPreparer) -> None:
    """The reading alone, or what the queries cost together with it; by how much."""
    export(tenant, many(DAY, 5000))
    job = preparer.prepare(wanted(tenant, date="2025-11-17"))
    minimum = MIN_BYTES / TIB * 6.25
    for cap, plan, step, said in (
        (RunCap(bytes_read=1000), 2000, "extract", "more than the cap of a run, 1,000 bytes read"),
        (RunCap(bytes_read=2000), 1000, "extract", "`max_export_bytes`"),
        (RunCap(cost_usd=5 * minimum), None, "publish", "`cap.cost_usd`"),
        (RunCap(bytes_read=TIB, cost_usd=1000 * minimum), TIB, None, ""),
    ):
        runner = DryRunner(replace(tools, metering=Metering(default=cap)), Credentials(), query_usd_per_tib=6.25)  # type: ignore[arg-type]
        found = await runner.dry_run(job.admitted(RunAllowance(max_export_bytes=plan)))
        assert list(found.problems) == ([step] if step else [])
        assert said in found.problems.get(step or "", "")
        assert {"extract", "checks", "publish"} <= {one.step_id for one in found.steps}
