"""Three clouds in one table: published at once by eight workers, restated, run again, and ended anywhere; each row stays whose it is."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.executor.keyed_locks import KeyedLocks
from services.executor.records import RunOutcome, RunStatus
from services.executor.staging.tables import StagingTables
from services.executor.store import Store
from services.executor.templates.step import Toolbox
from services.platform.bigquery.client import BigQuery
from services.platform.clock import SystemClock
from services.platform.settings import REPOSITORY, ServiceSettings
from tests.support.executor.awkward_costs import awkward, totals
from tests.support.executor.billing_export import ACCOUNT, load
from tests.support.executor.replay.deaths import Place, PublishDoor, die_at_publish, die_at_step, send
from tests.support.exports.aws_focus import AwsFocusExport
from tests.support.exports.azure_focus import AzureFocusExport
from tests.support.exports.focus_rows import Row, moved, sample_rows, sums, toolkit_rows
from tests.support.exports.tables import CENT, Published, assert_agrees, assert_whole
from tests.support.exports.variants import first_of
from tests.support.exports.world import AWS, AZURE, World
from tests.support.strict_bigquery import strict_bigquery

MAY, JUNE = date(2026, 5, 1), date(2026, 6, 1)
DAY = date(2026, 5, 10)
"""Of GCP: the other clouds have rows on it, too."""
DDL = REPOSITORY / "configs" / "bigquery" / "tenant"
SECONDS = (0.02, 0.05)
"""What a statement takes, so that runs meet."""
EXECUTORS = 4
FAILED = RunOutcome(status=RunStatus.FAILED, error_message="The executor is gone.")
PIPELINES = {AWS: "aws/cost/focus", AZURE: "azure/cost/focus", "gcp": "gcp/cost/billing"}

type Export = AwsFocusExport | AzureFocusExport
type Behind = Callable[[World], AbstractAsyncContextManager[tuple[PublishDoor, list[Toolbox]]]]


@pytest.fixture
def behind_door(service_settings: ServiceSettings) -> Behind:
    """What four executors work with, behind one proxy that knows BigQuery's conflicts: their locks do not know of each other."""

    @asynccontextmanager
    async def opened(world: World) -> AsyncIterator[tuple[PublishDoor, list[Toolbox]]]:
        door = PublishDoor(upstream=world.tenant.host.removeprefix("http://"), seconds=SECONDS, rate=1_000)
        with strict_bigquery(door):
            patient = {"bigquery_deadline_seconds": 60.0, "dml_statements_per_10_seconds": 1_000}
            settings = service_settings.model_copy(update={"bigquery_emulator_host": door.url, **patient})
            async with AsyncExitStack() as stack:
                clients = [await stack.enter_async_context(BigQuery(settings, service="executor")) for _ in range(EXECUTORS)]
                found = [_with(world.tools, bq) for bq in clients]
                yield door, found
                for tools in found:
                    await tools.staging.dropped()

    return opened


def _with(tools: Toolbox, bq: BigQuery) -> Toolbox:
    staging = StagingTables(bq, SystemClock())
    return replace(tools, bq=bq, store=Store(bq, ddl=DDL), staging=staging, publish_locks=KeyedLocks())


def exports(world: World, name: str) -> dict[str, Export]:
    """Three of AWS and Azure; two of them of the same cloud."""
    return {
        "aws": AwsFocusExport(bucket=world.bucket, name=f"{name}-one"),
        "aws-too": AwsFocusExport(bucket=world.bucket, name=f"{name}-two", overwrite=False, format="csv"),
        "azure": AzureFocusExport(name=name),
    }


def rows_of(which: str, month: date, *, count: int = 24) -> list[Row]:
    """Rows of an account of its own for each export."""
    rows = moved(toolkit_rows(AZURE if which == "azure" else AWS)[:count], month)
    return [
        row | {"BillingAccountId": f"{which}-{row['BillingAccountId']}", "SubAccountId": f"{which}-{row['SubAccountId']}"} for row in rows
    ]


def cloud_of(export: Export) -> str:
    return AWS if isinstance(export, AwsFocusExport) else AZURE


