"""Billing periods of exported files: each is replaced as a whole, and an older version never replaces a newer one."""

import asyncio
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from services.executor.ledger.exports import KnownExport
from services.executor.metering.meter import StepMeter
from services.executor.records import Period, RunOutcome, RunStatus
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.sources.exported_months import end_of
from services.executor.sources.source import MONTHS_OUTPUTS, CheckCancelled, Estimate, Export, ReadRequest, Source, SourceType, Unchanged
from services.executor.steps import STEP_TYPES
from services.executor.steps.extract import extract_from
from services.executor.store import Store
from services.executor.templates.catalog import Catalog, load_catalog
from services.executor.templates.name import PipelineName
from services.executor.templates.step import Toolbox
from services.platform.settings import ServiceSettings
from tests.support.executor.tenant import Tenant

FILES = PipelineName(provider="aws", domain="cost", template="files")
OCT, NOV = date(2025, 10, 1), date(2025, 11, 1)
TEMPLATE = """
description: Billing periods of a cloud of the tests.
parameters:
  month: {type: month, description: The billing period.}
  months: {type: choice, choices: [open], scheduled: open, description: Those that may still change.}
  history_months: {type: integer, description: Months to begin with.}
  export: {type: export, required: true, description: Where it lies.}
  replaces: {type: export, description: A former export.}
  account: {type: string, description: The account of the rows.}
  accept_less: {type: boolean, description: Publish less.}
steps:
  - {id: extract, type: aws.test_export, staging: x_staging_focus_export}
  - id: publish
    type: bigquery.publish
    needs: [extract]
    sql: files.sql#rows
    table: focus_cost_daily
    day: x_UsageDate
    currency: BillingCurrency
    cost: ContractedCost
    net_cost: BilledCost
    only: {column: x_Provider, value: AWS}
    ledger: {source: aws, service: ServiceName, months: true}
"""
FILLED = {
    "BillingAccountType": "Billing Account",
    "BillingCurrency": "USD",
    "ChargeCategory": "Usage",
    "ChargeFrequency": "Usage-Based",
    "InvoiceIssuerName": "AWS",
    "ProviderName": "AWS",
    "PublisherName": "AWS",
    "ServiceCategory": "Compute",
    "ServiceName": "EC2",
    "ServiceSubcategory": "Virtual Machines",
    "x_Provider": "AWS",
}
PUBLISHED = "SELECT x_SourceId, x_BillingPeriod, x_UsageDate, BilledCost, x_ManifestId FROM focus_cost_daily ORDER BY 1, 2, 3, 4"
LEDGER = "SELECT usage_date, row_count, sums FROM x_meta_cost_days WHERE source = 'aws' AND row_count > 0"
CHANGES = "SELECT usage_date, SUM(delta) AS delta FROM x_meta_cost_changes WHERE source = 'aws' GROUP BY usage_date"

type Costs = Mapping[date, float]


