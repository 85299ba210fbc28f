"""Manifests of AWS in every spelling that has been seen, and what is refused, with which words."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.clouds.aws.location import S3Location
from services.executor.errors import StepError
from services.executor.ledger.exports import KnownExport
from services.executor.sources.aws.layouts import (
    ListedObject,
    ManifestLayout,
    fixed_manifest,
    folder_of,
    is_unchanged,
    layout_of,
    manifests_prefix,
    metadata_folder,
    newest_manifest,
)
from services.executor.sources.aws.manifests import ManifestObject, parse_manifest
from services.executor.sources.files.manifest import Dataset, FileFormat, Manifest

MONTH = date(2026, 12, 1)
AT = datetime(2026, 12, 7, 4, 5, 6, tzinfo=UTC)
WHERE = S3Location(bucket="acme-bills", path="finops/focus")
FOLDER = "finops/focus/data/BILLING_PERIOD=2026-12"
KEY = "finops/focus/metadata/BILLING_PERIOD=2026-12/focus-Manifest.json"
ONE = f"{FOLDER}/focus-00001.snappy.parquet"


def parsed(values: Any, *, key: str = KEY, dataset: Dataset = Dataset.FOCUS, location: S3Location = WHERE) -> Manifest | None:
    body = values if isinstance(values, bytes) else json.dumps(values).encode()
    return parse_manifest(ManifestObject(key=key, etag='"e-1"', modified_at=AT, body=body), location, MONTH, dataset, most=2**20)


def manifest(values: Any, **more: Any) -> Manifest:
    found = parsed(values, **more)
    assert found is not None
    return found


def refused(values: Any, **more: Any) -> str:
    with pytest.raises(StepError) as error:
        parsed(values, **more)
    return error.value.message


@pytest.mark.parametrize(
    "files",
    [
        {"dataFiles": [f"s3://acme-bills/{ONE}"]},
        {"dataFiles": [ONE]},
        {"dataFiles": [f"/{ONE}"]},
        {"dataFiles": [{"key": ONE}]},
        {"dataFiles": [{"s3Uri": f"s3://acme-bills/{ONE}"}]},
        {"dataFiles": ["data/BILLING_PERIOD=2026-12/focus-00001.snappy.parquet"]},
        {"dataFiles": ["focus-00001.snappy.parquet"]},
        {"dataFile": f"s3://acme-bills/{ONE}"},
        {"files": [{"path": ONE}]},
        {"reportKeys": [ONE]},
    ],
    ids=lambda files: json.dumps(files)[:50],
)
def test_a_file_is_found_however_it_is_named(files: dict[str, Any]) -> None:
    [file] = manifest({"executionId": "x", **files}).files
    assert (file.key, file.format, file.size, file.dataset) == (ONE, FileFormat.PARQUET, None, Dataset.FOCUS)


def test_all_files_are_kept_in_order_with_their_sizes() -> None:
    listed = [{"key": f"{FOLDER}/focus-{index:05}.csv.gz", "size": index} for index in (1, 2, 3)]
    files = manifest({"dataFiles": listed, "additionalOutputFiles": [{"key": f"{FOLDER}/create-table.sql"}]}).files
    assert [(file.key, file.size, file.format) for file in files] == [(one["key"], one["size"], FileFormat.CSV) for one in listed]


def test_a_manifest_in_place_is_rewritten_and_one_of_a_refresh_is_not() -> None:
    in_place = manifest({"executionId": "exec-1", "dataFiles": [ONE]})
    assert (in_place.id, in_place.etag, in_place.exported_at, in_place.delivered_at) == ("exec-1", '"e-1"', AT, AT)

    nested = KEY.replace("/focus-Manifest", "/2026-12-07T00:00:00-exec-1/focus-Manifest")
    assert manifest({"dataFiles": [ONE]}, key=nested).delivered_at is None
    own_folder = {"executionId": "exec-1", "dataFiles": [f"{FOLDER}/2026-12-07-exec-1/focus-00001.csv.gz"]}
    assert manifest(own_folder).delivered_at is None
    assert manifest({"dataFiles": [ONE]}).id == "e-1"


@pytest.mark.parametrize(
    ("about", "version"),
    [
        ({"query": "SELECT BilledCost FROM FOCUS_1_2_AWS", "columns": ["BilledCost"]}, "1.2"),
        ({"exportTableName": "FOCUS_1_0_AWS", "columns": [{"name": "BilledCost"}, {"name": "InvoiceId"}]}, "1.0"),
        ({"dataFiles": [ONE.replace("focus-0", "FOCUS_1_1-0")], "columns": ["BilledCost", "InvoiceId"]}, None),
        ({}, None),
    ],
)
def test_the_version_of_focus_is_that_of_the_table_and_no_file_s_name(about: dict[str, Any], version: str | None) -> None:
    assert manifest({"dataFiles": [ONE], **about}).focus_version == version


LEGACY: dict[str, Any] = {
    "assemblyId": "asm-9",
    "account": "123456789012",
    "billingPeriod": {"start": "20261201T000000.000Z", "end": "20270101T000000.000Z"},
    "bucket": "acme-bills",
    "columns": [{"category": "identity", "name": "LineItemId"}, {"category": "lineItem", "name": "UnblendedCost"}],
    "compression": "GZIP",
    "contentType": "text/csv",
    "reportKeys": ["finops/focus/20261201-20270101/asm-9/focus-1.csv.gz", "finops/focus/20261201-20270101/asm-9/focus-2.csv.gz"],
}
LEGACY_KEY = "finops/focus/20261201-20270101/focus-Manifest.json"


def test_a_legacy_report_names_its_assembly_and_all_its_files() -> None:
    report = manifest(LEGACY, key=LEGACY_KEY, dataset=Dataset.CUR)
    assert (report.id, report.delivered_at, report.focus_version) == ("asm-9", None, None)
    assert [file.key for file in report.files] == LEGACY["reportKeys"]

    in_place = LEGACY | {"reportKeys": ["finops/focus/focus/year=2026/month=12/focus-1.snappy.parquet"], "contentType": "Parquet"}
    overwritten = manifest(in_place, key=LEGACY_KEY, dataset=Dataset.CUR)
    assert (overwritten.delivered_at, overwritten.files[0].format) == (AT, FileFormat.PARQUET)


def test_no_files_yet_is_no_version() -> None:
    assert parsed({"dataFiles": []}) is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (b"\xff\xfe", "focus-Manifest.json"),
        (b"[" * 100_000, "focus-Manifest.json"),
        ([], "focus-Manifest.json"),
        ({"executionId": "x"}, "has no list of data files that is known here"),
        ({"dataFiles": [{"bytes": 1}]}, "a data file without a name"),
        ({"dataFiles": [None]}, "a data file without a name"),
        ({"dataFiles": [f"s3://other-bucket/{ONE}"]}, "in another bucket than acme-bills"),
        ({"dataFiles": ["finops/focus-2/data/x.parquet"]}, "x.parquet"),
        ({"dataFiles": ["finops/focus/data/../../other/x.parquet"]}, "x.parquet"),
        ({"dataFiles": ["https://acme-bills.s3.amazonaws.com/finops/focus/data/x.parquet"]}, "x.parquet"),
        ({"dataFiles": [ONE], "columns": ["line_item_unblended_cost"]}, "is CUR 2.0, not FOCUS. Run the pipeline aws/cost/cur"),
        (LEGACY | {"dataFiles": [ONE]}, "is a Cost and Usage Report, not FOCUS"),
        ({"dataFiles": [ONE], "billingPeriod": {"start": "2026-11-01T00:00:00Z"}}, "starts 20261101, not of 2026-12"),
        ({"dataFiles": [ONE], "billingPeriod": "2026-11"}, "starts 202611, not of 2026-12"),
    ],
)
def test_what_is_no_manifest_of_the_export_is_refused_with_words(values: Any, words: str) -> None:
    assert words in refused(values)


def test_other_refusals_of_reports() -> None:
    assert "delivered in ZIP files" in refused(LEGACY | {"compression": "ZIP"}, key=LEGACY_KEY, dataset=Dataset.CUR)
    focus = {"dataFiles": [ONE], "columns": ["BilledCost"]}
    assert "is FOCUS, not CUR 2.0. Run the pipeline aws/cost/focus" in refused(focus, dataset=Dataset.CUR2)


def test_a_period_s_own_name_is_accepted() -> None:
    for period in ("2026-12", {"start": "2026-12-01"}, {"start": "20261201T000000.000Z"}, None):
        assert manifest({"dataFiles": [ONE], "billingPeriod": period}).month == MONTH


def test_where_the_manifests_of_a_month_lie() -> None:
    assert [fixed_manifest(WHERE, MONTH, layout) for layout in ManifestLayout] == [
        KEY,
        KEY.replace("BILLING_PERIOD", "billing_period"),
        LEGACY_KEY,
    ]
    assert [layout_of(fixed_manifest(WHERE, MONTH, layout), WHERE, MONTH) for layout in ManifestLayout] == list(ManifestLayout)
    assert layout_of(KEY, WHERE, date(2026, 11, 1)) is None


def test_the_newest_manifest_is_the_one_written_last() -> None:
    folder = metadata_folder(WHERE, MONTH, ManifestLayout.PARTITIONS)

    def listed(name: str, day: int) -> ListedObject:
        return ListedObject(key=folder + name, etag=name, modified_at=AT.replace(day=day), size=1)

    objects = [
        listed("focus-Manifest.json", 3),
        listed("r-9/focus-Manifest.json", 5),
        listed("r-8/focus-Manifest.json", 4),
        listed("focus-Metadata.json", 9),
    ]
    newest = newest_manifest(objects, WHERE)
    assert newest == objects[1]
    assert newest_manifest(objects[3:], WHERE) is None


@pytest.mark.parametrize(
    ("newest", "published", "seconds_later", "etag", "is_same"),
    [
        ("", "", 0, "e-1", True),
        ("", "", 1, "e-1", False),  # of new files, under the names of the old
        ("", "", 0, "e-2", False),
        ("r-9/", "r-9/", 0, "e-1", True),
        ("", "r-9/", 1, "e-1", True),  # the copy beside the files' folders
        ("r-9/", "", 1, "e-1", True),
        ("", "r-9/", 1, "e-2", False),
    ],
)
def test_a_manifest_is_the_published_one_by_its_bytes_and_when_it_was_written(
    newest: str, published: str, seconds_later: int, etag: str, is_same: bool
) -> None:
    folder = metadata_folder(WHERE, MONTH, ManifestLayout.PARTITIONS)
    known = KnownExport(
        source_id="AWS/acme-bills/finops/focus",
        month=MONTH,
        manifest_key=f"{folder}{published}focus-Manifest.json",
        manifest_etag="e-1",
        manifest_id="r-9",
        exported_at=AT,
        version=1,
        days=(),
        row_count=1,
    )
    seen = ListedObject(key=f"{folder}{newest}focus-Manifest.json", etag=etag, modified_at=AT + timedelta(seconds=seconds_later), size=1)
    assert is_unchanged(seen, known, WHERE) is is_same


def test_of_a_legacy_report_only_its_manifest_is_listed() -> None:
    assert manifests_prefix(WHERE, MONTH, ManifestLayout.RANGES) == "finops/focus/20261201-20270101/focus-Manifest.json"
    assert manifests_prefix(WHERE, MONTH, ManifestLayout.PARTITIONS) == "finops/focus/metadata/BILLING_PERIOD=2026-12/"


@pytest.mark.parametrize(
    ("keys", "folder"),
    [
        (["a/b/c"], "a/b/"),
        (["a/b/c", "a/b/d"], "a/b/"),
        (["a/b/x/c", "a/b/xy/d"], "a/b/"),
        (["a/b/x/c", "a/b/c"], "a/b/"),
        (["/a/b/c", "/a/b/d"], "/a/b/"),
    ],
)
def test_files_are_listed_in_their_innermost_folder(keys: list[str], folder: str) -> None:
    assert folder_of(keys) == folder
