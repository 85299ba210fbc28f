"""What users of other suites have reported, each as it must go here; and other ways in which an export can be odd."""

import gzip
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pytest

from services.executor.records import RunStatus
from tests.support.exports.aws_focus import CSV, AwsFocusExport
from tests.support.exports.azure_focus import AzureFocusExport
from tests.support.exports.focus_rows import Row, moved, sample_rows, sums, toolkit_rows
from tests.support.exports.native import NiseReport
from tests.support.exports.objects import Delivered, Placed
from tests.support.exports.tables import assert_agrees, assert_whole
from tests.support.exports.variants import first_of
from tests.support.exports.world import AWS, AZURE, World
from tests.support.set_clock import SetClock

APRIL, MAY, JUNE = date(2026, 4, 1), date(2026, 5, 1), date(2026, 6, 1)
AWS_FOCUS, AZURE_FOCUS = "aws/cost/focus", "azure/cost/focus"


@pytest.fixture
def aws(world: World, name: str) -> AwsFocusExport:
    return AwsFocusExport(bucket=world.account.bucket, name=name)


@pytest.fixture
def blobs(name: str) -> AzureFocusExport:
    return AzureFocusExport(name=name)


def few(cloud: str, month: date = MAY) -> list[Row]:
    """Four or five rows."""
    return moved(sample_rows(cloud), month)


def dearer(rows: list[Row], by: str = "1.23") -> list[Row]:
    """The rows with another cost."""
    return [row | {"BilledCost": row["BilledCost"] + Decimal(by), "EffectiveCost": row["EffectiveCost"] + Decimal(by)} for row in rows]


def manifest(delivered: Delivered, **changes: Any) -> Delivered:
    """The same with another manifest: `changes` by key, a function of the value that was there."""
    [placed] = delivered.manifest
    content = json.loads(placed.body)
    for key, change in changes.items():
        content[key] = change(content[key])
    return replace(delivered, manifest=[replace(placed, body=json.dumps(content).encode())])


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


async def test_koku_1263_an_unchanged_export_is_not_read_again(world: World, aws: AwsFocusExport) -> None:
    world.place(AWS, aws.deliver(MAY, few("aws")))
    inside = world.with_tools(clock=at(MAY, 20))
    await inside.run(AWS_FOCUS, export=aws.location, months="open")
    world.gates[AWS].objects()
    again = await inside.run(AWS_FOCUS, export=aws.location, months="open")
    assert again.rows_processed == 0
    assert not [one for one in world.gates[AWS].objects() if "/data/" in one.path]


async def test_analysis_10_all_report_keys_of_a_manifest_are_one_report(world: World) -> None:
    report = NiseReport(name="plain", bucket=world.account.bucket)
    world.place(AWS, report.deliver(date(2025, 10, 1)))
    assert (await world.run("aws/cost/cur", export=report.location, month="2025-10")).rows_processed == 288


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


async def test_koku_4064_every_part_of_a_partitioned_export_counts(world: World, blobs: AzureFocusExport) -> None:
    rows = toolkit_rows("azure")[:40]
    world.place(AZURE, blobs.deliver(MAY, rows, files=9))
    await world.run(AZURE_FOCUS, export=blobs.location, month="2026-05")
    await agrees(world, blobs, rows)


async def test_a_part_that_is_shorter_than_the_manifest_says(world: World, blobs: AzureFocusExport) -> None:
    delivered = blobs.deliver(MAY, few("azure"))
    world.place(AZURE, [*delivered.objects, replace(delivered.data[0], body=delivered.data[0].body[:-100])])
    said = await world.fail(AZURE_FOCUS, export=blobs.location, month="2026-05")
    assert delivered.data[0].key.rsplit("/", 1)[-1] in said
    assert (await world.published()).rows(blobs.location) == 0


@pytest.mark.parametrize("key", ["dataRowCount", "blobCount"])
async def test_toolkit_2096_counts_of_the_manifest_are_checked(world: World, blobs: AzureFocusExport, key: str) -> None:
    """A count that says more than there is: rows or files would be lost in silence."""
    delivered = blobs.deliver(MAY, few("azure"))
    world.place(AZURE, manifest(delivered, **{key: lambda count: count + 1}))
    await world.fail(AZURE_FOCUS, export=blobs.location, month="2026-05")
    assert (await world.published()).rows(blobs.location) == 0


