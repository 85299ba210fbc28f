"""gcp/cost/focus compared with Google's own FOCUS export of the sample tenant: read as the tenant, differences only warn."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from google.api_core import exceptions as google
from google.cloud import bigquery

from localcloud.sample.beside import FOCUS as GOOGLES_COLUMNS
from localcloud.sample.beside import focus_rows
from services.executor.errors import StepError
from services.executor.metering.meter import StepMeter
from services.executor.records import Period, RunStatus
from services.executor.runs.dry_run import DryRunner
from services.executor.runs.execute import execute
from services.executor.sources.gcp.bigquery import GcpBilling
from services.executor.sources.gcp.focus_export import MAX_BYTES, focus_report
from services.executor.sources.source import FocusReporter, Source, SourceType
from services.executor.steps import focus_totals
from services.executor.steps.focus_totals import FocusTotals
from services.executor.store import Store
from services.executor.templates.catalog import Catalog
from services.executor.templates.step import Toolbox
from services.executor.workers import Workers
from services.platform import metrics
from services.platform.bigquery.prices import query_cost
from services.platform.errors import Unavailable
from services.platform.settings import ServiceSettings
from tests.integration.executor.steps.test_focus import DAY, FOCUS, NEXT, Begin, Bill, bill
from tests.support.executor.billing_export import ACCOUNT, load, row
from tests.support.executor.fakes import Credentials
from tests.support.executor.tenant import Tenant

__all__ = ["bill"]

ROWS = [
    row(DAY, cost=10.0, credits=[{"name": "a discount", "amount": -2.5}]),
    row(DAY, hour=23, cost=3.004),
    row(NEXT, cost=7.0),
]
DAYS = Period(first=DAY, last=NEXT)
ASKED = {"start_date": DAY.isoformat(), "end_date": NEXT.isoformat(), "compare_with_google": True}


def google_has(tenant: Tenant, rows: list[dict[str, Any]], *, account: str = ACCOUNT) -> str:
    table = f"{tenant.project}.gcp_billing_immutable_{account}_us.gcp_billing_export_focus_{account}"
    load(tenant.host, table, rows, GOOGLES_COLUMNS)
    return table


def googles(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = focus_rows(rows).to_pylist()
    return found


async def check(tenant: Tenant, store: Store, pipeline_logging_id: str) -> tuple[str, int, str]:
    results = await store.list_dq_results(tenant.tenant_id, pipeline_logging_id)
    [found] = [one for one in results if one.check_name == "focus_agrees_with_google"]
    assert found.severity == "warn"
    return found.status, found.failing_rows, str(found.observed_value)


def jobs() -> Counter[str]:
    """Our own BigQuery jobs so far."""
    samples = (sample for metric in metrics.BIGQUERY_JOBS.collect() for sample in metric.samples if sample.name.endswith("_total"))
    return Counter({sample.labels["statement"]: int(sample.value) for sample in samples})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Each query for totals: in which project, whether dry, and the most that it may read."""
    return on_query(monkeypatch)


def on_query(patch: pytest.MonkeyPatch, error: Exception | None = None) -> list[tuple[Any, ...]]:
    """Writes down the queries for totals; with an error, none is answered."""
    original, seen = bigquery.Client.query, list[tuple[Any, ...]]()

    def query(client: bigquery.Client, sql: str, **given: Any) -> Any:
        config = given["job_config"]
        if config.labels.get("statement") == "focus_totals":
            seen.append((client.project, bool(config.dry_run), config.maximum_bytes_billed))
            if error:
                raise error
        return original(client, sql, **given)

    patch.setattr(bigquery.Client, "query", query)
    return seen


async def test_the_same_sums_agree_and_cost_us_no_statement(
    tenant: Tenant, bill: Bill, begin: Begin, tools: Toolbox, store: Store, catalog: Catalog, asked: list[tuple[Any, ...]]
) -> None:
    """Not asked, asked without a table, and with one: our own jobs are the same. Not asked, nothing of the tenant's is opened."""
    await bill(ROWS, start_date=DAY.isoformat(), end_date=NEXT.isoformat())
    spent = []

    async def run(note: str, tools: Toolbox, **given: object) -> None:
        job, before = await begin(FOCUS, **{**ASKED, **given}), jobs()
        outcome = await execute(job, tools)
        spent.append(jobs() - before)
        assert (outcome.status, outcome.error_message, outcome.rows_processed) == (RunStatus.COMPLETED, None, 3)
        assert await check(tenant, store, job.run.pipeline_logging_id) == ("PASSED", 0, note)

    unasked = "Nothing was compared: the parameter compare_with_google was not set to true."
    await run(unasked, replace(tools, sources=Opening(AssertionError("it was opened unasked"))), compare_with_google=None)
    absent = (
        "Nothing was compared: No FOCUS export of Google's (a table gcp_billing_export_focus_*) was found in project "
        f"{tenant.project}. Where there is one, grant the service account BigQuery Data Viewer on its dataset."
    )
    await run(absent, tools)
    assert asked == []
    table = google_has(tenant, googles(ROWS))
    await run(f"BilledCost was compared with {table}.", tools)
    assert asked == [(tenant.project, True, None), (tenant.project, False, MAX_BYTES)]
    del spent[0]["create_focus_cost_daily"]
    assert spent[0] == spent[1] == spent[2]

    dry_runner = DryRunner(tools, Credentials(), query_usd_per_tib=6.25)  # type: ignore[arg-type]
    dry = await dry_runner.dry_run(tenant.job(catalog, FOCUS, **ASKED))
    assert dry.problems == {}
    [google_step] = [step for step in dry.steps if step.step_id == "google"]
    assert google_step.cost_usd == query_cost(0, usd_per_tib=6.25), "the emulator does not say how much a query reads"
    assert asked[2:] == [(tenant.project, True, None)]


