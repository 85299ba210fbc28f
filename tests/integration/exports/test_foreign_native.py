"""Cost in the clouds' own columns, written by others, arrives whole: what is billed by service, account and currency, to the cent."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.support.exports.aws_focus import CSV, PARQUET
from tests.support.exports.native import Cur2Export, NiseCost, NiseReport, native_sums
from tests.support.exports.tables import CENT, TINY, assert_whole
from tests.support.exports.variants import first_of
from tests.support.exports.world import AWS, AZURE, World

OCTOBER, NOVEMBER = date(2025, 10, 1), date(2025, 11, 1)
CUR: dict[str, Callable[[NiseReport], Any]] = {
    "legacy": lambda report: report,
    "cur-2-parquet": lambda report: Cur2Export(report=report, format=PARQUET),
    "cur-2-csv": lambda report: Cur2Export(report=report, format=CSV),
}


@pytest.mark.parametrize("layout", first_of(2, CUR))
async def test_a_report_of_three_accounts(world: World, layout: str) -> None:
    """In three files: a manifest's files are all loaded."""
    report = NiseReport(name="plain", bucket=world.bucket)
    export = CUR[layout](report)
    months = first_of(1, (OCTOBER, NOVEMBER) if layout == "legacy" else (OCTOBER,))
    for month in months:
        world.place(AWS, export.deliver(month))
        outcome = await world.run("aws/cost/cur", export=export.location, month=f"{month:%Y-%m}")
        assert outcome.rows_processed == len(report.rows(month))
    rows = [row for month in months for row in report.rows(month)]
    await assert_native(world, rows, account="lineItem/UsageAccountId", currency="lineItem/CurrencyCode", cost="lineItem/UnblendedCost")
    await assert_services(world, rows, ("product/ProductName", "lineItem/ProductCode", "product/servicecode"), "lineItem/UnblendedCost")
    assert_whole(await world.published())


async def test_a_savings_plan_is_paid_once(world: World) -> None:
    """An upfront fee for a year, an hourly one, what they cover, and its negation."""
    report = NiseReport(name="plans", bucket=world.bucket)
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
    report = NiseReport(name="reserved", bucket=world.bucket)
    world.place(AWS, report.deliver(OCTOBER))
    await world.run("aws/cost/cur", export=report.location, month="2025-10")
    await assert_native(
        world, report.rows(OCTOBER), account="lineItem/UsageAccountId", currency="lineItem/CurrencyCode", cost="lineItem/UnblendedCost"
    )


async def test_actual_cost_of_subscriptions(world: World) -> None:
    """In currencies of their own, by an export each: neither replaces the other."""
    rows = list[dict[str, str]]()
    for cost in first_of(1, (NiseCost(currency="EUR"), NiseCost(currency="USD", compression="gzip"))):
        world.place(AZURE, cost.deliver(OCTOBER))
        outcome = await world.run("azure/cost/actual", export=cost.export.location, month="2025-10")
        assert outcome.rows_processed == len(cost.rows(OCTOBER))
        rows += cost.rows(OCTOBER)
    await assert_native(world, rows, account="SubscriptionId", currency="BillingCurrency", cost="CostInBillingCurrency")
    await assert_services(world, rows, ("MeterCategory", "ConsumedService", "ServiceFamily"), "CostInBillingCurrency")
    assert_whole(await world.published())


async def assert_native(world: World, rows: Sequence[Mapping[str, str]], *, account: str, currency: str, cost: str) -> None:
    sql = "SELECT SubAccountId, BillingCurrency, SUM(BilledCost) AS billed FROM focus_cost_daily GROUP BY SubAccountId, BillingCurrency"
    # Azure's FOCUS names a subscription by its path.
    found = {
        (row["SubAccountId"].removeprefix("/subscriptions/"), row["BillingCurrency"]): row["billed"] for row in await world.tenant.rows(sql)
    }
    wanted = native_sums(rows, account, currency, cost=cost)
    assert set(found) == set(wanted)
    assert [group for group, total in wanted.items() if abs(found[group[0], group[1]] - total) > min(CENT, TINY * len(rows))] == []


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
