"""A large export is left to BigQuery where it can be, and read where it cannot: the same rows are published either way."""

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from google.api_core import exceptions as google
from google.cloud import bigquery
from structlog.testing import capture_logs

from services.executor.metering.meter import StepMeter
from services.executor.records import RunStatus
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.sources.gcp.bigquery import GcpBilling
from services.executor.sources.gcp.handover import hand_over
from services.executor.sources.gcp.handover.hand_over import DATASET
from services.executor.sources.gcp.prices import GcpMeter, GcpPrices
from services.executor.sources.gcp.source import GcpSource, RowLimits
from services.executor.sources.source import Source, SourceType
from services.executor.templates.step import Toolbox
from services.platform.settings import ServiceSettings
from tests.support.executor.billing_export import MODERN, append, full, load, many
from tests.support.executor.tenant import Tenant
from tests.support.set_clock import SetClock

DAY, NEXT = date(2025, 11, 17), date(2025, 11, 18)
TABLE = "finance.gcp_billing_export_resource_v1_01AB2C_3D4E5F_6A7B8C"
ROWS = [full(DAY, hour) for hour in range(3)] + many(DAY, 60) + many(NEXT, 20)
PUBLISHED = "SELECT * EXCEPT (loaded_at, pipeline_logging_id) FROM billing_cost_daily"

type Begin = Callable[..., Awaitable[PreparedRun]]


class Leaving:
    """`sources.source.Sources` of an operator who leaves runs with more than `more_than` rows to BigQuery."""

    def __init__(self, tenant: Tenant, settings: ServiceSettings, more_than: int = 10) -> None:
        self._tenant, self._settings, self._limits = tenant, settings, RowLimits(hand_over=more_than)

    async def open(self, tenant_id: str, source_type: SourceType, meter: StepMeter, *, session: str, since: float) -> Source:
        prices = GcpPrices(query=6.25, storage_read=1.1)
        return GcpSource(GcpBilling(self._tenant.cloud_credentials, self._settings, GcpMeter(meter, prices)), prices, limits=self._limits)


async def test_rows_are_the_same_as_when_they_are_read(
    tenant: Tenant, tools: Toolbox, begin: Begin, service_settings: ServiceSettings
) -> None:
    make_dataset(tenant)
    load(tenant.host, f"{tenant.project}.{TABLE}", ROWS, MODERN)
    given = {"start_date": str(DAY), "end_date": str(NEXT)}
    read, step = await published(tenant, tools, await begin(**given))
    assert "handed_over" not in step
    left, step = await published(tenant, replace(tools, sources=Leaving(tenant, service_settings)), await begin(**given))
    assert (step["handed_over"], len(left)) == (True, len(ROWS))
    assert left == read
    assert not list(tenant.bq.client.list_tables(f"{tenant.project}.{DATASET}")), "the handover table is dropped"


async def test_few_rows_are_read(tenant: Tenant, tools: Toolbox, begin: Begin, service_settings: ServiceSettings) -> None:
    make_dataset(tenant)
    load(tenant.host, f"{tenant.project}.{TABLE}", ROWS, MODERN)
    leaving = replace(tools, sources=Leaving(tenant, service_settings, more_than=20))
    with capture_logs() as logs:
        _, step = await published(tenant, leaving, await begin(date=str(NEXT)))
    assert "handed_over" not in step
    assert not [one for one in logs if one["event"] == "export_not_handed_over"], "the export has more rows, the day has not"


async def test_of_days_that_are_published_only_what_is_new_is_taken(
    tenant: Tenant, tools: Toolbox, begin: Begin, service_settings: ServiceSettings
) -> None:
    """A new day as a whole, and of the day before what has come since, to the microsecond."""
    make_dataset(tenant)
    clock = SetClock()
    clock.time = published_at = datetime(2025, 11, 17, 12, tzinfo=UTC)
    load(tenant.host, f"{tenant.project}.{TABLE}", [full(DAY, cost=1.0, export_time=published_at)], MODERN)
    _, step = await published(tenant, replace(tools, clock=clock), await begin(days="changed", history_days=1))
    assert (step["days"][-1], "handed_over" in step) == (str(DAY), False)

    later = [full(DAY, cost=2.0, export_time=published_at + timedelta(microseconds=1)), full(DAY, cost=64.0, export_time=None)]
    append(tenant.host, f"{tenant.project}.{TABLE}", [*later, full(NEXT, cost=4.0, export_time=published_at)], MODERN)
    append(tenant.host, f"{tenant.project}.{TABLE}", [full(NEXT, cost=8.0, export_time=published_at + timedelta(days=1))], MODERN)
    clock.time += timedelta(days=1)
    leaving = replace(tools, clock=clock, sources=Leaving(tenant, service_settings, more_than=2))
    _, step = await published(tenant, leaving, await begin(days="changed", history_days=1))
    assert (step["days"], step["days_read_since"], step["handed_over"]) == ([str(DAY), str(NEXT)], [str(DAY)], True)
    costs = await tenant.rows("SELECT usage_date, SUM(cost) AS cost FROM billing_cost_daily GROUP BY usage_date ORDER BY usage_date")
    assert [(row["usage_date"], row["cost"]) for row in costs] == [(DAY, 3.0), (NEXT, 12.0)]
    [mark] = (await tools.store.ledger.read(tenant.tenant_id, "gcp")).watermarks.values()
    assert mark.watermark == published_at + timedelta(days=1)


