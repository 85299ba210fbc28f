"""What users of other suites have reported of what is published, each as it must go here. How files are read: test_odd_exports."""

import gzip
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from services.executor.records import RunStatus
from tests.support.exports.aws_focus import CSV, AwsFocusExport
from tests.support.exports.azure_focus import AzureFocusExport
from tests.support.exports.focus_rows import Row, sums
from tests.support.exports.objects import Delivered
from tests.support.exports.restated import dearer, few, manifest
from tests.support.exports.tables import assert_agrees, assert_whole
from tests.support.exports.variants import first_of
from tests.support.exports.world import AWS, AZURE, World
from tests.support.set_clock import SetClock

APRIL, MAY, JUNE = date(2026, 4, 1), date(2026, 5, 1), date(2026, 6, 1)
AWS_FOCUS, AZURE_FOCUS = "aws/cost/focus", "azure/cost/focus"


@pytest.fixture
def aws(world: World, name: str) -> AwsFocusExport:
    return AwsFocusExport(bucket=world.bucket, name=name)


@pytest.fixture
def blobs(name: str) -> AzureFocusExport:
    return AzureFocusExport(name=name)


async def agrees(world: World, export: AwsFocusExport | AzureFocusExport, rows: list[Row], month: date = MAY) -> None:
    """The period holds these rows and no others, and the ledger says so."""
    published = await world.published()
    assert_agrees(published.sums(export.location, month), sums(rows))
    assert_whole(published)


def at(month: date, day: int, hour: int = 3) -> SetClock:
    clock = SetClock()
    clock.time = datetime(month.year, month.month, day, hour, tzinfo=UTC)
    return clock


async def test_koku_968_on_the_first_both_months_are_read(world: World, aws: AwsFocusExport) -> None:
    """The last update of a month comes when the next one has begun."""
    may, june = few("aws"), few("aws", JUNE)
    world.place(AWS, aws.deliver(MAY, may[:-1]))
    first = world.with_tools(clock=at(MAY, 31))
    await first.run(AWS_FOCUS, export=aws.location, months="open")
    await agrees(world, aws, may[:-1])

    world.place(AWS, aws.deliver(MAY, may))
    world.place(AWS, aws.deliver(JUNE, june))
    await world.with_tools(clock=at(JUNE, 1)).run(AWS_FOCUS, export=aws.location, months="open")
    await agrees(world, aws, may)
    await agrees(world, aws, june, JUNE)


async def test_labs_165_the_last_day_of_a_month_arrives_in_the_next(world: World, blobs: AzureFocusExport) -> None:
    """As koku 968, in Azure, where each run has a folder of its own, and days later."""
    may = few("azure")
    last = [
        row | {"ChargePeriodStart": datetime(2026, 5, 31, tzinfo=UTC), "ChargePeriodEnd": datetime(2026, 6, 1, tzinfo=UTC)}
        for row in may[:1]
    ]
    world.place(AZURE, blobs.deliver(MAY, may, at=datetime(2026, 5, 31, 6, tzinfo=UTC), until=date(2026, 5, 31)))
    await world.with_tools(clock=at(MAY, 31, 9)).run(AZURE_FOCUS, export=blobs.location, months="open")
    await agrees(world, blobs, may)
    world.place(AZURE, blobs.deliver(MAY, may + last, at=datetime(2026, 6, 2, 6, tzinfo=UTC)))
    world.place(AZURE, blobs.deliver(JUNE, few("azure", JUNE), at=datetime(2026, 6, 2, 7, tzinfo=UTC)))
    await world.with_tools(clock=at(JUNE, 2, 9)).run(AZURE_FOCUS, export=blobs.location, months="open")
    await agrees(world, blobs, may + last)


@pytest.mark.parametrize("cloud", [AWS, AZURE])
async def test_koku_2457_a_missing_file_is_named_and_nothing_is_published(
    world: World, aws: AwsFocusExport, blobs: AzureFocusExport, cloud: str
) -> None:
    """And the next run heals what is there by then."""
    export, pipeline = (aws, AWS_FOCUS) if cloud == AWS else (blobs, AZURE_FOCUS)
    rows = few(cloud)
    delivered = export.deliver(MAY, rows, at=datetime(2026, 5, 20, tzinfo=UTC))
    gone = delivered.data[1]
    world.place(cloud, delivered)
    world.remove(cloud, [gone.key])
    said = await world.fail(pipeline, export=export.location, month="2026-05")
    assert gone.key.rsplit("/", 1)[-1] in said
    assert (await world.published()).rows(export.location) == 0
    world.place(cloud, [gone, *delivered.manifest])
    await world.run(pipeline, export=export.location, month="2026-05")
    await agrees(world, export, rows)


async def test_tailpipe_115_files_of_the_same_names_are_another_version(world: World, aws: AwsFocusExport) -> None:
    before, after = few("aws"), dearer(few("aws"))
    inside = world.with_tools(clock=at(MAY, 20))
    for rows in (before, after):
        world.place(AWS, aws.deliver(MAY, rows))
        await inside.run(AWS_FOCUS, export=aws.location, months="open")
        await agrees(world, aws, rows)