@dataclass(frozen=True)
class Version:
    """One version of one month, as it lies in the cloud."""

    costs: Costs
    exported_at: datetime
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class FakeExport:
    source_id: str
    found: Mapping[date, Version]
    known: Mapping[date, KnownExport | None]
    replaces: str | None
    replaced_days: Mapping[date, Sequence[date]]
    account: str

    @property
    def period(self) -> Period:
        return Period.of(day["day"] for day in self._days())

    @property
    def origin(self) -> Mapping[str, Any]:
        return {}

    def estimate(self) -> Estimate:
        return Estimate(bytes_read=0, staged_bytes=0, rows=0, cost_usd=0.0)

    def read(self, staged: pa.Schema, check_cancelled: CheckCancelled) -> Iterator[pa.Table]:
        for month, version in self.found.items():
            rows = [self._row(month, version, day, cost) for day, cost in version.costs.items()]
            yield pa.Table.from_pylist(rows, schema=staged)

    def _row(self, month: date, version: Version, day: date, cost: float) -> dict[str, Any]:
        amount = Decimal(str(cost))
        costs = dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), amount)
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        periods = {
            "BillingPeriodStart": datetime(month.year, month.month, 1, tzinfo=UTC),
            "BillingPeriodEnd": datetime(*(end_of(month) + timedelta(days=1)).timetuple()[:3], tzinfo=UTC),
            "ChargePeriodStart": begin,
            "ChargePeriodEnd": begin + timedelta(days=1),
        }
        own = {
            "BillingAccountId": self.account,
            "x_UsageDate": day,
            "x_SourceId": self.source_id,
            "x_BillingPeriod": month,
            "x_ManifestId": version.id,
        }
        return {**FILLED, **costs, **periods, **own}

    def _days(self) -> list[dict[str, Any]]:
        days = dict[date, datetime]()
        for month, version in self.found.items():
            known = self.known[month]
            covered = Period(first=month, last=month + timedelta(days=2)).days
            for day in {*version.costs, *(known.days if known else ()), *covered, *self.replaced_days.get(month, ())}:
                days[day] = version.exported_at
        return [
            {
                "day": day,
                "since": None,
                "source_table": self.source_id,
                "source_created_at": None,
                "exported_to": exported,
                "is_followed": day.replace(day=1) in self.found,
            }
            for day, exported in days.items()
        ]

    def outputs(self) -> Mapping[str, object]:
        def seen(month: date) -> int:
            known = self.known[month]
            return known.version if known else 0

        exports = [
            {
                "source_id": self.source_id,
                "billing_period": month,
                "dataset": "FOCUS",
                "focus_version": "1.2",
                "manifest_key": "m",
                "manifest_etag": version.id,
                "manifest_id": version.id,
                "exported_at": version.exported_at,
                "seen_version": seen(month),
                "row_count": len(version.costs),
                "file_count": 1,
                "byte_count": 1,
            }
            for month, version in self.found.items()
        ]
        sums = [
            {
                "billing_period": month,
                "currency": "USD",
                "row_count": len(version.costs),
                "billed_cost": sum((Decimal(str(cost)) for cost in version.costs.values()), Decimal()),
                "effective_cost": Decimal(),
            }
            for month, version in self.found.items()
        ]
        days = [{"billing_period": month, "day": day} for month, version in self.found.items() for day in version.costs]
        replaced = [self.replaces] if self.replaces else []
        return {"day_reads": self._days(), "exports": exports, "export_days": days, "source_sums": sums, "replaced_sources": replaced}


@dataclass
class Cloud:
    """`sources.source.Sources` and `Source`: what lies in the cloud; `waits` holds a run up after it has looked."""

    versions: dict[tuple[str, date], Version] = field(default_factory=dict)

    async def open(self, tenant_id: str, source_type: SourceType, meter: StepMeter, *, session: str, since: float) -> Source:
        return Opened(dict(self.versions))


@dataclass
class Opened:
    versions: Mapping[tuple[str, date], Version]

    def find(self, request: ReadRequest, check_cancelled: CheckCancelled) -> Export | Unchanged:
        assert request.exports
        source_id = f"AWS/{request.parameters['export']}"
        found, known = dict[date, Version](), dict[date, KnownExport | None]()
        for month in request.exports.months(source_id):
            known[month], version = request.exports.known_of(source_id, month), self.versions.get((source_id, month))
            before = known[month]
            if version and (request.exports.month or before is None or before.manifest_etag != version.id):
                found[month] = version
        replaces = request.parameters["replaces"] and f"AWS/{request.parameters['replaces']}"
        gone = {month: one.days for (source, month), one in request.exports.known.items() if source == replaces}
        account = str(request.parameters["account"] or source_id)
        export = FakeExport(source_id, found, known, str(replaces) if replaces else None, gone, account)
        return export if found else Unchanged(as_of=None)

    def close(self) -> None:
        pass


def never(*_: object) -> Source:
    raise AssertionError("the cloud opens it")