async def test_what_cannot_be_left_to_bigquery_is_read_and_said(
    tenant: Tenant, tools: Toolbox, begin: Begin, service_settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaving = replace(tools, sources=Leaving(tenant, service_settings))
    load(tenant.host, f"{tenant.project}.{TABLE}", ROWS, MODERN)

    async def reason() -> str:
        with capture_logs() as logs:
            rows, step = await published(tenant, leaving, await begin(date=str(DAY)))
        assert (len(rows), "handed_over" in step) == (63, False)
        [line] = [one for one in logs if one["event"] == "export_not_handed_over"]
        assert line["tenant_id"] == tenant.tenant_id
        return str(line["reason"])

    assert re.search(rf"no dataset {DATASET}", await reason())

    make_dataset(tenant, location="EU")
    assert re.search(r"not all in one location: EU, US", await reason())

    make_dataset(tenant)

    def refused(*_: object, **__: object) -> None:
        raise google.Forbidden("Access Denied: bigquery.tables.getData")  # type: ignore[no-untyped-call]

    with monkeypatch.context() as patched:
        patched.setattr(tenant.bq.client, "copy_table", refused)
        assert re.search(r"was refused: Forbidden", await reason())
    assert not list(tenant.bq.client.list_tables(f"{tenant.project}.{DATASET}"))

    tiny = [{"name": "c", "amount": amount, "full_name": None, "id": None, "type": None} for amount in (-1.0, -1e-30, -2.0)]
    load(tenant.host, f"{tenant.project}.{TABLE}", [*ROWS[:62], full(DAY, credits=tiny)], MODERN)
    assert await reason(), "the query has failed"

    own = MODERN.append(MODERN.field("currency").with_name("cost_center"))
    load(tenant.host, f"{tenant.project}.{TABLE}", [row | {"cost_center": "x"} for row in ROWS[:63]], own)
    assert await reason() == "Column cost_center of the export is not as Google writes it."


async def test_a_run_that_is_cancelled_leaves_no_table(
    tenant: Tenant, tools: Toolbox, begin: Begin, service_settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its worker, which waits for BigQuery at that moment, notices later, and goes on with the copy."""
    make_dataset(tenant)
    load(tenant.host, f"{tenant.project}.{TABLE}", ROWS, MODERN)
    job, loop, dropped = await begin(date=str(DAY)), asyncio.get_running_loop(), threading.Event()
    run = asyncio.create_task(execute(job, replace(tools, sources=Leaving(tenant, service_settings))))
    discarded, discard = threading.Event(), hand_over._discard

    def run_and_be_cancelled(*arguments: Any) -> Any:
        done = run_query(*arguments)
        if arguments[2] == "hand_over":
            loop.call_soon_threadsafe(run.cancel)
            assert dropped.wait(10)
        return done

    def discard_and_say(*arguments: Any) -> None:
        discard(*arguments)
        discarded.set()

    run_query = hand_over._run
    monkeypatch.setattr(hand_over, "_run", run_and_be_cancelled)
    monkeypatch.setattr(hand_over, "_discard", discard_and_say)
    with pytest.raises(asyncio.CancelledError):
        await run
    await tools.staging.dropped()
    dropped.set()
    assert await asyncio.to_thread(discarded.wait, 10)
    async with asyncio.timeout(10):
        while [one.table_id for one in tenant.bq.client.list_tables(tenant.bq.tenant(tenant.tenant_id)) if "staging" in one.table_id]:
            await asyncio.sleep(0.05)
    assert not list(tenant.bq.client.list_tables(f"{tenant.project}.{DATASET}"))


async def test_an_executor_whose_clock_is_ahead_of_bigquerys_leaves_rows_all_the_same(
    tenant: Tenant, tools: Toolbox, begin: Begin, service_settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it matter if its clock is behind: the moment is BigQuery's own, of a part without rows, too."""
    asked = list[str]()
    run_query = hand_over._run

    def note(cloud: Any, sql: str, *arguments: Any) -> Any:
        asked.append(sql)
        return run_query(cloud, sql, *arguments)

    monkeypatch.setattr(hand_over, "_run", note)
    make_dataset(tenant)
    load(tenant.host, f"{tenant.project}.{TABLE}", ROWS, MODERN)
    before = datetime.now(UTC)
    _, step = await published(tenant, replace(tools, sources=Leaving(tenant, service_settings)), await begin(date=str(DAY)))
    assert step["handed_over"]
    totals, copied = asked
    assert "AS OF CURRENT_TIMESTAMP() " in totals
    [moment] = re.findall(r"AS OF TIMESTAMP '([^']+)'", copied)
    assert before <= datetime.fromisoformat(moment) <= datetime.now(UTC)


async def published(tenant: Tenant, tools: Toolbox, job: PreparedRun) -> tuple[list[str], dict[str, Any]]:
    """What a run has published, and what the log of its first step says."""
    outcome = await execute(job, tools)
    assert (outcome.status, outcome.error_message) == (RunStatus.COMPLETED, None)
    logs = await tools.store.list_step_logs(tenant.tenant_id, job.run.pipeline_logging_id)
    [step] = [one.metadata for one in logs if one.step_id == "extract" and one.action == "STEP_COMPLETED"]
    rows = await tenant.rows(PUBLISHED)
    days = {job.period.first, job.period.last} if job.period else set()
    return sorted(repr(sorted(row.items())) for row in rows if not days or min(days) <= row["usage_date"] <= max(days)), dict(step)


def make_dataset(tenant: Tenant, location: str = "US") -> None:
    """The tenant's dataset for the handover."""
    client, name = tenant.bq.client, f"{tenant.project}.{DATASET}"
    client.delete_dataset(name, delete_contents=True, not_found_ok=True)
    made = bigquery.Dataset(name)
    made.location = location
    client.create_dataset(made)
