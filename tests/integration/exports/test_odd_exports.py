"""How an export that is odd is read: what users of other suites have reported, and what a hostile tenant would try. Nothing is published
of what is refused, for the run ends there.
"""

import gzip
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from urllib.parse import unquote

import pyarrow as pa
import pytest

from tests.support.exports.aws_focus import CSV, AwsFocusExport
from tests.support.exports.azure_focus import AzureFocusExport
from tests.support.exports.clouds import AWS, AZURE, Clouds
from tests.support.exports.focus_rows import Row, sums, toolkit_rows
from tests.support.exports.native import NiseReport
from tests.support.exports.objects import Placed
from tests.support.exports.restated import dearer, few, manifest
from tests.support.exports.tables import assert_agrees

APRIL, MAY = date(2026, 4, 1), date(2026, 5, 1)


@pytest.fixture
def aws(clouds: Clouds, name: str) -> AwsFocusExport:
    return AwsFocusExport(bucket=clouds.account.bucket, name=name)


@pytest.fixture
def blobs(name: str) -> AzureFocusExport:
    return AzureFocusExport(name=name)


def agrees(clouds: Clouds, export: AwsFocusExport | AzureFocusExport, rows: list[Row]) -> None:
    """These rows are read, and no others."""
    read = clouds.rows(AWS if isinstance(export, AwsFocusExport) else AZURE, export.location, MAY)
    assert_agrees(sums(read), sums(rows))


def test_analysis_10_all_report_keys_of_a_manifest_are_one_report(clouds: Clouds) -> None:
    report = NiseReport(name="plain", bucket=clouds.account.bucket)
    clouds.place(AWS, report.deliver(date(2025, 10, 1)))
    assert len(clouds.rows("cur", report.location, date(2025, 10, 1))) == 288


def test_koku_4064_every_part_of_a_partitioned_export_counts(clouds: Clouds, blobs: AzureFocusExport) -> None:
    rows = toolkit_rows("azure")[:40]
    clouds.place(AZURE, blobs.deliver(MAY, rows, files=9))
    agrees(clouds, blobs, rows)


def test_a_part_that_is_shorter_than_the_manifest_says(clouds: Clouds, blobs: AzureFocusExport) -> None:
    delivered = blobs.deliver(MAY, few("azure"))
    clouds.place(AZURE, [*delivered.objects, replace(delivered.data[0], body=delivered.data[0].body[:-100])])
    said = clouds.refused(AZURE, blobs.location, MAY).message
    assert delivered.data[0].key.rsplit("/", 1)[-1] in said


@pytest.mark.parametrize("key", ["dataRowCount", "blobCount"])
def test_toolkit_2096_counts_of_the_manifest_are_checked(clouds: Clouds, blobs: AzureFocusExport, key: str) -> None:
    """A count that says more than there is: rows or files would be lost in silence."""
    delivered = blobs.deliver(MAY, few("azure"))
    clouds.place(AZURE, manifest(delivered, **{key: lambda count: count + 1}))
    clouds.refused(AZURE, blobs.location, MAY)


@pytest.mark.parametrize("compressed", [True, False])
def test_koku_5394_the_first_bytes_say_what_a_file_is(clouds: Clouds, name: str, *, compressed: bool) -> None:
    """Gzip under the name .csv, where the manifest says that nothing is compressed; and plain text under the name .csv.gz."""
    export = AzureFocusExport(name=name, format=CSV, compression="none" if compressed else "gzip")
    rows = few("azure")
    delivered = export.deliver(MAY, rows)
    change: Callable[[bytes], bytes] = gzip.compress if compressed else gzip.decompress
    data = [replace(one, body=change(one.body)) for one in delivered.data]
    sizes = [{"blobName": one.key, "byteCount": len(one.body)} for one in data]
    clouds.place(
        AZURE, replace(manifest(delivered, blobs=lambda _: sizes, byteCount=lambda _: sum(len(one.body) for one in data)), data=data)
    )
    agrees(clouds, export, rows)


def test_optscale_813_a_growing_bucket_is_not_listed(clouds: Clouds, aws: AwsFocusExport) -> None:
    """The manifests of the one month, in either spelling of its folder, and once its files; of no other month or refresh."""
    clouds.place(AWS, aws.deliver(MAY, few("aws")))
    clouds.place(AWS, aws.deliver(APRIL, few("aws", APRIL)))
    clouds.gates[AWS].objects()
    clouds.rows(AWS, aws.location, MAY)
    own = aws.manifest_key(MAY).rpartition("/")[0].lower()
    listed = [unquote(one.query).lower() for one in clouds.gates[AWS].objects() if one.is_listing]
    others = [one for one in listed if f"prefix={own}/" not in one]
    assert len(listed) - len(others) <= 2
    assert len(others) <= 1
    assert all(f"prefix={own.replace('/metadata/', '/data/')}/" in one for one in others)