MONTHLY = SourceType(
    provider="AWS", parameters={"export": "export"}, reads_days=False, reads_months=True, outputs=MONTHS_OUTPUTS, open=never
)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = tmp_path_factory.mktemp("configs")
    shutil.copytree(ServiceSettings().configs_dir / "bigquery", folder / "bigquery")
    (folder / "aws" / "cost").mkdir(parents=True)
    (folder / "aws" / "cost" / "files.yml").write_text(TEMPLATE)
    columns = (ServiceSettings().configs_dir / "bigquery" / "tenant" / "focus_cost_daily.sql").read_text()
    names = [line.split()[0] for line in columns.splitlines() if line.startswith("  ")]
    staged = (ServiceSettings().configs_dir / "bigquery" / "staging" / "x_staging_focus_export.sql").read_text()
    there = {line.split()[0] for line in staged.splitlines() if line.startswith("  ")}
    json_columns = {"Tags", "SkuPriceDetails", "x_ProviderColumns", "x_SystemLabels", "x_Credits"}
    kinds = {line.split()[0]: line.split()[1].rstrip(",") for line in columns.splitlines() if line.startswith("  ")}
    selected = [
        name
        if name in there and name not in json_columns
        else f"CAST(NULL AS {kinds[name]}) AS {name}"
        if name not in json_columns
        else f"PARSE_JSON(CAST(NULL AS STRING)) AS {name}"
        for name in names
    ]
    text = f"-- name: rows\n-- Reads only.\nSELECT {', '.join(selected)}\nFROM x_staging_focus_export\n"
    (folder / "aws" / "cost" / "files.sql").write_text(text)
    loaded = load_catalog(folder, {**STEP_TYPES, "aws.test_export": extract_from("aws.test_export", lambda: MONTHLY)})
    assert loaded.broken == {}
    return loaded


@dataclass
class Runs:
    """Runs of the template for one tenant."""

    tenant: Tenant
    store: Store
    catalog: Catalog
    tools: Toolbox
    cloud: Cloud

    async def prepared(self, **parameters: object) -> PreparedRun:
        job = self.tenant.job(self.catalog, FILES, **{"export": "s3://bucket/a", **parameters})
        await self.store.insert_run(job.run, seconds=10)
        return job

    async def run(self, **parameters: object) -> RunOutcome:
        return await execute(await self.prepared(**parameters), self.tools)

    async def published(self) -> list[tuple[date, date, float]]:
        return [(row["x_BillingPeriod"], row["x_UsageDate"], float(row["BilledCost"])) for row in await self.tenant.rows(PUBLISHED)]

    async def expect(self, *months: tuple[date, Costs]) -> None:
        """What is published, and the ledger and the changes agree with it."""
        expected = sorted((month, day, cost) for month, costs in months for day, cost in costs.items())
        assert sorted(await self.published()) == expected
        by_day = dict[date, Decimal]()
        for _, day, cost in expected:
            by_day[day] = by_day.get(day, Decimal()) + Decimal(str(cost))
        days = {row["usage_date"]: row["sums"][0]["net_cost"] for row in await self.tenant.rows(LEDGER)}
        assert days == by_day
        moved = {row["usage_date"]: row["delta"] for row in await self.tenant.rows(CHANGES) if row["delta"]}
        assert moved == by_day


@pytest.fixture
def runs(tenant: Tenant, store: Store, catalog: Catalog, tools: Toolbox) -> Runs:
    cloud = Cloud()
    return Runs(tenant=tenant, store=store, catalog=catalog, tools=replace(tools, sources=cloud), cloud=cloud)


def at(hour: int) -> datetime:
    return datetime(2025, 11, 20, hour, tzinfo=UTC)


def of(month: date, *costs: float, shift: int = 0) -> Costs:
    return {month + timedelta(days=index + shift): cost for index, cost in enumerate(costs)}


async def test_a_period_is_replaced_as_a_whole_and_shares_days_with_another(runs: Runs) -> None:
    october = {**of(OCT, 1.25, 2.5), NOV: 0.75}
    november = of(NOV, 10.0, 20.0)
    runs.cloud.versions |= {("AWS/s3://bucket/a", OCT): Version(october, at(1)), ("AWS/s3://bucket/a", NOV): Version(november, at(1))}
    for month in ("2025-10", "2025-11"):
        outcome = await runs.run(month=month)
        assert (outcome.status, outcome.error_message) == (RunStatus.COMPLETED, None)
    await runs.expect((OCT, october), (NOV, november))

    # A day leaves the period, one moves, and one comes; what another period has on a shared day stays.
    restated = of(OCT, 1.5, 2.5, shift=1)
    runs.cloud.versions["AWS/s3://bucket/a", OCT] = Version(restated, at(2))
    assert (await runs.run(month="2025-10")).rows_processed == 2
    await runs.expect((OCT, restated), (NOV, november))


