"""The checks that aws/cost/focus, azure/cost/focus and the mappings share, and what they publish, on the emulator."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from services.executor.store import Store
from services.executor.templates.step import Toolbox
from services.platform.bigquery.ddl import load_tables
from services.platform.bigquery.sql import make_block
from services.platform.settings import REPOSITORY
from tests.support.executor.exported_rows import CHECKS, NEXT_MONTH, Bench, at, blocks_of, focus_row, sums
from tests.support.executor.tenant import Tenant

STAGING = "x_staging_focus_export"
MAY = {"first_day": date(2026, 5, 1), "last_day": date(2026, 5, 31)}
FOCUS = load_tables(REPOSITORY / "configs" / "bigquery" / "tenant")["focus_cost_daily"]
ROWS = blocks_of(CHECKS.with_name("focus_export.sql"))["focus_export_rows"]


@pytest.fixture
async def bench(tenant: Tenant, tools: Toolbox, store: Store, tmp_path: Path) -> Bench:
    await store.ensure_table(tenant.tenant_id, FOCUS)
    return Bench(tenant=tenant, staging=tools.staging, folder=tmp_path)


async def publish(bench: Bench, rows: list[dict[str, Any]]) -> None:
    """The rows in focus_cost_daily, as the publish step selects them."""
    table = await bench.stage(STAGING, rows)
    names = ", ".join(FOCUS.columns)
    script = make_block("put", f"INSERT INTO focus_cost_daily ({names})\nSELECT {names} FROM (\n{ROWS.sql}\n)", ROWS.params)
    await bench.ask(script, table, loaded_at=datetime(2026, 6, 1, tzinfo=UTC), pipeline_logging_id="run-1")


async def test_a_good_export_passes_and_is_published_as_it_is(bench: Bench) -> None:
    """Also a number that no FLOAT64 holds: one such id in a cloud's own column must not fail a month."""
    wide = '{"x_Id": 123456789012345678901234567890, "x_Share": 0.1234567890123456789}'
    rows = [focus_row(), focus_row(x_ProviderColumns=wide, Tags=None, BilledCost=Decimal("-0.5"), ListCost=Decimal("1234567890.123456789"))]
    table = await bench.stage(STAGING, rows)
    found = await bench.judged("focus_export_conformance", table, **MAY)
    assert {name: one for name, one in found.items() if one[0]} == {}
    assert len(found) == 16

    await publish(bench, rows)
    kept = await bench.tenant.rows("SELECT * FROM focus_cost_daily ORDER BY BilledCost DESC")
    assert [row["Tags"] for row in kept] == [{"team": "shop"}, None]
    assert kept[1]["x_ProviderColumns"]["x_Id"] == pytest.approx(1.2345678901234568e29)
    for row, wanted in zip(kept, rows, strict=True):
        same = {name for name in wanted if FOCUS.columns[name] != "JSON"}
        assert {name: row[name] for name in same} == {name: wanted[name] for name in same}
        assert (row["x_PipelineLoggingId"], row["x_CostType"], row["x_Credits"]) == ("run-1", None, None)


async def test_what_is_wrong_with_an_export_is_named(bench: Bench) -> None:
    """Of each fault one row; each check finds its own."""
    broken: dict[str, dict[str, object]] = {
        "mandatory_not_null": {"PublisherName": None, "ListCost": None},
        "values_allowed": {"ChargeFrequency": "Monthly", "PricingCategory": "On-Demand"},
        "categories_allowed": {"ServiceSubcategory": "Relational Databases"},
        "currency_is_iso_4217": {"BillingCurrency": "usd"},
        "periods_in_order": {"ChargePeriodEnd": at(date(2026, 5, 4))},
        "charges_on_the_date": {"x_UsageDate": date(2026, 5, 6)},
        "billing_period_of_the_export": {"BillingPeriodStart": at(date(2026, 4, 1))},
        "json_readable": {"Tags": "{team: shop}"},
        "prices_not_negative": {"ListUnitPrice": -0.1},
        "nulls_as_specified": {"RegionName": None},
        "usage_is_priced": {"SkuPriceId": None},
        "costs_known": {"ContractedCost": Decimal(0)},
        "columns_filled": {"x_SourceChanges": "InvoiceIssuerName"},
    }
    table = await bench.stage(STAGING, [focus_row(), *(focus_row(**changes) for changes in broken.values())])

    found = await bench.judged("focus_export_conformance", table, **MAY)
    assert {name: one[0] for name, one in found.items() if one[0]} == dict.fromkeys(broken, 1)
    assert found["mandatory_not_null"][1] == "ListCost, PublisherName"
    assert found["values_allowed"][1] == "ChargeFrequency, PricingCategory"
    assert found["categories_allowed"][1] == "Compute with Relational Databases"
    assert (found["json_readable"][1], found["nulls_as_specified"][1]) == ("Tags", "RegionId and RegionName")
    assert (found["usage_is_priced"][1], found["costs_known"][1]) == ("SkuPriceId", "ContractedCost")
    assert found["columns_filled"][1] == "InvoiceIssuerName"