def test_toolkit_320_a_part_of_a_month_exported_by_hand_replaces_nothing(clouds: Clouds, blobs: AzureFocusExport) -> None:
    """It is newer than the daily export of the same month, and in the same folder."""
    rows = few("azure")
    clouds.place(AZURE, blobs.deliver(MAY, rows, at=datetime(2026, 5, 31, tzinfo=UTC)))
    part = replace(blobs, one_time=True)
    clouds.place(AZURE, part.deliver(MAY, rows[:2], at=datetime(2026, 6, 1, tzinfo=UTC), since=date(2026, 5, 5), until=date(2026, 5, 9)))
    agrees(clouds, blobs, rows)


def test_toolkit_1112_a_new_version_brings_columns_and_takes_others(clouds: Clouds, name: str) -> None:
    """Columns are known by their names; what is unknown is kept, and the version is on record."""
    export = AzureFocusExport(name=name, version="1.4-preview", without=("SkuMeter", "AvailabilityZone"))
    rows = few("azure")
    clouds.place(AZURE, export.deliver(MAY, rows, own={"x_Fresh": "news", "NeverHeardOf": "this"}))
    agrees(clouds, export, rows)
    for row in clouds.rows(AZURE, export.location, MAY):
        assert (row["x_FocusVersion"], row["SkuMeter"]) == ("1.4-preview", None)
        kept = json.loads(row["x_ProviderColumns"])
        assert (kept["x_Fresh"], kept["NeverHeardOf"]) == ("news", "this")


@pytest.mark.parametrize("double", [True, False])
def test_focus_1077_decimals_and_doubles_are_the_same_to_the_cent(clouds: Clouds, name: str, *, double: bool) -> None:
    export, rows = AzureFocusExport(name=name, double=double), toolkit_rows("azure")
    clouds.place(AZURE, export.deliver(MAY, rows))
    agrees(clouds, export, rows)


def test_a_manifest_that_is_rewritten_while_its_files_are_read(clouds: Clouds, aws: AwsFocusExport) -> None:
    """Overwriting: the second file is already the new one. Nothing of both is published; the retry takes the new version."""
    before, after = few("aws"), dearer(few("aws"))
    clouds.place(AWS, aws.deliver(MAY, before))
    fresh = aws.deliver(MAY, after)
    clouds.gates[AWS].before(fresh.data[1].key, lambda: clouds.place(AWS, fresh))
    assert clouds.refused(AWS, aws.location, MAY).is_retryable
    assert clouds.gates[AWS].is_done
    agrees(clouds, aws, after)


def test_a_file_that_is_rewritten_before_its_manifest(clouds: Clouds, aws: AwsFocusExport) -> None:
    """AWS writes the manifest last: until then the files are newer than it, and no version at all."""
    before, after = few("aws"), dearer(few("aws"))
    clouds.place(AWS, aws.deliver(MAY, before))
    fresh = aws.deliver(MAY, after)
    clouds.gates[AWS].before(fresh.data[1].key, lambda: _a_second_later(clouds, fresh.data[1]))
    assert clouds.refused(AWS, aws.location, MAY).is_retryable
    assert clouds.gates[AWS].is_done
    clouds.place(AWS, fresh)
    agrees(clouds, aws, after)


def _a_second_later(clouds: Clouds, placed: Placed) -> None:
    """S3 knows times to the second."""
    time.sleep(1.1)
    clouds.place(AWS, [placed])


@pytest.mark.parametrize("cloud", [AZURE, AWS])
def test_a_file_that_is_not_in_the_manifest_is_no_part_of_the_export(
    clouds: Clouds, aws: AwsFocusExport, blobs: AzureFocusExport, cloud: str
) -> None:
    export = aws if cloud == AWS else blobs
    rows = few(cloud)
    delivered = export.deliver(MAY, rows)
    folder, _, ending = delivered.data[0].key.rpartition("/")
    stray = Placed(key=f"{folder}/stray-{ending}", body=delivered.data[0].body)
    clouds.place(cloud, [*delivered.objects, stray])
    agrees(clouds, export, rows)


OUTSIDE = ["{prefix}/../../other/x.snappy.parquet", "other/export/data/x.snappy.parquet", "s3://elsewhere/x.parquet"]


@pytest.mark.parametrize("key", OUTSIDE)
def test_a_file_outside_the_export_is_not_even_asked_for(clouds: Clouds, aws: AwsFocusExport, key: str) -> None:
    delivered = aws.deliver(MAY, few("aws"))
    body = delivered.data[0].body
    outside = key.format(prefix=f"{aws.prefix}/{aws.name}")
    clouds.place(
        AWS, [Placed(key="other/export/data/x.snappy.parquet", body=body), Placed(key="exports/other/x.snappy.parquet", body=body)]
    )
    uri = outside if outside.startswith("s3:") else f"s3://{aws.bucket}/{outside}"
    clouds.place(AWS, manifest(delivered, dataFiles=lambda files: [*files, uri]))
    clouds.gates[AWS].objects()
    clouds.refused(AWS, aws.location, MAY)
    assert [one.path for one in clouds.gates[AWS].objects() if "other/" in one.path or "elsewhere" in one.path] == []


