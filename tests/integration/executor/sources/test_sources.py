"""A tenant's project on the emulator: which of its tables is read, views included."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest
from google.api_core import exceptions as google
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from services.executor.errors import StepError
from services.executor.records import Period, RunStatus
from services.executor.runs.dry_run import DryRunner
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.sources.gcp.bigquery import GcpBilling
from services.executor.sources.gcp.export_rows import TOTALS, DayTotals, RowFilter, totals_by_day
from services.executor.sources.gcp.export_source import ExportPart, select_exports
from services.executor.sources.gcp.exports import Listed, TableName, named_table
from services.executor.sources.gcp.found import ExportDays, Listing
from services.executor.store import Store
from services.executor.templates.step import Toolbox
from services.platform.settings import ServiceSettings
from tests.integration.executor.steps.test_billing import DAY, NEXT, Begin, daily, export
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, row
from tests.support.executor.fakes import Credentials
from tests.support.executor.tenant import Tenant

PERIOD = Period(first=DAY, last=DAY)
OF_DAY = RowFilter(period=PERIOD)
COLUMNS = pa.schema([("cost", pa.float64()), ("service", pa.struct([("id", pa.string())])), ("resource", pa.string())])
FOCUS = pa.schema([("BilledCost", pa.decimal128(38, 9)), ("ChargePeriodStart", pa.timestamp("us", tz="UTC"))])
PRICES = pa.schema([("pricing_as_of_time", pa.timestamp("us", tz="UTC"))])


def unhurried() -> None:
    """A checkpoint of a run that goes on."""


@pytest.fixture
def cloud(tenant: Tenant, service_settings: ServiceSettings) -> Iterator[GcpBilling]:
    cloud = GcpBilling(tenant.cloud_credentials, service_settings)
    yield cloud
    cloud.close()


def sql(tenant: Tenant, *statements: str) -> None:
    with bigquery.Client(tenant.project, AnonymousCredentials(), client_options={"api_endpoint": tenant.host}) as client:  # type: ignore[no-untyped-call]
        for statement in statements:
            client.query_and_wait(statement)


def other_kinds(tenant: Tenant) -> None:
    """What Google and tenants put beside usage exports."""
    load(tenant.host, f"{tenant.project}.gcp_billing_immutable_{ACCOUNT}_us.gcp_billing_export_focus_{ACCOUNT}", [], FOCUS)
    load(tenant.host, f"{tenant.project}.cloud_costs.cloud_pricing_export", [], PRICES)
    sql(
        tenant,
        "CREATE VIEW cloud_costs.costs AS SELECT TIMESTAMP '2025-11-17' AS usage_start_time, 1.0 AS cost",
        "CREATE VIEW cloud_costs.other AS SELECT 1 AS one",
        f"CREATE VIEW cloud_costs.gcp_billing_export_resource_v1_{ACCOUNT} AS SELECT 1 AS one",
    )


async def test_a_project_whose_connections_break_for_as_long_as_they_are_tried_may_be_read_again(
    cloud: GcpBilling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google's client ends its attempts with an error of its own kind, which is no answer of the API."""

    def break_off(*_: object, **__: object) -> None:
        raise google.RetryError("Timeout of 30.0s exceeded", ConnectionResetError())  # type: ignore[no-untyped-call]

    monkeypatch.setattr(cloud.client, "list_datasets", break_off)
    with pytest.raises(StepError, match="did not answer") as failed:
        select_exports(cloud, None, PERIOD, unhurried)
    assert failed.value.is_retryable


async def test_other_kinds_of_exports_are_named_where_there_is_no_usage_and_passed_over_where_there_is(
    tenant: Tenant, cloud: GcpBilling
) -> None:
    other_kinds(tenant)
    with pytest.raises(StepError) as failed:
        select_exports(cloud, None, PERIOD, unhurried)
    for part in ("(Google's FOCUS export)", "(a pricing export)", ".costs (a view with a usage cost export's columns)", "(a view)"):
        assert part in failed.value.message
    assert "cloud_costs.other" not in failed.value.message

    standard = export(tenant, [row(DAY)], schema=STANDARD)
    found = select_exports(cloud, None, PERIOD, unhurried)
    assert ([str(table) for table in found.tables], found.reason) == (
        [standard],
        f"It is the only usage cost export of project {tenant.project}.",
    )


async def metadata_of(store: Store, job: PreparedRun) -> Mapping[str, Any]:
    logs = await store.list_step_logs(job.run.tenant_id, job.run.pipeline_logging_id)
    return next(log.metadata for log in logs if "source_table" in log.metadata)


