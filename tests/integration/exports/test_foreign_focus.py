"""Exports that others have made arrive whole: rows, and sums by service, account and currency to the cent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.support.exports.aws_focus import CSV, AwsFocusExport
from tests.support.exports.azure_focus import AzureFocusExport
from tests.support.exports.focus_rows import SAMPLE, Row, sample_rows, sums, toolkit_rows
from tests.support.exports.tables import TINY, assert_agrees, assert_whole
from tests.support.exports.variants import first_of
from tests.support.exports.world import AWS, AZURE, World

MAY, SEPTEMBER = date(2026, 5, 1), date(2024, 9, 1)
FOREIGN = [(MAY, toolkit_rows), (SEPTEMBER, sample_rows)]
AWS_EXPORTS = {
    "1.2-parquet": (AwsFocusExport(), *FOREIGN[0]),
    "1.0-csv-create-new": (AwsFocusExport(version="1.0", format=CSV, overwrite=False), *FOREIGN[1]),
    "1.2-csv": (AwsFocusExport(format=CSV), *FOREIGN[0]),
    "1.0-parquet-create-new": (AwsFocusExport(version="1.0", overwrite=False), *FOREIGN[1]),
}
AZURE_EXPORTS = {
    "1.2-preview-parquet": (AzureFocusExport(), *FOREIGN[0]),
    "1.0r2-csv": (AzureFocusExport(version="1.0r2", format=CSV, compression="none"), *FOREIGN[1]),
    "1.2-preview-csv-gzip-create-new": (AzureFocusExport(format=CSV, compression="gzip", overwrite=False), *FOREIGN[0]),
    "1.0-parquet-double": (AzureFocusExport(version="1.0", double=True), *FOREIGN[1]),
}


def differ_by_version(rows: Sequence[Row], version: str) -> None:
    """The sample covers what a version lacks, so that the test would notice."""
    assert version == "1.2" or any(row["SkuMeter"] for row in rows)


@pytest.mark.parametrize("variant", first_of(2, AWS_EXPORTS))
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


@pytest.mark.parametrize("variant", first_of(2, AZURE_EXPORTS))
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


async def test_the_foundation_s_file_as_it_stands(world: World, name: str) -> None:
    """Text for text: NULL is a word in it, numbers have as many digits as they like."""
    export = AwsFocusExport(bucket=world.account.bucket, name=name, format=CSV)
    delivered = export.deliver(SEPTEMBER, sample_rows("aws"), files=1)
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    body = "\n".join([lines[0], *(line for line in lines if ',"AWS","AWS",' in line)])
    world.place(AWS, replace(delivered, data=[replace(delivered.data[0], body=body.encode())]))
    await world.run("aws/cost/focus", export=export.location, month="2024-09")
    assert_agrees((await world.published()).sums(export.location, SEPTEMBER), sums(sample_rows("aws")))
    await columns_arrive(world, sample_rows("aws"), version="1.2")


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