def test_a_blob_outside_the_export_is_not_even_asked_for(clouds: Clouds, blobs: AzureFocusExport) -> None:
    delivered = blobs.deliver(MAY, few("azure"))
    other = Placed(key="finops/other/x.snappy.parquet", body=delivered.data[0].body)
    clouds.place(AZURE, [other])
    listed = {"blobName": other.key, "byteCount": len(other.body)}
    clouds.place(AZURE, manifest(delivered, blobs=lambda found: [*found, listed], blobCount=lambda count: count + 1))
    clouds.gates[AZURE].objects()
    clouds.refused(AZURE, blobs.location, MAY)
    assert [one.path for one in clouds.gates[AZURE].objects() if one.path.endswith(other.key)] == []


RETYPED = {
    "cost-as-decimal": {"BilledCost": pa.decimal128(38, 10)},
    "times-without-zone": {"ChargePeriodStart": pa.timestamp("ms"), "BillingPeriodStart": pa.timestamp("ms")},
    "dictionary": {"ServiceName": pa.dictionary(pa.int32(), pa.string())},
    "cost-as-text": {"BilledCost": pa.string()},
    "price-as-float": {"ListUnitPrice": pa.float32()},
    "times-of-another-unit": {"ChargePeriodStart": pa.timestamp("us", tz="UTC"), "ChargePeriodEnd": pa.timestamp("ns", tz="UTC")},
    "large-text": {"ResourceId": pa.large_string()},
}


@pytest.mark.parametrize("case", RETYPED)
def test_a_column_of_another_type(clouds: Clouds, name: str, case: str) -> None:
    """What has the same meaning is read."""
    types: dict[str, pa.DataType] = RETYPED[case]
    export, rows = AwsFocusExport(bucket=clouds.account.bucket, name=name, types=types), few("aws")
    clouds.place(AWS, export.deliver(MAY, rows))
    agrees(clouds, export, rows)


@pytest.mark.parametrize("column", ["BilledCost", "ChargePeriodStart", "BillingCurrency"])
def test_a_column_that_no_row_can_do_without(clouds: Clouds, name: str, column: str) -> None:
    export = AwsFocusExport(bucket=clouds.account.bucket, name=name, without=(column,))
    clouds.place(AWS, export.deliver(MAY, few("aws")))
    assert column in clouds.refused(AWS, export.location, MAY).message


def test_a_gzip_bomb_ends_the_reading_and_nothing_else(clouds: Clouds, name: str) -> None:
    """128 MiB of one letter, in half a megabyte."""
    export, rows = AwsFocusExport(bucket=clouds.account.bucket, name=name, format=CSV), few("aws")
    delivered = export.deliver(MAY, rows)
    bomb = gzip.compress(gzip.decompress(delivered.data[0].body) + b"A" * 2**27, compresslevel=1)
    clouds.place(AWS, replace(delivered, data=[delivered.data[0], replace(delivered.data[1], body=bomb)]))
    said = clouds.refused(AWS, export.location, MAY).message
    assert delivered.data[1].key.rsplit("/", 1)[-1] in said
    clouds.place(AWS, delivered)
    agrees(clouds, export, rows)


@pytest.mark.parametrize("body", [b"<html>AccessDenied</html>\n", b"PAR1 but nothing more", b"\x1f\x8b\x08 cut off", b""])
def test_a_file_that_is_none(clouds: Clouds, aws: AwsFocusExport, body: bytes) -> None:
    delivered = aws.deliver(MAY, few("aws"))
    clouds.place(AWS, replace(delivered, data=[delivered.data[0], replace(delivered.data[1], body=body)]))
    said = clouds.refused(AWS, aws.location, MAY).message
    assert delivered.data[1].key.rsplit("/", 1)[-1] in said


@pytest.mark.parametrize("body", [b"[" * 100_000, b"{}", b'{"dataFiles": [7]}', b"{", b"[]", b'{"dataFiles": [], "columns": []}'])
def test_a_manifest_that_is_none(clouds: Clouds, aws: AwsFocusExport, body: bytes) -> None:
    delivered = aws.deliver(MAY, few("aws"))
    clouds.place(AWS, replace(delivered, manifest=[replace(delivered.manifest[0], body=body)]))
    said = clouds.refused(AWS, aws.location, MAY).message
    assert "manifest" in said.lower()


def test_another_month_s_rows_in_a_period_s_files(clouds: Clouds, aws: AwsFocusExport) -> None:
    """They would be deleted with the period, and come twice with their own."""
    clouds.place(AWS, aws.deliver(MAY, few("aws") + few("aws", APRIL)))
    clouds.refused(AWS, aws.location, MAY)