async def test_each_day_of_a_run_is_read_from_the_export_that_has_it(
    tenant: Tenant, tools: Toolbox, begin: Begin, store: Store, dry_runner: DryRunner
) -> None:
    """The detailed one was turned on at mid-day of NEXT: until then the standard one is read, and from then on the detailed one. A run over
    all the days says so, and so does a dry one.
    """
    last = NEXT + timedelta(days=1)
    hours = [row(NEXT, hour=hour) for hour in range(20)]
    standard = export(tenant, [row(DAY, cost=5.0), row(DAY, cost=6.0), *hours, row(last, cost=9.0)], schema=STANDARD)
    detailed = export(tenant, [*hours[8:], row(last, cost=9.0)])
    given = {"start_date": DAY.isoformat(), "end_date": last.isoformat()}
    reason = (
        "The detailed export has no rows on 2025-11-17, and less than 99% of the standard one's cost in USD on 2025-11-18. "
        "These days are read from the standard export, the others from the detailed one."
    )
    origin = {
        "source_table": f"{standard}, {detailed}",
        "source_reason": reason,
        "sources": [
            {"source_table": standard, "first_day": "2025-11-17", "last_day": "2025-11-18"},
            {"source_table": detailed, "first_day": "2025-11-19", "last_day": "2025-11-19"},
        ],
    }

    dry_run = await dry_runner.dry_run(await begin(**given))
    job = await begin(**given)
    outcome = await execute(job, tools)

    assert dry_run.problems == {}
    assert {**dry_run.steps[0].metadata, **origin} == dry_run.steps[0].metadata
    assert (outcome.status, outcome.error_message, outcome.rows_processed) == (RunStatus.COMPLETED, None, 23)
    metadata = await metadata_of(store, job)
    assert {**metadata, **origin} == metadata
    found = await by_day(tenant)
    assert found == {(DAY, standard): (2, 11.0, 0), (NEXT, standard): (20, 20.0, 0), (last, detailed): (1, 9.0, 1)}


async def test_days_that_only_one_export_has_are_read_from_it(
    tenant: Tenant, tools: Toolbox, begin: Begin, store: Store, dry_runner: DryRunner
) -> None:
    last = NEXT + timedelta(days=1)
    standard = export(tenant, [row(DAY, cost=5.0)], schema=STANDARD)
    detailed = export(tenant, [row(last, cost=9.0)])

    outcome = await execute(await begin(start_date=DAY.isoformat(), end_date=last.isoformat()), tools)
    alone = await dry_runner.dry_run(await begin(date=last.isoformat()))

    assert (outcome.status, outcome.error_message, outcome.rows_processed) == (RunStatus.COMPLETED, None, 2)
    assert await by_day(tenant) == {(DAY, standard): (1, 5.0, 0), (last, detailed): (1, 9.0, 1)}
    assert alone.steps[0].metadata["source_table"] == detailed
    assert "sources" not in alone.steps[0].metadata


async def by_day(tenant: Tenant) -> dict[tuple[date, str], tuple[int, float, int]]:
    """Of each day and source that was published: its rows, their cost, and how many of them name a resource."""
    rows = await tenant.rows(
        "SELECT usage_date, source_table, COUNT(*) AS n, SUM(cost) AS cost, COUNT(resource_name) AS named "
        "FROM billing_cost_daily GROUP BY 1, 2"
    )
    return {(one["usage_date"], one["source_table"]): (one["n"], one["cost"], one["named"]) for one in rows}


async def test_a_copys_names_may_be_in_any_case(tenant: Tenant, tools: Toolbox, begin: Begin, cloud: GcpBilling) -> None:
    shouted = pa.schema([(field.name.upper(), field.type) for field in STANDARD])
    table = f"{tenant.project}.cloud_costs.shouted"
    load(tenant.host, table, [{name.upper(): value for name, value in one.items()} for one in (row(DAY, cost=5.0), row(NEXT))], shouted)
    assert cloud.days_of(named_table(table, ""), PERIOD, unhurried).sizes == {DAY: {"USD": 5.0}}

    outcome = await execute(await begin(date=DAY.isoformat(), export_table="cloud_costs.shouted"), tools)
    assert (outcome.status, outcome.error_message, outcome.rows_processed) == (RunStatus.COMPLETED, None, 1)
    assert await by_day(tenant) == {(DAY, table): (1, 5.0, 0)}


