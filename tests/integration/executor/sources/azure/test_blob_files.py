"""A tenant's Cost Management export, read from Blob Storage: which run of it, in how many requests, and never two versions of a file."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, date, datetime
from typing import Any

import pytest
from azure.storage.blob import ContainerClient, ContentSettings

from localcloud.azure import blobs
from services.clouds.azure.location import AzureLocation
from services.executor.errors import StepError
from services.executor.ledger.exports import KnownExport
from services.executor.sources.azure.both_costs import BothCosts
from services.executor.sources.azure.files import BlobFiles
from services.executor.sources.files.manifest import BillingFiles, DataFile, Dataset, Fetched, Manifest, NoExport
from services.executor.sources.source import Unchanged
from tests.support.azure import ACCOUNT, STRANGER, AzureServer, manifest_json, put

MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)
FOLDER = "finops/daily/20260301-20260331"
MOST = 10**9
type Export = Callable[..., BlobFiles]
type Run = Callable[..., str]


def going_on() -> None:
    """The run is not over."""


class Over(Exception):
    """What a run that was cancelled raises."""


@pytest.fixture
def export(azure: AzureServer, container: ContainerClient) -> Iterator[Export]:
    """Opens the export `finops/{name}`."""
    with ExitStack() as stack:

        def opened(dataset: Dataset = Dataset.FOCUS, name: str = "daily", client_id: str | None = None) -> BlobFiles:
            location = AzureLocation(account=ACCOUNT, container=container.container_name, directory="finops", name=name)
            identity = azure.identity(client_id) if client_id else azure.identity()
            files = BlobFiles(identity, location, dataset, max_manifest_bytes=2**23)
            stack.callback(files.close)
            azure.served()
            return files

        yield opened


@pytest.fixture
def run(container: ContainerClient) -> Run:
    """One run of an export: its data files first, its manifest last, as Azure does; answers the manifest's name."""

    def written(folder: str = f"{FOLDER}/202604020504/1", files: Mapping[str, bytes] | None = None, **changes: Any) -> str:
        parts = {f"{folder}/{name}": content for name, content in (files or {"part0": b"rows"}).items()}
        for name, content in parts.items():
            put(container, name, content)
        put(
            container,
            f"{folder}/manifest.json",
            json.dumps(manifest_json({key: len(part) for key, part in parts.items()}, **changes)).encode(),
        )
        return f"{folder}/manifest.json"

    return written


def known_as(manifest: Manifest, **changes: Any) -> KnownExport:
    """The manifest as it is published."""
    facts: dict[str, Any] = {
        "source_id": "AZURE/acmebilling/exports/finops/daily",
        "month": manifest.month,
        "manifest_key": manifest.key,
        "manifest_etag": manifest.etag,
        "manifest_id": manifest.id,
        "exported_at": manifest.exported_at,
        "version": 1,
        "days": (date(2026, 3, 1), date(2026, 3, 31), date(2026, 4, 1)),
        "row_count": 10,
    }
    return KnownExport(**{**facts, **changes})


def found(files: BillingFiles, known: KnownExport | None = None, month: date = MARCH) -> Manifest:
    answer = files.manifest(month, known, going_on)
    assert isinstance(answer, Manifest), answer
    return answer


def fetched(files: BillingFiles, file: DataFile, most: int = MOST) -> tuple[bytes, Fetched]:
    into = io.BytesIO()
    answer = files.fetch(file, into, most, going_on)
    return into.getvalue(), answer


def test_the_files_of_the_latest_run_are_read(export: Export, run: Run) -> None:
    run(f"{FOLDER}/202604010504/1", {"part0": b"old"}, submittedTime="2026-04-01T05:04:06Z")
    newest = run(files={"part0": b"first", "part1": b"second"})
    files = export()
    manifest = found(files)

    assert files.source_id.startswith(f"AZURE/{ACCOUNT}/c")
    assert files.source_id.endswith("/finops/daily")
    assert (manifest.key, manifest.month, manifest.row_count) == (newest, MARCH, 20)
    assert manifest.focus_version == "1.2-preview"
    assert manifest.exported_at == datetime(2026, 4, 2, 5, 4, 6, 523444, tzinfo=UTC)
    assert [fetched(files, file)[0] for file in manifest.files] == [b"first", b"second"]
    content, answer = fetched(files, manifest.files[0])
    assert answer.size == len(content)
    assert manifest.delivered_at is not None
    assert answer.modified_at <= manifest.delivered_at
    assert files.is_current(manifest)