async def test_another_export_of_the_same_cloud_is_left_alone(runs: Runs) -> None:
    one, other = of(NOV, 1.0, 2.0), of(NOV, 30.0, 40.0)
    runs.cloud.versions |= {("AWS/s3://bucket/a", NOV): Version(one, at(1)), ("AWS/s3://bucket/b", NOV): Version(other, at(1))}
    await runs.run(month="2025-11")
    await runs.run(month="2025-11", export="s3://bucket/b")
    await runs.expect((NOV, one), (NOV, other))
    less = of(NOV, 3.0)
    runs.cloud.versions["AWS/s3://bucket/a", NOV] = Version(less, at(2))
    await runs.run(month="2025-11")
    await runs.expect((NOV, less), (NOV, other))


async def test_an_account_is_never_published_from_two_exports(runs: Runs) -> None:
    """Both runs looked before either published."""
    costs = of(NOV, 1.0, 2.0)
    runs.cloud.versions |= {("AWS/s3://bucket/a", NOV): Version(costs, at(1)), ("AWS/s3://bucket/b", NOV): Version(costs, at(1))}
    outcomes = await asyncio.gather(
        runs.run(month="2025-11", account="one"), runs.run(month="2025-11", account="one", export="s3://bucket/b")
    )
    assert sorted(outcome.status for outcome in outcomes) == [RunStatus.COMPLETED, RunStatus.FAILED]
    message = next(str(outcome.error_message) for outcome in outcomes if outcome.error_message)
    assert "one in 2025-11 by AWS/s3://bucket/" in message
    assert "with `replaces`" in message
    await runs.expect((NOV, costs))


async def test_an_export_takes_the_place_of_a_former_one(runs: Runs) -> None:
    october, november = of(OCT, 1.0, 2.0), of(NOV, 4.0)
    moved = {**of(NOV, 5.0, shift=1), OCT + timedelta(days=9): 0.5}
    runs.cloud.versions |= {
        ("AWS/s3://bucket/a", OCT): Version(october, at(1)),
        ("AWS/s3://bucket/a", NOV): Version(november, at(1)),
        ("AWS/s3://bucket/b", NOV): Version(moved, at(1)),
    }
    for month in ("2025-10", "2025-11"):
        await runs.run(month=month, account="one")
    # A month that the new one does not have stays with the former one.
    outcome = await runs.run(month="2025-11", account="one", export="s3://bucket/b", replaces="s3://bucket/a")
    assert (outcome.status, outcome.rows_processed) == (RunStatus.COMPLETED, 2)
    await runs.expect((OCT, october), (NOV, moved))
    known = await runs.store.ledger.exports(runs.tenant.tenant_id, "AWS")
    assert set(known) == {("AWS/s3://bucket/a", OCT), ("AWS/s3://bucket/b", NOV)}


async def test_a_correction_of_another_month_makes_no_day_loaded(runs: Runs) -> None:
    march = date(2025, 3, 2)
    runs.cloud.versions["AWS/s3://bucket/a", NOV] = Version({**of(NOV, 1.0), march: -0.5}, at(1))
    await runs.run(month="2025-11")
    loaded = {row["usage_date"]: row["is_loaded"] for row in await runs.tenant.rows("SELECT usage_date, is_loaded FROM x_meta_cost_days")}
    assert loaded == {march: False, NOV: True, NOV + timedelta(days=1): True, NOV + timedelta(days=2): True}
    # Its own month comes later, and goes on being loaded when the correction is read again.
    runs.cloud.versions["AWS/s3://bucket/a", date(2025, 3, 1)] = Version({march: 7.0}, at(2))
    await runs.run(month="2025-03", accept_less=True)
    await runs.run(month="2025-11")
    loaded = {row["usage_date"]: row["is_loaded"] for row in await runs.tenant.rows("SELECT usage_date, is_loaded FROM x_meta_cost_days")}
    assert loaded[march] is True