@pytest.fixture
def dry_runner(tools: Toolbox) -> DryRunner:
    return DryRunner(tools, Credentials(), query_usd_per_tib=6.25)  # type: ignore[arg-type]


async def test_a_view_over_an_export_is_read_by_a_query_and_estimated_by_a_dry_one(
    tenant: Tenant, tools: Toolbox, begin: Begin, cloud: GcpBilling, dry_runner: DryRunner
) -> None:
    table = export(tenant, [row(DAY, cost=5.0), row(DAY, cost=6.0), row(NEXT, cost=9.0)])
    sql(
        tenant,
        f"CREATE VIEW cloud_costs.seen AS SELECT * FROM `{table}` WHERE cost > 5",
        f"CREATE MATERIALIZED VIEW cloud_costs.kept AS SELECT usage_start_time, cost, service FROM `{table}`",
    )
    kept = named_table("cloud_costs.kept", tenant.project)
    batches = list(cloud.read(kept, COLUMNS, OF_DAY))
    assert sorted(cost for batch in batches for cost in batch["cost"].to_pylist()) == [5.0, 6.0]
    assert batches[0].schema.names == ["cost", "service"], "what the view has of what is wanted"
    assert cloud.estimate(kept, COLUMNS, OF_DAY).by_query

    named = {"date": DAY.isoformat(), "export_table": "cloud_costs.seen"}
    assert (await dry_runner.dry_run(await begin(**named))).problems == {}
    outcome = await execute(await begin(**named), tools)
    assert (outcome.status, outcome.error_message, outcome.rows_processed) == (RunStatus.COMPLETED, None, 1)
    [published] = await daily(tenant)
    assert (published["cost"], published["resource_name"]) == (6.0, "vm-1")


@dataclass
class StubJob:
    """A query job that never ends."""

    cancelled: int = 0
    asked: int = 0

    def result(self, **_: object) -> None:
        self.asked += 1
        raise TimeoutError

    def cancel(self, **_: object) -> None:
        self.cancelled += 1