def load_gcp(world: World, rows: list[dict[str, Any]]) -> None:
    load(world.tenant.host, f"{world.tenant.project}.costs.gcp_billing_export_resource_v1_{ACCOUNT}", rows)


def assert_gcp(published: Published, rows: list[dict[str, Any]]) -> None:
    """FOCUS rows of GCP add up to the export."""
    wanted = totals(rows)
    billed = dict.fromkeys(wanted, Decimal())
    for row in published.focus:
        if row["provider"] == "GCP":
            billed[row["currency"]] += row["billed"]
    assert all(abs(billed[currency] - total.net) <= CENT for currency, total in wanted.items()), (billed, wanted)
    assert sum(row["n"] for row in published.billing) == len(rows)


async def test_eight_workers_publish_three_clouds_at_once_and_then_each_alone(world: World, name: str, behind_door: Behind) -> None:
    """Four executors, three clouds, two months, two exports of one cloud, one of them run twice: no row is lost or another's. Then GCP is
    run again, an AWS month is restated, and an Azure month to other days: each leaves the others alone.
    """
    found, gcp = exports(world, name), awkward(DAY, 12, 7)
    load_gcp(world, gcp)
    wanted = {(which, month): rows_of(which, month) for which in found for month in (MAY, JUNE)}
    for (which, month), rows in wanted.items():
        world.place(cloud_of(found[which]), found[which].deliver(month, rows))
    jobs = [(PIPELINES[cloud_of(found[which])], {"export": found[which].location, "month": f"{month:%Y-%m}"}) for which, month in wanted]
    jobs += [jobs[0], ("gcp/cost/billing", {"date": str(DAY)})]
    async with behind_door(world) as (door, executors):
        outcomes = await asyncio.gather(
            *(world.attempt(pipeline, executors[number % EXECUTORS], **given) for number, (pipeline, given) in enumerate(jobs))
        )
    assert Counter((one.status, one.error_message) for one in outcomes) == {(RunStatus.COMPLETED, None): len(jobs)}
    assert door.aborted, "no two of them met"
    await agrees(world, found, wanted, gcp)
    await publish_alone(world, found, wanted)


async def agrees(world: World, found: dict[str, Export], wanted: dict[tuple[str, date], list[Row]], gcp: list[dict[str, Any]]) -> None:
    published = await world.published()
    for (which, month), rows in wanted.items():
        assert_agrees(published.sums(found[which].location, month), sums(rows))
    assert_gcp(published, gcp)
    assert_whole(published)
    assert published.providers()["AWS"] == sum(len(rows) for (which, _), rows in wanted.items() if which != "azure")
    assert published.providers()["AZURE"] == sum(len(rows) for (which, _), rows in wanted.items() if which == "azure")


async def publish_alone(world: World, found: dict[str, Export], wanted: dict[tuple[str, date], list[Row]]) -> None:
    before = await held(world)
    gcp = awkward(DAY, 13, 4)
    load_gcp(world, gcp)
    await world.run("gcp/cost/billing", date=str(DAY), accept_less=True)
    after = await held(world)
    assert (after["AWS"], after["AZURE"]) == (before["AWS"], before["AZURE"])
    assert after["GCP"] != before["GCP"]

    wanted["aws", MAY] = [row | {"BilledCost": row["BilledCost"] + 1} for row in wanted["aws", MAY]]
    world.place(AWS, found["aws"].deliver(MAY, wanted["aws", MAY]))
    await world.run("aws/cost/focus", export=found["aws"].location, month="2026-05")
    last = await held(world)
    assert (last["GCP"], last["AZURE"]) == (after["GCP"], after["AZURE"])

    hour, day = timedelta(hours=1), timedelta(days=1)
    starts = [row["ChargePeriodStart"] + day for row in wanted["azure", MAY]]
    wanted["azure", MAY] = [
        row | {"ChargePeriodStart": start, "ChargePeriodEnd": start + hour} for row, start in zip(wanted["azure", MAY], starts, strict=True)
    ]
    world.place(AZURE, found["azure"].deliver(MAY, wanted["azure", MAY], at=datetime.now(UTC) + timedelta(minutes=1)))
    await world.run("azure/cost/focus", export=found["azure"].location, month="2026-05")
    end = await held(world)
    assert (end["GCP"], end["AWS"]) == (last["GCP"], last["AWS"])
    await agrees(world, found, wanted, gcp)


