"""Which run of a Cost Management export a month is loaded from."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.clouds.azure.location import AzureLocation
from services.executor.errors import StepError
from services.executor.sources.azure.manifests import AzureManifest, ListedManifest, choose, period_prefix, read_manifest
from services.executor.sources.files.manifest import DataFile, Dataset, FileFormat
from tests.support.azure import manifest_json

MARCH = date(2026, 3, 1)
LOCATION = AzureLocation(account="acmebilling", container="exports", directory="finops", name="daily-focus")
RUN = "finops/daily-focus/20260301-20260331/202604020504/bbac"
MODIFIED = datetime(2026, 5, 1, 5, 9, tzinfo=UTC)


def read(content: Any, *, key: str = f"{RUN}/manifest.json") -> AzureManifest:
    listed = ListedManifest(key=key, etag="0x8D1", modified_at=MODIFIED, size=1)
    return read_manifest(content if isinstance(content, bytes) else json.dumps(content).encode(), listed, LOCATION, MARCH, most=2**23)


def run(key: str, *, submitted: str, first: str = "2026-03-01", last: str = "2026-03-31", **changes: Any) -> AzureManifest:
    times = {"submittedTime": submitted, "startDate": f"{first}T00:00:00", "endDate": f"{last}T00:00:00Z"}
    return read(manifest_json({f"{RUN}/part.parquet": 1}, **{**times, **changes}), key=key)


def chosen(*manifests: AzureManifest, to: date | None = None, dataset: Dataset = Dataset.FOCUS) -> tuple[str | None, tuple[str, ...]]:
    found = choose(manifests, dataset, MARCH, to)
    return found.manifest.listed.key if found.manifest else None, found.notes


def test_a_manifest_is_read() -> None:
    found = read(manifest_json({f"{RUN}/part_0_0001.snappy.parquet": 8032, f"{RUN}/part_0_0002.snappy.parquet": 7}))

    assert found.dataset is Dataset.FOCUS
    assert found.version == "1.2-preview"
    assert found.submitted_at == datetime(2026, 4, 2, 5, 4, 6, 523444, tzinfo=UTC)
    assert (found.first, found.last, found.row_count) == (MARCH, date(2026, 3, 31), 20)
    assert found.run_id == "bbac73f1-9a05-4de6-84ab-c72b568a03b4"
    assert found.files == (
        DataFile(key=f"{RUN}/part_0_0001.snappy.parquet", dataset=Dataset.FOCUS, size=8032, format=FileFormat.PARQUET),
        DataFile(key=f"{RUN}/part_0_0002.snappy.parquet", dataset=Dataset.FOCUS, size=7, format=FileFormat.PARQUET),
    )


def test_microsoft_s_own_example_is_read() -> None:
    """The manifest of "Tutorial: Create and manage Cost Management exports", for a FOCUS export."""
    example = {
        "manifestVersion": "2024-04-01",
        "byteCount": 8032,
        "blobCount": 1,
        "dataRowCount": 36,
        "exportConfig": {
            "exportName": "daily-focus",
            "resourceId": "/providers/Microsoft.Billing/billingAccounts/1234567/providers/Microsoft.CostManagement/exports/daily-focus",
            "dataVersion": "1.0r2",
            "apiVersion": "2023-07-01-preview",
            "type": "FocusCost",
            "timeFrame": "MonthToDate",
            "granularity": None,
        },
        "deliveryConfig": {
            "partitionData": True,
            "dataOverwriteBehavior": "OverwritePreviousReport",
            "fileFormat": "Csv",
            "compressionMode": "None",
            "containerUri": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/samplerg",
            "rootFolderPath": "finops",
        },
        "runInfo": {
            "executionType": "OnDemand",
            "submittedTime": "2026-03-21T21:04:06.5234447Z",
            "runId": "bbac73f1-9a05-4de6-84ab-c72b568a03b4",
            "startDate": "2026-03-01T00:00:00",
            "endDate": "2026-03-21T00:00:00Z",
        },
        "blobs": [
            {"blobName": " finops/daily-focus/00000000-0000-0000-0000-000000000000/part0.csv", "byteCount": 8032, "dataRowCount": 36}
        ],
    }
    found = read(example)

    assert (found.version, found.row_count, found.last) == ("1.0r2", 36, date(2026, 3, 21))
    [file] = found.files
    assert (file.key, file.format) == ("finops/daily-focus/00000000-0000-0000-0000-000000000000/part0.csv", FileFormat.CSV)
    assert found.covers(MARCH)


def test_a_manifest_of_another_api_version_is_read() -> None:
    """Only the type and the blobs must be there: what is missing is taken from the list and the path."""
    found = read({"exportConfig": {"type": "FOCUSCOST"}, "blobs": [{"blobName": f"{RUN}/a", "dataRowCount": 3}], "new": [{}]})

    assert (found.submitted_at, found.first, found.last) == (MODIFIED, MARCH, date(2026, 3, 31))
    assert (found.version, found.row_count, found.run_id) == (None, 3, "bbac")
    assert found.files == (DataFile(key=f"{RUN}/a", dataset=Dataset.FOCUS),)


def test_a_run_that_says_it_is_of_the_future_is_of_when_it_was_written() -> None:
    assert read(manifest_json({f"{RUN}/a": 1}, submittedTime="9999-12-31T23:59:59Z")).submitted_at == MODIFIED


@pytest.mark.parametrize("name", ["{run}/a", "/{run}/a", "exports/{run}/a", "finops/daily-focus/elsewhere/a"])
def test_a_blob_s_name_may_begin_with_the_container(name: str) -> None:
    assert read(manifest_json({name.format(run=RUN): 1})).files[0].key.startswith("finops/daily-focus/")


def test_a_directory_called_like_the_container_stays() -> None:
    location = AzureLocation(account="acmebilling", container="exports", directory="exports", name="daily")
    listed = ListedManifest(key="exports/daily/1/manifest.json", etag="1", modified_at=MODIFIED, size=1)
    content = json.dumps(manifest_json({"exports/daily/1/a": 1})).encode()

    assert read_manifest(content, listed, location, MARCH, most=2**23).files[0].key == "exports/daily/1/a"


@pytest.mark.parametrize(
    "name",
    [
        "finops/daily-focus-2/a",
        "finops/daily-focus",
        "finops/daily-focus/",
        "finops/other/a",
        "a",
        f"{RUN}/../../../secret",
        f"{RUN}//a",
        "secrets/finops/daily-focus/a",
        "https://elsewhere.blob.core.windows.net/finops/daily-focus/a",
    ],
)
def test_a_blob_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(StepError, match="not lie below"):
        read(manifest_json({name: 1}))


@pytest.mark.parametrize(
    ("content", "says", "retryable"),
    [
        (b"{", "no JSON object", False),
        (b"[" * 100_000, "no JSON object", False),
        (b"[]", "no JSON object", False),
        (b"{}", "no blobs", False),
        (manifest_json({}, blobs={}), "no blobs", False),
        (manifest_json({f"{RUN}/a": 1}, blobCount=2), "says that there are 2", True),
        (manifest_json([{"byteCount": 1}]), "a blob without a name", False),
        (manifest_json([{"blobName": 1}]), "a blob without a name", False),
    ],
)
def test_a_manifest_that_cannot_be_used_is_named(content: Any, says: str, retryable: bool) -> None:
    with pytest.raises(StepError, match=says) as error:
        read(content)

    assert error.value.is_retryable is retryable


def test_the_latest_run_is_taken_however_folders_are_called() -> None:
    """By its own time, not by names or by when it was written."""
    older, newer = run("z", submitted="2026-04-02T05:00:00Z"), run("a", submitted="2026-04-02T05:00:01Z")

    assert chosen(newer, older) == chosen(older, newer) == ("a", ())


@pytest.mark.parametrize(
    ("first", "last", "submitted"),
    [("2026-03-10", "2026-03-20", "2026-04-05"), ("2026-03-01", "2026-03-10", "2026-04-05"), ("2026-03-02", "2026-03-31", "2026-04-05")],
)
def test_a_part_of_the_month_does_not_replace_it(first: str, last: str, submitted: str) -> None:
    whole, part = run("whole", submitted="2026-04-02"), run("part", submitted=submitted, first=first, last=last)
    key, notes = chosen(whole, part)

    assert key == "whole"
    assert [note.partition(", ")[0] for note in notes] == [f"part was passed over: its run covers {first} to {last}"]
    assert chosen(part)[0] is None, "nor does it begin the month"


def test_a_month_to_date_grows() -> None:
    days = [run(f"{day}", submitted=f"2026-03-{day}T05:00", last=f"2026-03-{day}") for day in (20, 21, 22)]

    assert chosen(*days) == ("22", ())
    assert chosen(*days, run("23", submitted="2026-03-23T05:00", last="2026-03-22"))[0] == "23", "some end with the day before"
    assert chosen(*days, run("23", submitted="2026-03-23T05:00"))[0] == "23", "some end with the month"


def test_a_part_is_not_taken_for_what_is_published() -> None:
    """The run that was published is gone; what is left ends before the last published day."""
    part = run("part", submitted="2026-03-11T05:00", last="2026-03-11")

    assert chosen(part, to=date(2026, 3, 11))[0] == "part"
    assert chosen(part, to=date(2026, 3, 20))[0] is None


def test_a_manifest_of_another_type_is_not_taken() -> None:
    focus, actual = run("focus", submitted="2026-04-02"), run("actual", submitted="2026-04-03", type="ActualCost")

    assert chosen(focus, actual) == ("focus", ())
    assert chosen(focus, actual, dataset=Dataset.ACTUAL) == ("actual", ())


@pytest.mark.parametrize(
    ("type_", "dataset", "says"),
    [
        ("ActualCost", Dataset.FOCUS, "run azure/cost/actual for this one"),
        ("FocusCost", Dataset.ACTUAL, "run azure/cost/focus for this one"),
        ("AmortizedCost", Dataset.ACTUAL, r"is of cost and usage details \(amortized\)"),
        ("PriceSheet", Dataset.FOCUS, "another type of data"),
    ],
)
def test_an_export_of_another_type_is_refused(type_: str, dataset: Dataset, says: str) -> None:
    with pytest.raises(StepError, match=says):
        chosen(run("a", submitted="2026-04-02", type=type_), dataset=dataset)


@pytest.mark.parametrize("type_", ["ActualCost", "actualcost", "Usage"])
def test_actual_cost_has_an_older_name(type_: str) -> None:
    assert chosen(run("a", submitted="2026-04-02", type=type_), dataset=Dataset.ACTUAL)[0] == "a"


def test_a_preview_of_focus_is_refused() -> None:
    with pytest.raises(StepError, match=r"version 1\.2-preview"):
        chosen(run("a", submitted="2026-04-02", dataVersion="1.0-preview(v1)"))


def test_two_exports_in_one_place_are_refused() -> None:
    """Else each run of one replaces the other's cost."""
    times = ["2026-03-20", "2026-03-21", "2026-03-22", "2026-03-23"]
    taking_turns = [run(time, submitted=time, last=time, resourceId=f"/subscriptions/{index % 2}") for index, time in enumerate(times)]

    with pytest.raises(StepError, match=r"Two exports write to the same place: /subscriptions/[01] and /subscriptions/[01]"):
        chosen(*taking_turns)


def test_an_export_made_anew_in_another_scope_follows_the_old_one() -> None:
    times = ["2026-03-20", "2026-03-21", "2026-03-22", "2026-03-23"]
    following = [run(time, submitted=time, last=time, resourceId=f"/subscriptions/{index // 2}") for index, time in enumerate(times)]

    assert chosen(*following) == ("2026-03-23", ())


def test_nothing_is_chosen_of_nothing() -> None:
    assert chosen() == (None, ())


def test_a_month_s_runs_lie_in_one_folder() -> None:
    assert period_prefix(LOCATION, date(2024, 2, 1)) == "finops/daily-focus/20240201-20240229/"
