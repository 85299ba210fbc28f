"""Exports that others have made arrive whole: rows, and sums by service, account and currency to the cent."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.support.exports.aws_focus import CSV, PARQUET, AwsFocusExport
from tests.support.exports.azure_focus import AzureFocusExport
from tests.support.exports.focus_rows import Row, sample_rows, sums, toolkit_rows
from tests.support.exports.native import Cur2Export, NiseCost, NiseReport, native_sums
from tests.support.exports.tables import CENT, TINY, assert_agrees, assert_whole
from tests.support.exports.world import AWS, AZURE, World

MAY, SEPTEMBER, OCTOBER, NOVEMBER = date(2026, 5, 1), date(2024, 9, 1), date(2025, 10, 1), date(2025, 11, 1)
FOREIGN = [(MAY, toolkit_rows), (SEPTEMBER, sample_rows)]
AWS_EXPORTS = {
    "1.2-parquet": (AwsFocusExport(), *FOREIGN[0]),
    "1.2-csv-create-new": (AwsFocusExport(format=CSV, overwrite=False), *FOREIGN[1]),
    "1.0-parquet": (AwsFocusExport(version="1.0", overwrite=False), *FOREIGN[1]),
    "1.0-csv": (AwsFocusExport(version="1.0", format=CSV), *FOREIGN[0]),
}
AZURE_EXPORTS = {
    "1.2-preview-parquet": (AzureFocusExport(), *FOREIGN[0]),
    "1.2-preview-csv-gzip": (AzureFocusExport(format=CSV, compression="gzip", overwrite=False), *FOREIGN[1]),
    "1.0r2-csv": (AzureFocusExport(version="1.0r2", format=CSV, compression="none"), *FOREIGN[0]),
    "1.0-parquet-double": (AzureFocusExport(version="1.0", double=True), *FOREIGN[1]),
}


def differ_by_version(rows: Sequence[Row], version: str) -> None:
    """The sample covers what a version lacks, so that the test would notice."""
    assert version == "1.2" or any(row["SkuMeter"] for row in rows)


@pytest.mark.parametrize("variant", AWS_EXPORTS)
async def test_focus_of_aws(world: World, name: str, variant: str) -> None:
    like, month, rows_of = AWS_EXPORTS[variant]
    export = AwsFocusExport(bucket=world.account.bucket, name=name, version=like.version, format=like.format, overwrite=like.overwrite)
    rows = rows_of("aws")
    differ_by_version(rows, export.version)
    world.place(AWS, export.deliver(month, rows, files=3))
    outcome = await world.run("aws/cost/focus", export=export.location, month=f"{month:%Y-%m}")
    assert outcome.rows_processed == len(rows)
    published = await world.published()
    assert_agrees(published.sums(export.location, month), sums(rows))
    assert_whole(published)
    assert await versions(world) == {export.version}
    await own_columns_are_kept(world, "x_ServiceCode", "AmazonEC2")
    await columns_arrive(world, rows, version=export.version)


@pytest.mark.parametrize("variant", AZURE_EXPORTS)
async def test_focus_of_azure(world: World, name: str, variant: str) -> None:
    like, month, rows_of = AZURE_EXPORTS[variant]
    changes = {field: getattr(like, field) for field in ("version", "format", "compression", "overwrite", "double")}
    export, rows = AzureFocusExport(name=name, **changes), rows_of("azure")
    world.place(AZURE, export.deliver(month, rows, files=3))
    outcome = await world.run("azure/cost/focus", export=export.location, month=f"{month:%Y-%m}")
    assert outcome.rows_processed == len(rows)
    published = await world.published()
    assert_agrees(published.sums(export.location, month), sums(rows))
    assert_whole(published)
    await own_columns_are_kept(world, "x_SkuMeterCategory", "Compute")
    await columns_arrive(world, rows, version=export.version.removesuffix("r2"))


async def versions(world: World) -> set[str]:
    return {row["x_FocusVersion"] for row in await world.tenant.rows("SELECT DISTINCT x_FocusVersion FROM focus_cost_daily")}


async def own_columns_are_kept(world: World, column: str, value: str) -> None:
    sql = f"SELECT COUNTIF(JSON_VALUE(x_ProviderColumns, '$.{column}') = '{value}') = COUNT(*) AS kept FROM focus_cost_daily"
    assert await world.tenant.rows(sql) == [{"kept": True}]


TEXTS = ("ChargeCategory", "ChargeDescription", "CommitmentDiscountId", "ResourceId", "RegionId", "SkuId", "SubAccountName", "PricingUnit")
AMOUNTS = ("ListCost", "ContractedCost", "ListUnitPrice", "PricingQuantity", "ConsumedQuantity")


async def columns_arrive(world: World, rows: Sequence[Row], *, version: str) -> None:
    """Row for row: texts as they are, amounts to nine decimals, times to the second, tags by key."""
    late = ("InvoiceId", "SkuMeter", "ServiceSubcategory") if version == "1.2" else ()
    names = [*TEXTS, *late]
    sql = f"SELECT {', '.join([*names, *AMOUNTS])}, ChargePeriodStart, ChargePeriodEnd, TO_JSON_STRING(Tags) AS Tags FROM focus_cost_daily"
    found = sorted(await world.tenant.rows(sql), key=lambda row: _key(row, names))
    for got, wanted in zip(found, sorted(rows, key=lambda row: _key(row, names)), strict=True):
        for name in (*names, "ChargePeriodStart", "ChargePeriodEnd"):
            assert got[name] == wanted[name], (name, got[name], wanted[name])
        for name in AMOUNTS:
            assert (got[name] is None) == (wanted[name] is None), (name, got, wanted)
            assert wanted[name] is None or abs(Decimal(str(got[name])) - wanted[name]) <= max(TINY, abs(wanted[name]) * TINY), name
        assert _tags(json.loads(got["Tags"] or "null")) == _tags(wanted["Tags"])


def _key(row: Mapping[str, Any], names: Sequence[str]) -> str:
    amounts = [f"{row[name] or 0:.6f}" for name in ("ListCost", "ContractedCost", "PricingQuantity")]
    return repr([row["ChargePeriodStart"], row["ChargePeriodEnd"], *(row[name] for name in names), *amounts])


def _tags(tags: Mapping[str, Any] | None) -> dict[str, str]:
    """AWS's maps have texts alone."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in (tags or {}).items()}