async def held(world: World) -> dict[str, Counter[tuple[Any, ...]]]:
    """Of each provider, which run has published which rows."""
    sql = """
    SELECT
      IFNULL(x_Provider, 'GCP') AS provider, x_SourceId, x_PipelineLoggingId, x_LoadedAt, COUNT(*) AS n, SUM(BilledCost) AS billed
    FROM focus_cost_daily
    GROUP BY ALL"""
    found = dict[str, Counter[tuple[Any, ...]]]()
    for row in await world.tenant.rows(sql):
        found.setdefault(row["provider"], Counter())[tuple(row.values())] += 1
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("cloud", first_of(1, [AWS, AZURE]))
async def test_a_run_that_dies_at_a_step(world: World, name: str, cloud: str) -> None:
    """What is there is one version whole, and the next run brings the newest."""
    export = exports(world, name)[cloud]
    rows = moved(sample_rows(cloud), MAY)
    world.place(cloud, export.deliver(MAY, rows))
    await world.run(PIPELINES[cloud], export=export.location, month="2026-05")
    steps = [step.id for step in world.catalog.templates[world.runs[0].template.name].steps]
    for number, step in enumerate(first_of(1, steps[::-1])):
        before = (await world.published()).sums(export.location)
        rows = [row | {"BilledCost": row["BilledCost"] + 1} for row in rows]
        world.place(cloud, export.deliver(MAY, rows, at=datetime.now(UTC) + timedelta(minutes=number)))
        job = await world.begin(PIPELINES[cloud], export=export.location, month="2026-05")
        await die_at_step(job, step, world.tools, after=True)
        await world.end(job, FAILED)
        published = await world.published()
        assert_whole(published)
        assert published.sums(export.location) == before or _agrees(published, export, rows), f"after {step}"
        await world.run(PIPELINES[cloud], export=export.location, month="2026-05")
        published = await world.published()
        assert_agrees(published.sums(export.location), sums(rows))
        assert_whole(published)


def _agrees(published: Published, export: Export, rows: list[Row]) -> bool:
    try:
        assert_agrees(published.sums(export.location), sums(rows))
    except AssertionError:
        return False
    return True


@pytest.mark.timeout(600)
async def test_a_run_that_dies_while_it_publishes(world: World, name: str, behind_door: Behind) -> None:
    """Before BigQuery has the script, with its answer lost, and with the script sent when the next run has published a newer version."""
    export = exports(world, name)["azure"]
    rows = moved(sample_rows(AZURE), MAY)
    async with behind_door(world) as (door, executors):
        for number, place in enumerate(first_of(1, [Place.SENT_LATE, Place.ANSWER_LOST, Place.NEVER_SENT])):
            rows = [row | {"BilledCost": row["BilledCost"] + 1} for row in rows]
            world.place(AZURE, export.deliver(MAY, rows, at=datetime.now(UTC) + timedelta(minutes=2 * number)))
            job = await world.begin(PIPELINES[AZURE], export=export.location, month="2026-05")
            await die_at_publish(job, executors[0], door, "focus_cost_daily", place)
            if place is not Place.SENT_LATE:
                await world.end(job, FAILED)
            else:  # it is not known yet that it is gone, and the next run is faster
                rows = [row | {"BilledCost": row["BilledCost"] + 1} for row in rows]
                world.place(AZURE, export.deliver(MAY, rows, at=datetime.now(UTC) + timedelta(minutes=2 * number + 1)))
            await world.run(PIPELINES[AZURE], executors[1], export=export.location, month="2026-05")
            if place is Place.SENT_LATE:
                await send(executors[0], door, "focus_cost_daily")
            published = await world.published()
            assert_agrees(published.sums(export.location), sums(rows))
            assert_whole(published)