@pytest.mark.parametrize("compressed", first_of(1, [True, False]))
async def test_koku_5394_the_first_bytes_say_what_a_file_is(world: World, name: str, *, compressed: bool) -> None:
    """Gzip under the name .csv, where the manifest says that nothing is compressed; and plain text under the name .csv.gz."""
    export = AzureFocusExport(name=name, format=CSV, compression="none" if compressed else "gzip")
    rows = few("azure")
    delivered = export.deliver(MAY, rows)
    change: Callable[[bytes], bytes] = gzip.compress if compressed else gzip.decompress
    data = [replace(one, body=change(one.body)) for one in delivered.data]
    sizes = [{"blobName": one.key, "byteCount": len(one.body)} for one in data]
    world.place(
        AZURE, replace(manifest(delivered, blobs=lambda _: sizes, byteCount=lambda _: sum(len(one.body) for one in data)), data=data)
    )
    await world.run(AZURE_FOCUS, export=export.location, month="2026-05")
    await agrees(world, export, rows)


async def test_optscale_813_a_growing_bucket_is_not_listed(world: World, aws: AwsFocusExport) -> None:
    """The manifests of the one month, in either spelling of its folder, and once its files; of no other month or refresh."""
    world.place(AWS, aws.deliver(MAY, few("aws")))
    world.place(AWS, aws.deliver(JUNE, few("aws")))
    world.gates[AWS].objects()
    await world.run(AWS_FOCUS, export=aws.location, month="2026-05")
    asked = world.gates[AWS].objects()
    own = aws.manifest_key(MAY).rpartition("/")[0].lower()
    listed = [unquote(one.query).lower() for one in asked if one.is_listing]
    others = [one for one in listed if f"prefix={own}/" not in one]
    assert len(listed) - len(others) <= 2
    assert len(others) == 1
    assert f"prefix={own.replace('/metadata/', '/data/')}/" in others[0]


async def test_toolkit_320_a_part_of_a_month_exported_by_hand_replaces_nothing(world: World, blobs: AzureFocusExport) -> None:
    """It is newer than the daily export of the same month, and in the same folder."""
    rows = few("azure")
    world.place(AZURE, blobs.deliver(MAY, rows, at=datetime(2026, 5, 31, tzinfo=UTC)))
    part = replace(blobs, one_time=True)
    world.place(AZURE, part.deliver(MAY, rows[:2], at=datetime(2026, 6, 1, tzinfo=UTC), since=date(2026, 5, 5), until=date(2026, 5, 9)))
    await world.run(AZURE_FOCUS, export=blobs.location, month="2026-05")
    await agrees(world, blobs, rows)
    logs = await world.store.list_step_logs(world.tenant.tenant_id, world.runs[-1].run.pipeline_logging_id)
    assert [note for log in logs for note in log.metadata.get("notes", ()) if "was passed over: its run covers 2026-05-05" in note]


async def test_toolkit_1112_a_new_version_brings_columns_and_takes_others(world: World, name: str) -> None:
    """Columns are known by their names; what is unknown is kept, and the version is on record."""
    export = AzureFocusExport(name=name, version="1.4-preview", without=("SkuMeter", "AvailabilityZone"))
    rows = few("azure")
    world.place(AZURE, export.deliver(MAY, rows, own={"x_Fresh": "news", "NeverHeardOf": "this"}))
    await world.run(AZURE_FOCUS, export=export.location, month="2026-05")
    await agrees(world, export, rows)
    kept = "JSON_VALUE(x_ProviderColumns, '$.x_Fresh') AS fresh, JSON_VALUE(x_ProviderColumns, '$.NeverHeardOf') AS unheard"
    assert await world.tenant.rows(f"SELECT DISTINCT x_FocusVersion AS version, SkuMeter, {kept} FROM focus_cost_daily") == [
        {"version": "1.4-preview", "SkuMeter": None, "fresh": "news", "unheard": "this"}
    ]


async def test_focus_1077_decimals_and_doubles_are_the_same_to_the_cent(world: World, name: str) -> None:
    for index, double in enumerate((True, False)):
        export = AzureFocusExport(name=f"{name}-{index}", double=double)
        rows = [row | {"SubAccountId": f"{index}"} for row in toolkit_rows("azure")[:120]]
        world.place(AZURE, export.deliver(MAY, rows))
        await world.run(AZURE_FOCUS, export=export.location, month="2026-05")
        assert_agrees((await world.published()).sums(export.location), sums(rows))


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


async def test_a_manifest_that_is_rewritten_while_its_files_are_read(world: World, aws: AwsFocusExport) -> None:
    """Overwriting: the second file is already the new one. Nothing of both is published; the retry takes the new version."""
    before, after = few("aws"), dearer(few("aws"))
    world.place(AWS, aws.deliver(MAY, before))
    fresh = aws.deliver(MAY, after)
    world.gates[AWS].before(fresh.data[1].key, lambda: world.place(AWS, fresh))
    outcome = await world.attempt(AWS_FOCUS, export=aws.location, month="2026-05")
    assert world.gates[AWS].is_done
    if outcome.status is RunStatus.FAILED:
        assert not outcome.is_final, outcome.error_message
        assert (await world.published()).rows(aws.location) == 0
        await world.run(AWS_FOCUS, export=aws.location, month="2026-05")
    await agrees(world, aws, after)


