"""Billing periods without rows: of every dataset and format, and published ones that become empty."""

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.integration.exports.test_peers_bugs import AWS_FOCUS, AZURE_FOCUS, MAY, agrees, without_rows
from tests.support.exports.aws_focus import AwsFocusExport
from tests.support.exports.azure_focus import AzureFocusExport
from tests.support.exports.native import NiseCost, NiseReport
from tests.support.exports.objects import Delivered
from tests.support.exports.restated import few, manifest
from tests.support.exports.tables import assert_whole
from tests.support.exports.variants import first_of
from tests.support.exports.world import AWS, AZURE, World

OCTOBER = date(2025, 10, 1)


def parquet_without_rows(delivered: Delivered) -> Delivered:
    """The columns alone."""

    def emptied(body: bytes) -> bytes:
        out = io.BytesIO()
        pq.write_table(pq.read_table(io.BytesIO(body)).slice(0, 0), out)
        return out.getvalue()

    return replace(delivered, data=[replace(one, body=emptied(one.body)) for one in delivered.data])


def focus(world: World) -> tuple[str, str, Delivered]:
    export = AwsFocusExport(bucket=world.bucket, name="empty")
    return AWS_FOCUS, export.location, parquet_without_rows(export.deliver(OCTOBER, few("aws", OCTOBER)))


def report(world: World) -> tuple[str, str, Delivered]:
    export = NiseReport(name="plans", bucket=world.bucket)
    return "aws/cost/cur", export.location, without_rows(export.deliver(OCTOBER))


def actual(world: World) -> tuple[str, str, Delivered]:
    cost = NiseCost(currency="USD")
    return "azure/cost/actual", cost.export.location, without_rows(cost.deliver(OCTOBER))


@pytest.mark.parametrize("export", first_of(2, [focus, actual, report]))
async def test_a_month_without_rows_is_published_as_one(world: World, export: Callable[[World], Any]) -> None:
    pipeline, location, delivered = export(world)
    world.place(AWS if pipeline.startswith("aws") else AZURE, delivered)

    assert (await world.run(pipeline, export=location, month="2025-10")).rows_processed == 0

    published = await world.published()
    assert [(row["billing_period"], row["row_count"], row["version"]) for row in published.exports] == [(OCTOBER, 0, 1)]
    assert_whole(published)


async def test_a_published_month_whose_manifest_lists_no_file_any_more_is_emptied_if_that_is_accepted(world: World, name: str) -> None:
    export = AzureFocusExport(name=name)
    rows = few("azure")
    world.place(AZURE, export.deliver(MAY, rows, at=datetime(2026, 5, 2, tzinfo=UTC)))
    await world.run(AZURE_FOCUS, export=export.location, month="2026-05")
    none = export.deliver(MAY, rows, at=datetime(2026, 5, 3, tzinfo=UTC))
    none = manifest(none, blobs=lambda _: [], blobCount=lambda _: 0, dataRowCount=lambda _: 0)
    world.place(AZURE, none.manifest)

    assert "more than half" in await world.fail(AZURE_FOCUS, export=export.location, month="2026-05")
    await agrees(world, export, rows)
    await world.run(AZURE_FOCUS, export=export.location, month="2026-05", accept_less=True)
    await agrees(world, export, [])

    published = await world.published()
    assert [(row["row_count"], row["file_count"], row["dataset"], row["version"]) for row in published.exports] == [(0, 0, None, 2)]