async def test_nulls_that_the_specification_demands(bench: Bench) -> None:
    tax: dict[str, object] = {"ChargeCategory": "Tax", "ConsumedQuantity": None, "ConsumedUnit": None}
    broken: list[tuple[dict[str, object], str]] = [
        (tax, "a price of a tax"),
        ({"ChargeCategory": "Purchase"}, "ChargeFrequency of a purchase, ConsumedQuantity without usage"),
        ({"CommitmentDiscountId": "arn:aws:savingsplans::1:savingsplan/a"}, "CommitmentDiscount columns"),
        ({"CapacityReservationId": "cr-1"}, "CapacityReservation columns"),
        ({"SkuPriceDetails": "{}", "SkuPriceId": None}, "SkuPriceDetails without SkuPriceId"),
        ({"ConsumedUnit": None}, "ConsumedQuantity and ConsumedUnit"),
        ({"PricingUnit": None}, "PricingQuantity and PricingUnit"),
        ({"ResourceType": None}, "ResourceId and ResourceType"),
        ({"SubAccountName": None}, "SubAccount columns"),
    ]
    table = await bench.stage(STAGING, [focus_row(), *(focus_row(**changes) for changes, _ in broken)])
    found = (await bench.judged("focus_export_conformance", table, **MAY))["nulls_as_specified"]
    assert found == (len(broken), "; ".join(sorted(name for _, name in broken)))


async def test_an_account_is_exported_once(bench: Bench) -> None:
    """Another export of the same account and period is found; of another account, another period or another cloud it is none."""
    await publish(
        bench,
        [
            focus_row(x_SourceId="AWS/bills/focus/old"),
            focus_row(x_SourceId="AWS/bills/focus/other", SubAccountId="999900001111"),
            focus_row(x_SourceId="AWS/bills/focus/april", x_BillingPeriod=date(2026, 4, 1)),
            focus_row(x_SourceId="GCP/export", x_Provider="GCP"),
        ],
    )
    table = await bench.stage(STAGING, [focus_row(), focus_row(SubAccountId=None, SubAccountName=None, SubAccountType=None)])
    found = await bench.judged("focus_export_conformance", table, **MAY)
    assert found["account_exported_once"] == (1, "111122223333 444455556666 in 2026-05 by AWS/bills/focus/old")
    assert found["one_source"] == (0, "1")
    table = await bench.stage(STAGING, [focus_row(), focus_row(x_SourceId="AWS/bills/focus/second")])
    assert (await bench.judged("focus_export_conformance", table, **MAY))["one_source"] == (2, "2")


async def test_less_than_half_of_a_period_is_suspicious(bench: Bench) -> None:
    """Of the same export alone, period by period, each currency by itself."""
    june = {"x_BillingPeriod": NEXT_MONTH, "BillingPeriodStart": at(NEXT_MONTH), "BillingPeriodEnd": at(date(2026, 7, 1))}
    before = [
        focus_row(BilledCost=Decimal(100)),
        focus_row(BilledCost=Decimal(10), BillingCurrency="EUR"),
        focus_row(BilledCost=Decimal(500), x_SourceId="AWS/bills/focus/other", SubAccountId="999900001111"),
    ]
    await publish(bench, before)
    now = [focus_row(BilledCost=Decimal(50)), focus_row(BilledCost=Decimal(1), **june)]
    table = await bench.stage(STAGING, now)
    found = await bench.judged("focus_export_conformance", table, **MAY)
    assert found["cost_as_before"] == (1, "2026-05 EUR 0.00 of 10.00, 2026-05 USD 50.00 of 100.00, 2026-06 USD 1.00 of 0.00")


async def test_rows_and_sums_agree_with_what_was_read(bench: Bench) -> None:
    """To half a cent in each period and currency: what is missing in one does not make up for another."""
    rows = [focus_row(), focus_row(), focus_row(BillingCurrency="EUR", BilledCost=Decimal("3.10"), EffectiveCost=Decimal("2.90"))]
    table = await bench.stage(STAGING, rows)
    good = await bench.judged("focus_export_agrees", table, source_rows=3, source_sums=sums(rows))
    assert good == {
        "rows_agree_with_source": (0, "3"),
        "billed_cost_agrees": (0, "2026-05 EUR 3.10, 2026-05 USD 0.19"),
        "effective_cost_agrees": (0, "2026-05 EUR 2.90, 2026-05 USD 0.19"),
    }
    moved = [focus_row(BilledCost=Decimal("0.1013")), focus_row(x_BillingPeriod=NEXT_MONTH), rows[2]]
    found = await bench.judged("focus_export_agrees", table, source_rows=4, source_sums=sums(moved))
    assert {name: failing for name, (failing, _) in found.items()} == {
        "rows_agree_with_source": 3,
        "billed_cost_agrees": 2,
        "effective_cost_agrees": 2,
    }
    almost = [*rows[:2], rows[2] | {"BilledCost": Decimal("3.1049")}]
    found = await bench.judged("focus_export_agrees", table, source_rows=3, source_sums=sums(almost))
    assert found == good