async def test_a_file_that_is_rewritten_before_its_manifest(world: World, aws: AwsFocusExport) -> None:
    """AWS writes the manifest last: until then the files are newer than it, and no version at all."""
    before, after = few("aws"), dearer(few("aws"))
    world.place(AWS, aws.deliver(MAY, before))
    fresh = aws.deliver(MAY, after)
    world.gates[AWS].before(fresh.data[1].key, lambda: _a_second_later(world, fresh.data[1]))
    outcome = await world.attempt(AWS_FOCUS, export=aws.location, month="2026-05")
    assert world.gates[AWS].is_done
    assert outcome.status is RunStatus.FAILED
    assert not outcome.is_final, outcome.error_message
    assert (await world.published()).rows(aws.location) == 0
    world.place(AWS, fresh)
    await world.run(AWS_FOCUS, export=aws.location, month="2026-05")
    await agrees(world, aws, after)


def _a_second_later(world: World, placed: Placed) -> None:
    """S3 knows times to the second."""
    time.sleep(1.1)
    world.place(AWS, [placed])


@pytest.mark.parametrize("cloud", first_of(1, [AZURE, AWS]))
async def test_a_file_that_is_not_in_the_manifest_is_no_part_of_the_export(
    world: World, aws: AwsFocusExport, blobs: AzureFocusExport, cloud: str
) -> None:
    export, pipeline = (aws, AWS_FOCUS) if cloud == AWS else (blobs, AZURE_FOCUS)
    rows = few(cloud)
    delivered = export.deliver(MAY, rows)
    folder, _, ending = delivered.data[0].key.rpartition("/")
    stray = Placed(key=f"{folder}/stray-{ending}", body=delivered.data[0].body)
    world.place(cloud, [*delivered.objects, stray])
    await world.run(pipeline, export=export.location, month="2026-05")
    await agrees(world, export, rows)


OUTSIDE = ["{prefix}/../../other/x.snappy.parquet", "other/export/data/x.snappy.parquet", "s3://elsewhere/x.parquet"]


@pytest.mark.parametrize("key", first_of(2, OUTSIDE))
async def test_a_file_outside_the_export_is_not_even_asked_for(world: World, aws: AwsFocusExport, key: str) -> None:
    delivered = aws.deliver(MAY, few("aws"))
    body = delivered.data[0].body
    outside = key.format(prefix=f"{aws.prefix}/{aws.name}")
    world.place(AWS, [Placed(key="other/export/data/x.snappy.parquet", body=body), Placed(key="exports/other/x.snappy.parquet", body=body)])
    uri = outside if outside.startswith("s3:") else f"s3://{aws.bucket}/{outside}"
    world.place(AWS, manifest(delivered, dataFiles=lambda files: [*files, uri]))
    world.gates[AWS].objects()
    await world.fail(AWS_FOCUS, export=aws.location, month="2026-05")
    assert [one.path for one in world.gates[AWS].objects() if "other/" in one.path or "elsewhere" in one.path] == []
    assert (await world.published()).rows(aws.location) == 0


async def test_a_blob_outside_the_export_is_not_even_asked_for(world: World, blobs: AzureFocusExport) -> None:
    delivered = blobs.deliver(MAY, few("azure"))
    other = Placed(key="finops/other/x.snappy.parquet", body=delivered.data[0].body)
    world.place(AZURE, [other])
    listed = {"blobName": other.key, "byteCount": len(other.body)}
    world.place(AZURE, manifest(delivered, blobs=lambda found: [*found, listed], blobCount=lambda count: count + 1))
    world.gates[AZURE].objects()
    await world.fail(AZURE_FOCUS, export=blobs.location, month="2026-05")
    assert [one.path for one in world.gates[AZURE].objects() if one.path.endswith(other.key)] == []


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


RETYPED = {
    "cost-as-decimal": {"BilledCost": pa.decimal128(38, 10)},
    "times-without-zone": {"ChargePeriodStart": pa.timestamp("ms"), "BillingPeriodStart": pa.timestamp("ms")},
    "dictionary": {"ServiceName": pa.dictionary(pa.int32(), pa.string())},
    "cost-as-text": {"BilledCost": pa.string()},
    "price-as-float": {"ListUnitPrice": pa.float32()},
    "times-of-another-unit": {"ChargePeriodStart": pa.timestamp("us", tz="UTC"), "ChargePeriodEnd": pa.timestamp("ns", tz="UTC")},
    "large-text": {"ResourceId": pa.large_string()},
}