async def test_an_older_version_never_replaces_a_newer_one(runs: Runs) -> None:
    source = ("AWS/s3://bucket/a", NOV)
    old, new = Version(of(NOV, 1.0), at(1)), Version(of(NOV, 2.0), at(2))
    runs.cloud.versions[source] = old
    slow = await runs.prepared(month="2025-11")
    publish = next(step for step in slow.template.steps if step.id == "publish")
    began, go_on = asyncio.Event(), asyncio.Event()

    @dataclass(frozen=True)
    class Held:
        OUTPUTS = publish.action.OUTPUTS

        async def run(self, context: Any) -> Any:
            began.set()
            await go_on.wait()
            return await publish.action.run(context)

    steps = tuple(replace(step, action=Held()) if step is publish else step for step in slow.template.steps)
    held = asyncio.create_task(execute(replace(slow, template=replace(slow.template, steps=steps)), runs.tools))
    await began.wait()
    runs.cloud.versions[source] = new
    assert (await runs.run(month="2025-11")).rows_processed == 1
    go_on.set()
    outcome = await held
    assert (outcome.status, outcome.rows_processed) == (RunStatus.COMPLETED, 0)
    await runs.expect((NOV, new.costs))


async def test_eight_publishes_at_once_leave_one_version_whole(runs: Runs) -> None:
    versions = [Version(of(NOV, *[float(index)] * 3), at(index)) for index in range(1, 9)]
    prepared = list[PreparedRun]()
    clouds = [Cloud({("AWS/s3://bucket/a", NOV): version}) for version in versions]
    for _ in versions:
        prepared.append(await runs.prepared(month="2025-11"))
    outcomes = await asyncio.gather(
        *(execute(job, replace(runs.tools, sources=cloud)) for job, cloud in zip(prepared, clouds, strict=True))
    )
    done = [outcome for outcome in outcomes if outcome.status is RunStatus.COMPLETED and outcome.rows_processed]
    published = await runs.published()
    assert len(done) >= 1
    assert len(published) == 3
    [cost] = {cost for _, _, cost in published}
    await runs.expect((NOV, of(NOV, *[cost] * 3)))
    newest = max(float(index) for index, outcome in enumerate(outcomes, 1) if outcome in done)
    assert cost == newest, "of those that were published the newest is there"


async def test_what_is_unchanged_is_not_read_again(runs: Runs) -> None:
    this = datetime.now(UTC).date().replace(day=1)
    runs.cloud.versions["AWS/s3://bucket/a", this] = Version({this: 1.0}, at(1))
    assert (await runs.run(months="open")).rows_processed == 1
    again = await runs.run(months="open")
    assert (again.status, again.rows_processed) == (RunStatus.COMPLETED, 0)
    await runs.expect((this, {this: 1.0}))


async def test_a_month_that_would_lose_more_than_half_is_refused(runs: Runs) -> None:
    source = ("AWS/s3://bucket/a", NOV)
    runs.cloud.versions[source] = Version(of(NOV, 10.0, 10.0, 10.0), at(1))
    await runs.run(month="2025-11")
    runs.cloud.versions[source] = Version(of(NOV, 10.0), at(2))
    outcome = await runs.run(month="2025-11")
    assert outcome.status is RunStatus.FAILED
    assert "2025-11 would keep 1 of 3 USD rows and 10.00 of 30.00 USD" in str(outcome.error_message)
    # On one day everything may go: what counts is the month.
    moved = of(NOV, 0.0, 0.0, 29.0)
    runs.cloud.versions[source] = Version(moved, at(3))
    assert (await runs.run(month="2025-11")).status is RunStatus.COMPLETED
    less = of(NOV, 1.0)
    runs.cloud.versions[source] = Version(less, at(4))
    assert (await runs.run(month="2025-11", accept_less=True)).status is RunStatus.COMPLETED
    await runs.expect((NOV, less))