async def test_sums_that_differ_are_a_warning_by_day_and_currency(
    tenant: Tenant, bill: Bill, begin: Begin, tools: Toolbox, store: Store
) -> None:
    """A cent is named with both sums; what rounds to the same cent is not; what one side alone has is. The run is published."""
    rows = [*ROWS, row(NEXT, cost=2.0, currency="EUR")]
    await bill(rows, start_date=DAY.isoformat(), end_date=NEXT.isoformat())
    [first, second] = googles(ROWS)
    yen = {**second, "BillingCurrency": "JPY", "BilledCost": Decimal(500)}
    google_has(tenant, [{**first, "BilledCost": Decimal("10.494")}, {**second, "BilledCost": Decimal("7.004")}, yen])

    job = await begin(FOCUS, **ASKED)
    outcome = await execute(job, tools)

    assert (outcome.status, outcome.rows_processed) == (RunStatus.COMPLETED, 4)
    status, failing, observed = await check(tenant, store, job.run.pipeline_logging_id)
    assert (status, failing) == ("FAILED", 3)
    assert observed.split("; ") == [
        "2025-11-17 USD: 10.50 here, 10.49 at Google",
        "2025-11-18 EUR: 2.00 here, none at Google",
        "2025-11-18 JPY: none here, 500.00 at Google",
    ]
    assert await tenant.rows("SELECT COUNT(*) AS n FROM focus_cost_daily") == [{"n": 4}]


@pytest.fixture
def cloud(tenant: Tenant, service_settings: ServiceSettings) -> Iterator[GcpBilling]:
    cloud = GcpBilling(tenant.cloud_credentials, service_settings)
    yield cloud
    cloud.close()


def unhurried() -> None:
    """A checkpoint of a run that goes on."""


async def test_what_keeps_googles_export_from_being_read_is_said(
    tenant: Tenant, cloud: GcpBilling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy is not taken for it; too large is refused before it is paid; a missing role is named; of two accounts' none is guessed."""
    table = google_has(tenant, googles(ROWS))
    load(tenant.host, f"{table}_copy", googles(ROWS), GOOGLES_COLUMNS)
    report = focus_report(cloud, DAYS, unhurried)
    assert (report.table, sum(total.billed_cost for total in report.totals)) == (table, Decimal("17.504"))

    with monkeypatch.context() as patch:
        patch.setattr(cloud, "focus_size", lambda *_: MAX_BYTES + 1)
        asked = on_query(patch)
        with pytest.raises(StepError, match=f"10.0 GiB of {table} would have to be read, and at most 10 GiB are. Run fewer days."):
            focus_report(cloud, DAYS, unhurried)
        assert asked == []
    with monkeypatch.context() as patch:
        on_query(patch, google.Forbidden("User does not have bigquery.jobs.create permission"))  # type: ignore[no-untyped-call]
        with pytest.raises(StepError, match=rf"Grant it BigQuery Job User \(roles/bigquery.jobUser\) on project {tenant.project}"):
            focus_report(cloud, DAYS, unhurried)
    google_has(tenant, [], account="AAAAAA_BBBBBB_CCCCCC")
    with pytest.raises(StepError, match=f"Project {tenant.project} has several FOCUS exports: "):
        focus_report(cloud, DAYS, unhurried)


class Opening:
    """Sources that open as the test says."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def open(self, tenant_id: str, source_type: SourceType, meter: StepMeter, *, session: str, since: float) -> Source:
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is None:
            await asyncio.Event().wait()
        source: Source = self.answer
        return source


class Mute:
    """A source of a cloud that makes no FOCUS itself."""

    def close(self) -> None:
        pass


class Broken(Mute):
    def focus_totals(self, *_: object) -> None:
        raise KeyError("a bug")

    estimate_focus_totals = focus_totals


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (StepError("The stored GCP credentials are gone."), "The stored GCP credentials are gone."),
        (Unavailable("KMS_UNAVAILABLE", "KMS does not answer."), "KMS does not answer."),
        (None, "the answer took too long."),
        (Mute(), "FAKE has no FOCUS data of its own beside what is read."),
        (Broken(), "something broke on our side."),
    ],
)
async def test_nothing_that_goes_wrong_fails_the_step(monkeypatch: pytest.MonkeyPatch, answer: Any, said: str) -> None:
    assert isinstance(Broken(), FocusReporter)
    monkeypatch.setattr(focus_totals, "SECONDS", 0.05)
    source_type: Any = SimpleNamespace(provider="FAKE")
    async with Workers(1) as workers:
        context: Any = SimpleNamespace(
            tools=SimpleNamespace(sources=Opening(answer), workers=workers),
            run=SimpleNamespace(tenant_id="acme", pipeline_logging_id="one"),
            requested_at=None,
            period=DAYS,
            parameters={"asked": True},
            timeout_seconds=300,
            meter=StepMeter(),
        )
        step = FocusTotals(source_type=source_type, only_if="asked")
        result, dry = await step.run(context), await step.dry_run(context)
    note = f"Nothing was compared: {said}"
    assert result.outputs == {"reported_totals": [], "reported_from": None, "reported_note": note}
    assert (dry.bytes_read, dry.cost_usd, dry.metadata) == (0, 0.0, {"note": note})