async def test_koku_5707_a_charge_across_the_months_counts_once(world: World, aws: AwsFocusExport) -> None:
    """A row of May's bill whose charge begins in June stays when June is loaded, and goes when May is restated without it."""
    june_first = datetime(2026, 6, 1, tzinfo=UTC)
    across = [few("aws")[0] | {"ChargePeriodStart": june_first, "ChargePeriodEnd": june_first + timedelta(days=1)}]
    may, june = few("aws"), [few("aws", JUNE)[0] | {"ChargePeriodStart": june_first, "ChargePeriodEnd": june_first + timedelta(hours=1)}]
    world.place(AWS, aws.deliver(MAY, may + across))
    world.place(AWS, aws.deliver(JUNE, june, files=1))
    await world.run(AWS_FOCUS, export=aws.location, month="2026-05")
    await world.run(AWS_FOCUS, export=aws.location, month="2026-06")
    await agrees(world, aws, may + across)
    await agrees(world, aws, june, JUNE)
    world.place(AWS, aws.deliver(MAY, may))
    await world.run(AWS_FOCUS, export=aws.location, month="2026-05")
    await agrees(world, aws, may)
    await agrees(world, aws, june, JUNE)


async def test_an_older_manifest_after_a_newer_one(world: World, blobs: AzureFocusExport) -> None:
    """Delivered late: what is published stays, and nothing is doubled."""
    rows = few("azure")
    world.place(AZURE, blobs.deliver(MAY, dearer(rows), at=datetime(2026, 5, 21, tzinfo=UTC)))
    await world.run(AZURE_FOCUS, export=blobs.location, month="2026-05")
    world.place(AZURE, blobs.deliver(MAY, rows, at=datetime(2026, 5, 20, tzinfo=UTC)))
    await world.with_tools(clock=at(MAY, 22)).run(AZURE_FOCUS, export=blobs.location, months="open")
    await agrees(world, blobs, dearer(rows))
    await world.attempt(AZURE_FOCUS, export=blobs.location, month="2026-05")
    await agrees(world, blobs, dearer(rows))


@pytest.mark.parametrize("cloud", first_of(1, [AZURE, AWS]))
async def test_a_month_without_a_charge_yet(world: World, name: str, cloud: str) -> None:
    """The first delivery of a month may be a header and no rows; later that is a loss."""
    pipeline = AWS_FOCUS if cloud == AWS else AZURE_FOCUS
    kind = AwsFocusExport(bucket=world.bucket, name=name, format=CSV) if cloud == AWS else None
    export = kind or AzureFocusExport(name=name, format=CSV, compression="none")
    rows = few(cloud)
    empty = without_rows(export.deliver(MAY, rows, files=1, at=datetime(2026, 5, 1, tzinfo=UTC)))
    world.place(cloud, empty)
    assert (await world.run(pipeline, export=export.location, month="2026-05")).rows_processed == 0
    world.place(cloud, export.deliver(MAY, rows, files=1, at=datetime(2026, 5, 2, tzinfo=UTC)))
    await world.run(pipeline, export=export.location, month="2026-05")
    await agrees(world, export, rows)
    world.place(cloud, without_rows(export.deliver(MAY, rows, files=1, at=datetime(2026, 5, 3, tzinfo=UTC))))
    assert "more than half" in await world.fail(pipeline, export=export.location, month="2026-05")


def without_rows(delivered: Delivered) -> Delivered:
    """The headers alone."""
    is_zip = delivered.data[0].key.endswith(".gz")
    texts = [(gzip.decompress(one.body) if is_zip else one.body).split(b"\n")[0] + b"\n" for one in delivered.data]
    data = [replace(one, body=gzip.compress(text) if is_zip else text) for one, text in zip(delivered.data, texts, strict=True)]
    if is_zip:
        return replace(delivered, data=data)
    blobs = [{"blobName": one.key, "byteCount": len(one.body)} for one in data]
    return replace(manifest(delivered, blobs=lambda _: blobs, dataRowCount=lambda _: 0), data=data)


async def test_one_bill_by_two_exports_is_noticed(world: World, aws: AwsFocusExport) -> None:
    """A second export of the same account: every cost is there twice, and a check says so."""
    world.place(AWS, aws.deliver(MAY, few("aws")))
    other = replace(aws, name=f"{aws.name}-again")
    world.place(AWS, other.deliver(MAY, few("aws")))
    await world.run(AWS_FOCUS, export=aws.location, month="2026-05")
    outcome = await world.attempt(AWS_FOCUS, export=other.location, month="2026-05")
    found = await world.warnings("account_exported_once")
    assert found
    assert all(aws.name in one["observed_value"] for one in found)
    assert outcome.status in {RunStatus.COMPLETED, RunStatus.FAILED}