CUR = {
    "legacy": lambda report: report,
    "cur-2-parquet": lambda report: Cur2Export(report=report, format=PARQUET),
    "cur-2-csv": lambda report: Cur2Export(report=report, format=CSV),
}


@pytest.mark.parametrize("layout", CUR)
async def test_a_report_of_three_accounts(world: World, layout: str) -> None:
    """Two months, the first in three files: a manifest's files are all loaded, and the months are kept apart."""
    report = NiseReport(name="plain", bucket=world.account.bucket)
    export = CUR[layout](report)
    months = (OCTOBER, NOVEMBER) if layout == "legacy" else (OCTOBER,)
    for month in months:
        world.place(AWS, deliver(export, month))
        outcome = await world.run("aws/cost/cur", export=export.location, month=f"{month:%Y-%m}")
        assert outcome.rows_processed == len(report.rows(month))
    rows = [row for month in months for row in report.rows(month)]
    await assert_native(world, rows, account="lineItem/UsageAccountId", currency="lineItem/CurrencyCode", cost="lineItem/UnblendedCost")
    await assert_services(world, rows, ("product/ProductName", "lineItem/ProductCode", "product/servicecode"), "lineItem/UnblendedCost")
    assert_whole(await world.published())


def deliver(export: Any, month: date) -> Any:
    """Both layouts of a report are made of text of an own bucket."""
    return export.deliver(month)