def test_what_is_unchanged_takes_one_request(azure: AzureServer, export: Export, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many runs the month has had."""
    for day in range(1, 4):
        monkeypatch.setattr(blobs, "_now", lambda day=day: datetime(2026, 4, day, 5, 9, tzinfo=UTC))
        run(f"{FOLDER}/2026040{day}0504/1", submittedTime=f"2026-04-0{day}T05:04:06Z")
    files = export()
    known = known_as(found(files))
    first = azure.served()
    answer = files.manifest(MARCH, known, going_on)

    assert answer == Unchanged(as_of=known.exported_at)
    assert len(first) == 4, "the list, and each manifest once"
    assert [one.rpartition(" ")[2] for one in azure.served()] == ["200"]


@pytest.mark.parametrize("folder", [f"{FOLDER}", f"{FOLDER}/202604020504", f"{FOLDER}/1", f"{FOLDER}/202604020504/1"])
def test_an_overwritten_run_is_found(export: Export, run: Run, folder: str) -> None:
    """Whether or not there are folders for the run."""
    run(folder, {"part0": b"old"}, submittedTime="2026-04-01T05:04:06Z")
    files = export()
    old = found(files)
    run(folder, {"part0": b"newer"})
    new = found(files, known_as(old))

    assert not files.is_current(old)
    assert (new.key, new.etag != old.etag) == (old.key, True)
    assert fetched(files, new.files[0])[0] == b"newer"


def test_an_older_run_does_not_replace_a_newer_one(export: Export, run: Run, container: ContainerClient) -> None:
    """Neither when it is written later, nor when the newer one is deleted."""
    newer = run(f"{FOLDER}/a")
    files = export()
    known = known_as(found(files))
    run(f"{FOLDER}/b", submittedTime="2026-04-01T05:04:06Z")
    assert files.manifest(MARCH, known, going_on) == Unchanged(as_of=known.exported_at)

    container.delete_blob(newer)
    assert files.manifest(MARCH, known, going_on) == Unchanged(as_of=known.exported_at)


def test_a_part_of_the_month_does_not_replace_it(export: Export, run: Run, container: ContainerClient) -> None:
    """A one-time export in the same place, later than the whole month: alone, and after the whole was deleted."""
    whole = run(f"{FOLDER}/a")
    files = export()
    known = known_as(found(files))
    run(f"{FOLDER}/b", submittedTime="2026-04-07T05:04:06Z", endDate="2026-03-10T00:00:00Z")
    assert found(files).key == whole
    unchanged = files.manifest(MARCH, known, going_on)
    assert isinstance(unchanged, Unchanged)
    assert unchanged.as_of == known.exported_at
    [note] = unchanged.notes
    assert "passed over: its run covers 2026-03-01 to 2026-03-10" in note

    container.delete_blob(whole)
    answer = files.manifest(MARCH, known, going_on)
    assert isinstance(answer, NoExport)
    assert "passed over: its run covers 2026-03-01 to 2026-03-10" in answer.reason


def test_nothing_exported_is_no_error(export: Export, run: Run, container: ContainerClient) -> None:
    run()
    files = export()
    answer = files.manifest(APRIL, None, going_on)
    assert isinstance(answer, NoExport)
    assert "Nothing has been exported to finops/daily/20260401-20260430/" in answer.reason

    put(container, "finops/daily/20260401-20260430/part0.csv", b"1")
    answer = files.manifest(APRIL, None, going_on)
    assert isinstance(answer, NoExport)
    assert "no manifest among the 1 blobs" in answer.reason


def test_another_export_s_files_are_not_seen(export: Export, run: Run) -> None:
    """Of an export whose name begins the same, and of another month."""
    run("finops/daily-2/20260301-20260331/1")
    run("finops/daily/20260201-20260228/1")

    assert isinstance(export().manifest(MARCH, None, going_on), NoExport)


@pytest.mark.parametrize("dataset", [Dataset.ACTUAL, Dataset.AMORTIZED])
def test_another_type_of_export_is_refused(export: Export, run: Run, dataset: Dataset) -> None:
    run()

    with pytest.raises(StepError, match="azure/cost/focus"):
        export(dataset).manifest(MARCH, None, going_on)


def test_a_missing_file_heals(export: Export, run: Run, container: ContainerClient) -> None:
    run()
    files = export()
    manifest = found(files)
    container.delete_blob(manifest.files[0].key)

    with pytest.raises(StepError, match="part0, which is not in container") as error:
        fetched(files, manifest.files[0])
    assert error.value.is_retryable
    container.delete_blob(manifest.key)
    assert not files.is_current(manifest)


def test_a_file_of_another_size_heals(export: Export, run: Run, container: ContainerClient) -> None:
    run()
    files = export()
    manifest = found(files)
    put(container, manifest.files[0].key, b"more rows")

    with pytest.raises(StepError, match="has 9 bytes, and its manifest says 4") as error:
        fetched(files, manifest.files[0])
    assert error.value.is_retryable


def test_a_large_file_is_refused_before_it_is_downloaded(azure: AzureServer, export: Export, run: Run) -> None:
    run(files={"part0": b"x" * (20 * 2**20)})
    files = export()
    manifest = found(files)
    azure.served()
    into = io.BytesIO()

    with pytest.raises(StepError, match="at most 1,000 are read"):
        files.fetch(manifest.files[0], into, 1_000, going_on)
    assert into.getvalue() == b""
    assert len(azure.served()) == 1


def test_a_file_that_is_replaced_while_it_is_read_is_not_mixed(export: Export, run: Run, container: ContainerClient) -> None:
    """Of the same size, as an export of the same rows may have."""
    size = 13 * 2**20
    run(files={"part0": b"o" * size})
    files = export()
    manifest = found(files)
    calls = iter(range(100))

    def replace_meanwhile() -> None:
        if next(calls) == 1:
            put(container, manifest.files[0].key, b"n" * size)

    with pytest.raises(StepError, match="was replaced while it was read") as error:
        files.fetch(manifest.files[0], io.BytesIO(), MOST, replace_meanwhile)
    assert error.value.is_retryable


def test_a_cancelled_run_stops_between_chunks(azure: AzureServer, export: Export, run: Run) -> None:
    run(files={"part0": b"x" * (40 * 2**20)})
    files = export()
    manifest = found(files)
    azure.served()
    calls = iter(range(100))

    def cancel() -> None:
        if next(calls) == 2:
            raise Over

    with pytest.raises(Over):
        files.fetch(manifest.files[0], io.BytesIO(), MOST, cancel)
    assert len(azure.served()) <= 3


def test_a_compressed_file_arrives_as_it_is_stored(export: Export, run: Run, container: ContainerClient) -> None:
    """Whatever it says of its encoding: what is in it is for the reader, within limits."""
    run(files={"part0": b"\x1f\x8b not really"})
    files = export()
    manifest = found(files)
    settings = ContentSettings(content_encoding="gzip")
    container.upload_blob(manifest.files[0].key, b"\x1f\x8b not really", overwrite=True, content_settings=settings)

    assert fetched(files, manifest.files[0])[0] == b"\x1f\x8b not really"


def test_what_passes_by_itself_is_asked_for_again(azure: AzureServer, export: Export, run: Run) -> None:
    run()
    files = export()
    azure.azure.faults.append("ServerBusy")

    assert fetched(files, found(files).files[0])[0] == b"rows"
    assert azure.served()[0].endswith("503")


def test_what_does_not_pass_is_retryable_later(azure: AzureServer, export: Export, run: Run) -> None:
    run()
    files = export()
    azure.azure.faults.extend(["ServerBusy"] * 3)

    with pytest.raises(StepError, match="did not answer when asked for container c") as error:
        files.manifest(MARCH, None, going_on)
    assert error.value.is_retryable
    assert len(azure.served()) == 3


def test_a_role_that_is_missing_is_named(export: Export, run: Run) -> None:
    run()

    with pytest.raises(StepError, match="Grant it Storage Blob Data Reader on the container") as error:
        export(client_id=STRANGER).manifest(MARCH, None, going_on)
    assert not error.value.is_retryable


def test_a_wrong_secret_is_named(azure: AzureServer, container: ContainerClient) -> None:
    location = AzureLocation(account=ACCOUNT, container=container.container_name, directory="", name="daily")
    files = BlobFiles(azure.identity(client_secret="wrong~secret~0001"), location, Dataset.FOCUS, max_manifest_bytes=2**23)

    with pytest.raises(StepError, match="the secret's id"):
        files.manifest(MARCH, None, going_on)
    files.close()


class TestBothCosts:
    @pytest.fixture
    def both(self, export: Export, run: Run) -> BothCosts:
        """Actual and amortized cost of March, exported one after the other."""
        run("finops/actual/20260301-20260331/1", {"part0": b"actual"}, type="ActualCost", submittedTime="2026-04-02T05:00:00Z")
        run("finops/amortized/20260301-20260331/1", {"part0": b"amortized"}, type="AmortizedCost", submittedTime="2026-04-02T06:00:00Z")
        return BothCosts(export(Dataset.ACTUAL, "actual"), export(Dataset.AMORTIZED, "amortized"))

    def test_a_version_is_one_of_each(self, both: BothCosts) -> None:
        manifest = found(both)

        assert both.source_id.endswith("/finops/actual")
        assert manifest.key == "finops/actual/20260301-20260331/1/manifest.json | finops/amortized/20260301-20260331/1/manifest.json"
        assert (manifest.exported_at, manifest.row_count) == (datetime(2026, 4, 2, 6, tzinfo=UTC), 20)
        assert [(file.dataset, fetched(both, file)[0]) for file in manifest.files] == [
            (Dataset.ACTUAL, b"actual"),
            (Dataset.AMORTIZED, b"amortized"),
        ]
        assert both.is_current(manifest)

    def test_unchanged_are_both_in_one_request_each(self, azure: AzureServer, both: BothCosts) -> None:
        known = known_as(found(both))
        azure.served()

        assert both.manifest(MARCH, known, going_on) == Unchanged(as_of=known.exported_at)
        assert len(azure.served()) == 2

    @pytest.mark.parametrize(("name", "type_"), [("actual", "ActualCost"), ("amortized", "AmortizedCost")])
    def test_a_change_of_one_is_a_change(self, both: BothCosts, run: Run, name: str, type_: str) -> None:
        before = found(both)
        run(f"finops/{name}/20260301-20260331/1", {"part0": b"restated"}, type=type_, submittedTime="2026-04-02T05:30:00Z")
        after = found(both, known_as(before))

        assert not both.is_current(before)
        assert after.etag != before.etag
        assert b"restated" in [fetched(both, file)[0] for file in after.files]
        assert len(after.files) == 2

    def test_amortized_cost_that_is_added_later_is_a_change(self, both: BothCosts, export: Export) -> None:
        alone = found(export(Dataset.ACTUAL, "actual"))

        assert len(found(both, known_as(alone)).files) == 2

    def test_one_alone_is_not_published(self, both: BothCosts, container: ContainerClient) -> None:
        container.delete_blob("finops/amortized/20260301-20260331/1/manifest.json")
        answer = both.manifest(MARCH, None, going_on)

        assert isinstance(answer, NoExport)
        assert "/finops/amortized: There is no manifest" in answer.reason

    def test_a_file_that_is_younger_than_its_own_manifest_heals(self, both: BothCosts) -> None:
        manifest = found(both)
        later = {key: at.replace(year=2020) for key, at in both._delivered.items() if "actual" in key}
        both._delivered |= later

        with pytest.raises(StepError, match="younger than its manifest") as error:
            fetched(both, manifest.files[0])
        assert error.value.is_retryable