@pytest.mark.parametrize("case", first_of(3, RETYPED))
async def test_a_column_of_another_type(world: World, name: str, case: str) -> None:
    """What has the same meaning is read; the cent is right or nothing is published."""
    types: dict[str, pa.DataType] = RETYPED[case]
    export, rows = AwsFocusExport(bucket=world.account.bucket, name=name, types=types), few("aws")
    world.place(AWS, export.deliver(MAY, rows))
    outcome = await world.attempt(AWS_FOCUS, export=export.location, month="2026-05")
    if outcome.status is RunStatus.FAILED:
        assert next(iter(types)) in str(outcome.error_message)
        assert (await world.published()).rows(export.location) == 0
    else:
        await agrees(world, export, rows)


@pytest.mark.parametrize("column", first_of(1, ["BilledCost", "ChargePeriodStart", "BillingCurrency"]))
async def test_a_column_that_no_row_can_do_without(world: World, name: str, column: str) -> None:
    export = AwsFocusExport(bucket=world.account.bucket, name=name, without=(column,))
    world.place(AWS, export.deliver(MAY, few("aws")))
    assert column in await world.fail(AWS_FOCUS, export=export.location, month="2026-05")
    assert (await world.published()).rows(export.location) == 0


async def test_a_gzip_bomb_ends_the_run_and_not_the_executor(world: World, name: str) -> None:
    """128 MiB of one letter, in half a megabyte."""
    export, rows = AwsFocusExport(bucket=world.account.bucket, name=name, format=CSV), few("aws")
    delivered = export.deliver(MAY, rows)
    bomb = gzip.compress(gzip.decompress(delivered.data[0].body) + b"A" * 2**27, compresslevel=1)
    world.place(AWS, replace(delivered, data=[delivered.data[0], replace(delivered.data[1], body=bomb)]))
    said = await world.fail(AWS_FOCUS, export=export.location, month="2026-05")
    assert delivered.data[1].key.rsplit("/", 1)[-1] in said
    assert (await world.published()).rows(export.location) == 0
    world.place(AWS, delivered)
    await world.run(AWS_FOCUS, export=export.location, month="2026-05")
    await agrees(world, export, rows)


@pytest.mark.parametrize("body", first_of(2, [b"<html>AccessDenied</html>\n", b"PAR1 but nothing more", b"\x1f\x8b\x08 cut off", b""]))
async def test_a_file_that_is_none(world: World, aws: AwsFocusExport, body: bytes) -> None:
    delivered = aws.deliver(MAY, few("aws"))
    world.place(AWS, replace(delivered, data=[delivered.data[0], replace(delivered.data[1], body=body)]))
    said = await world.fail(AWS_FOCUS, export=aws.location, month="2026-05")
    assert delivered.data[1].key.rsplit("/", 1)[-1] in said
    assert (await world.published()).rows(aws.location) == 0


@pytest.mark.parametrize(
    "body", first_of(3, [b"[" * 100_000, b"{}", b'{"dataFiles": [7]}', b"{", b"[]", b'{"dataFiles": [], "columns": []}'])
)
async def test_a_manifest_that_is_none(world: World, aws: AwsFocusExport, body: bytes) -> None:
    delivered = aws.deliver(MAY, few("aws"))
    world.place(AWS, replace(delivered, manifest=[replace(delivered.manifest[0], body=body)]))
    said = await world.fail(AWS_FOCUS, export=aws.location, month="2026-05")
    assert "manifest" in said.lower()


async def test_another_month_s_rows_in_a_period_s_files(world: World, aws: AwsFocusExport) -> None:
    """They would be deleted with the period, and come twice with their own."""
    world.place(AWS, aws.deliver(MAY, few("aws") + few("aws", APRIL)))
    await world.fail(AWS_FOCUS, export=aws.location, month="2026-05")
    assert (await world.published()).rows(aws.location) == 0


@pytest.mark.parametrize("cloud", first_of(1, [AZURE, AWS]))
async def test_a_month_without_a_charge_yet(world: World, name: str, cloud: str) -> None:
    """The first delivery of a month may be a header and no rows; and all rows of a month may go."""
    pipeline = AWS_FOCUS if cloud == AWS else AZURE_FOCUS
    kind = AwsFocusExport(bucket=world.account.bucket, name=name, format=CSV) if cloud == AWS else None
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
    await world.run(pipeline, export=export.location, month="2026-05", accept_less=True)
    await agrees(world, export, [])


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