async def test_a_savings_plan_is_paid_once(world: World) -> None:
    """An upfront fee for a year, an hourly one, what they cover, and its negation."""
    report = NiseReport(name="plans", bucket=world.account.bucket)
    world.place(AWS, report.deliver(OCTOBER))
    await world.run("aws/cost/cur", export=report.location, month="2025-10")
    rows = report.rows(OCTOBER)
    [total] = await world.tenant.rows("SELECT SUM(BilledCost) AS billed FROM focus_cost_daily")
    billed = sum(Decimal(row["lineItem/UnblendedCost"]) for row in rows)
    assert abs(total["billed"] - billed) <= CENT
    covered = [row for row in rows if row["lineItem/LineItemType"] == "SavingsPlanCoveredUsage"]
    sql = "SELECT SUM(EffectiveCost) AS effective FROM focus_cost_daily WHERE ChargeCategory = 'Usage' AND ServiceCategory = 'Compute'"
    [usage] = await world.tenant.rows(sql)
    assert usage["effective"] == sum(Decimal(row["savingsPlan/SavingsPlanEffectiveCost"]) for row in covered)
    assert_whole(await world.published())


async def test_a_report_with_a_word_where_a_price_belongs(world: World) -> None:
    """By nise: `convertible` as the public cost of an instance with a reservation. No reason to lose the row, or the month."""
    report = NiseReport(name="reserved", bucket=world.account.bucket)
    world.place(AWS, report.deliver(OCTOBER))
    await world.run("aws/cost/cur", export=report.location, month="2025-10")
    await assert_native(
        world, report.rows(OCTOBER), account="lineItem/UsageAccountId", currency="lineItem/CurrencyCode", cost="lineItem/UnblendedCost"
    )


async def test_actual_cost_of_two_subscriptions(world: World) -> None:
    """In two currencies, by two exports: neither replaces the other."""
    rows = list[dict[str, str]]()
    for cost in (NiseCost(currency="EUR"), NiseCost(currency="USD", compression="gzip")):
        world.place(AZURE, cost.deliver(OCTOBER))
        outcome = await world.run("azure/cost/actual", export=cost.export.location, month="2025-10")
        assert outcome.rows_processed == len(cost.rows(OCTOBER))
        rows += cost.rows(OCTOBER)
    await assert_native(world, rows, account="SubscriptionId", currency="BillingCurrency", cost="CostInBillingCurrency")
    await assert_services(world, rows, ("MeterCategory", "ConsumedService", "ServiceFamily"), "CostInBillingCurrency")
    assert_whole(await world.published())


async def assert_native(world: World, rows: Sequence[Mapping[str, str]], *, account: str, currency: str, cost: str) -> None:
    sql = "SELECT SubAccountId, BillingCurrency, x_UsageDate, COUNT(*) AS n, SUM(BilledCost) AS billed FROM focus_cost_daily GROUP BY ALL"
    found = {(row["SubAccountId"], row["BillingCurrency"]): Decimal() for row in await world.tenant.rows(sql)}
    for row in await world.tenant.rows(sql):
        found[row["SubAccountId"], row["BillingCurrency"]] += row["billed"]
    wanted = native_sums(rows, account, currency, cost=cost)
    assert set(found) == set(wanted)
    assert all(
        abs(found[group] - total) <= min(CENT, TINY * len(rows)) for group, total in wanted.items() for group in [(group[0], group[1])]
    )


async def assert_services(world: World, rows: Sequence[Mapping[str, str]], columns: Sequence[str], cost: str) -> None:
    """A service is what one of these columns says: whichever the mapping takes, no service's sum is off."""
    found = sorted(
        row["billed"] for row in await world.tenant.rows("SELECT SUM(BilledCost) AS billed FROM focus_cost_daily GROUP BY ServiceName")
    )
    for column in columns:
        wanted = sorted(native_sums(rows, column, cost=cost).values())
        if len(wanted) == len(found) and all(abs(one - other) <= TINY * len(rows) for one, other in zip(found, wanted, strict=True)):
            return
    raise AssertionError(f"{found} are no sums by any of {columns}")