async def test_a_query_on_a_view_is_looked_after(tenant: Tenant, cloud: GcpBilling, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cancelled with its run; without the right to run it, the role is named."""
    export(tenant, [])
    sql(tenant, "CREATE VIEW cloud_costs.seen AS SELECT TIMESTAMP '2025-11-17' AS usage_start_time, 1.0 AS cost")
    seen, job = named_table("cloud_costs.seen", tenant.project), StubJob()

    class Cancelled(Exception):
        pass

    def check_cancelled() -> None:
        if job.asked == 3:
            raise Cancelled

    monkeypatch.setattr(cloud.client, "query", lambda *_, **__: job)
    with pytest.raises(Cancelled):
        list(cloud.read(seen, COLUMNS, OF_DAY, check_cancelled))
    assert (job.asked, job.cancelled) == (3, 1)

    def refuse(*_: object, **__: object) -> None:
        raise google.Forbidden("Access Denied: Project team: User does not have bigquery.jobs.create permission in project team.")  # type: ignore[no-untyped-call]

    monkeypatch.setattr(cloud.client, "query", refuse)
    for ask in (
        lambda: list(cloud.read(seen, COLUMNS, OF_DAY)),
        lambda: cloud.estimate(seen, COLUMNS, OF_DAY),
    ):
        with pytest.raises(StepError, match=rf"Grant it BigQuery Job User \(roles/bigquery.jobUser\) on project {tenant.project}"):
            ask()


async def test_an_export_partitioned_by_ingestion_is_read_however_it_was_made(tenant: Tenant, cloud: GcpBilling) -> None:
    table = bigquery.Table(
        f"{tenant.project}.cloud_costs.gcp_billing_export_v1_{ACCOUNT}",
        [bigquery.SchemaField("usage_start_time", "TIMESTAMP"), bigquery.SchemaField("cost", "FLOAT")],
    )
    table.time_partitioning = bigquery.TimePartitioning()
    with bigquery.Client(tenant.project, AnonymousCredentials(), client_options={"api_endpoint": tenant.host}) as client:  # type: ignore[no-untyped-call]
        client.create_dataset("cloud_costs", exists_ok=True)
        client.create_table(table)
        rows = [{"usage_start_time": f"{day}T10:00:00Z", "cost": 2.0} for day in (DAY, DAY, NEXT)]
        assert client.insert_rows_json(table, rows) == []
    source = select_exports(cloud, None, PERIOD, unhurried)
    assert cloud.days_of(source.parts[0].table, PERIOD, unhurried).sizes == {DAY: {None: 4.0}}


@dataclass
class Project:
    """A tenant's cloud, as far as `select_exports` asks it."""

    listing: Listing
    held: Mapping[str, ExportDays | StepError] = field(default_factory=dict)
    project: str = "team"

    def list_tables(self, _: Callable[[], None]) -> Listing:
        return self.listing

    def looks_like_usage(self, table: TableName, _: Callable[[], None]) -> bool:
        return table.table.startswith("like")

    def days_of(self, export: TableName, _: Period, __: Callable[[], None]) -> ExportDays:
        held = self.held[export.table]
        if isinstance(held, StepError):
            raise held
        return held

    def open_ahead(self, export: TableName, _: RowFilter) -> None:
        pass


def listed(*tables: str, kind: str = "TABLE") -> list[Listed]:
    return [Listed(name=TableName(project="team", dataset="d", table=table), type=kind) for table in tables]


BOTH = (f"gcp_billing_export_v1_{ACCOUNT}", f"gcp_billing_export_resource_v1_{ACCOUNT}")
HELD = ExportDays(days={DAY: DayTotals(row_count=1, sizes={"USD": 1.0}, exported_to=None)}, size=40)


def test_a_standard_export_that_may_not_be_read_does_not_stand_in_the_detailed_ones_way() -> None:
    refused = StepError("Google Cloud refused the service account.")
    cloud: Any = Project(Listing(tables=listed(*BOTH), hidden=[]), {BOTH[0]: refused, BOTH[1]: HELD})
    found = select_exports(cloud, None, PERIOD, unhurried)
    assert ([table.table for table in found.tables], found.compared_bytes) == ([BOTH[1]], 40)
    assert found.reason == "The standard export cannot be read beside it: Google Cloud refused the service account."


def test_an_export_that_does_not_answer_is_not_taken_for_one_without_rows() -> None:
    away = StepError("BigQuery did not answer.", is_retryable=True)
    for broken in BOTH:
        cloud: Any = Project(Listing(tables=listed(*BOTH), hidden=[]), {**dict.fromkeys(BOTH, HELD), broken: away})
        with pytest.raises(StepError, match="did not answer"):
            select_exports(cloud, None, PERIOD, unhurried)


def test_what_is_read_to_compare_is_counted() -> None:
    cloud: Any = Project(Listing(tables=listed(*BOTH), hidden=[]), dict.fromkeys(BOTH, HELD))
    assert select_exports(cloud, None, PERIOD, unhurried).compared_bytes == 80


def test_a_named_table_is_taken_at_its_word() -> None:
    found = select_exports(Project(Listing(tables=[], hidden=[])), "fin-project.billing.costs", PERIOD, unhurried)  # type: ignore[arg-type]
    assert (found.parts, found.reason) == (
        (ExportPart(table=named_table("fin-project.billing.costs", "team"), period=PERIOD),),
        "It is named by export_table.",
    )


def test_only_some_views_are_looked_at() -> None:
    views = listed(*(f"like_{number:02}" for number in range(30)), kind="VIEW")
    with pytest.raises(StepError, match="and 12 more"):
        select_exports(Project(Listing(tables=views, hidden=[])), None, PERIOD, unhurried)  # type: ignore[arg-type]


def test_sizes_are_of_utc_days_and_currencies() -> None:
    """Refunds add to them, and they go on from batch to batch."""
    rows = [
        {"usage_start_time": row(DAY, hour=23)["usage_start_time"], "cost": 1.5, "currency": "USD"},
        {"usage_start_time": row(DAY)["usage_start_time"], "cost": None, "currency": "USD"},
        {"usage_start_time": row(DAY)["usage_start_time"], "cost": -1.0, "currency": "USD"},
        {"usage_start_time": row(DAY)["usage_start_time"], "cost": 300.0, "currency": "JPY"},
        {"usage_start_time": row(NEXT)["usage_start_time"], "cost": -2.0, "currency": None},
        {"usage_start_time": None, "cost": 7.0, "currency": "USD"},
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=TOTALS)
    other = pa.RecordBatch.from_pylist([{name.upper(): value for name, value in rows[0].items()}])
    days = {day: totals.sizes for day, totals in totals_by_day([batch, other]).items()}
    assert days == {DAY: {"USD": 4.0, "JPY": 300.0}, NEXT: {None: 2.0}}
