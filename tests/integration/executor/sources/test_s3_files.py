"""An AWS export in S3: what a look at it costs, which version it finds, and that a file's bytes are of one version."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.clouds.aws.location import S3Location
from services.executor.errors import StepError
from services.executor.ledger.exports import KnownExport
from services.executor.sources.aws.files import S3Files
from services.executor.sources.files.manifest import DataFile, Dataset, FileFormat, Manifest, NoExport
from services.executor.sources.source import Unchanged
from tests.support.aws import AwsAccount

MONTH = date(2026, 10, 1)
MOST = 2**30
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
FILES = {"focus-00001.snappy.parquet": b"one", "focus-00002.snappy.parquet": b"two"}


@pytest.fixture
def account(aws_emulator: str) -> AwsAccount:
    account = AwsAccount(url=aws_emulator)
    assert account.s3
    return account


@contextmanager
def opened(account: AwsAccount, dataset: Dataset = Dataset.FOCUS, path: str = "billing/focus") -> Iterator[S3Files]:
    files = S3Files(account.access(account.user(EVERYTHING)), account.location(path), dataset, max_manifest_bytes=2**20)
    try:
        yield files
    finally:
        files.close()


def requests_of(files: S3Files) -> list[str]:
    """Fills with the operation of every request from now on."""
    made: list[str] = []
    files._session.s3.meta.events.register("before-send.s3", lambda event_name, **_: made.append(event_name.rsplit(".", 1)[-1]))
    return made


def go_on() -> None:
    """No run is cancelled."""


def look(files: S3Files, known: KnownExport | None = None, month: date = MONTH) -> Manifest | Unchanged | NoExport:
    return files.manifest(month, known, go_on)


def found(files: S3Files, known: KnownExport | None = None, month: date = MONTH) -> Manifest:
    manifest = look(files, known, month)
    assert isinstance(manifest, Manifest)
    return manifest


def published(manifest: Manifest) -> KnownExport:
    return KnownExport(
        source_id="AWS/any",
        month=manifest.month,
        manifest_key=manifest.key,
        manifest_etag=manifest.etag,
        manifest_id=manifest.id,
        exported_at=manifest.exported_at,
        version=1,
        days=(),
        row_count=1,
    )


def failed(files: S3Files, file: DataFile, *, into: io.BytesIO | None = None, most: int = MOST) -> StepError:
    with pytest.raises(StepError) as error:
        files.fetch(file, into or io.BytesIO(), most, go_on)
    return error.value


@pytest.mark.parametrize("folder", ["", "2026-10-21T00:10:01.000Z-exec-1"])
def test_a_look_finds_the_manifest_and_a_look_at_an_unchanged_month_takes_one_request(account: AwsAccount, folder: str) -> None:
    key = account.put_export(MONTH, FILES, folder=folder)
    with opened(account) as files:
        manifest = found(files)
        made = requests_of(files)
        known = published(manifest)
        assert look(files, known) == Unchanged(as_of=manifest.exported_at)

    assert made == ["ListObjectsV2"]
    assert (manifest.key, manifest.id, manifest.focus_version, len(manifest.files)) == (key, "exec-1", None, 2)
    assert manifest.exported_at.tzinfo is UTC
    assert manifest.delivered_at == (None if folder else manifest.exported_at)
    assert files.source_id == f"AWS/{account.bucket}/billing/focus"


def test_a_rewritten_manifest_is_a_new_version_also_with_the_same_files(account: AwsAccount) -> None:
    account.put_export(MONTH, FILES)
    with opened(account) as files:
        first = found(files)
        assert files.is_current(first)
        account.put_export(MONTH, FILES, execution="exec-2")
        assert not files.is_current(first)
        second = found(files, published(first))
    assert (second.id, second.key) == ("exec-2", first.key)
    assert second.etag != first.etag


@pytest.mark.parametrize("dataset", [Dataset.FOCUS, Dataset.CUR])
def test_a_manifest_that_is_written_anew_with_the_same_bytes_is_a_new_version(account: AwsAccount, dataset: Dataset) -> None:
    """Overwritten files keep their names, and an execution may keep its id."""
    path = "billing/focus" if dataset is Dataset.FOCUS else "billing/report"
    deliver = account.put_export if dataset is Dataset.FOCUS else account.put_report
    key = deliver(MONTH, FILES)
    with opened(account, dataset, path) as files:
        first = found(files)
        assert isinstance(look(files, published(first)), Unchanged)
        one_second_later(account, key)
        deliver(MONTH, {name: body * 2 for name, body in FILES.items()})
        assert not files.is_current(first)
        second = found(files, published(first))
        assert isinstance(look(files, published(second)), Unchanged)
    assert (second.etag, second.id) == (first.etag, first.id)
    assert second.exported_at > first.exported_at
    assert [file.size for file in second.files] == [6, 6]


def test_of_refreshes_with_files_of_their_own_the_last_counts_also_after_one_in_place(account: AwsAccount) -> None:
    """An export that was switched from overwriting to new files may keep its old manifest."""
    in_place = account.put_export(MONTH, FILES)
    with opened(account) as files:
        old = found(files)
        one_second_later(account, in_place)
        key = account.put_export(MONTH, FILES, execution="exec-2", folder="exec-2")
        new = found(files, published(old))
        assert files.is_current(old), "the files that it lists are as they were"
    assert (new.key, new.id, new.delivered_at) == (key, "exec-2", None)


def test_a_refresh_that_keeps_old_files_writes_its_manifest_twice_and_is_one_version(account: AwsAccount) -> None:
    copy = account.put_export(MONTH, FILES, folder="20261021T001001-exec-1")
    with opened(account) as files:
        first = found(files)
        body = account.s3.get_object(Bucket=account.bucket, Key=copy)["Body"].read()
        one_second_later(account, copy)
        account.put(copy.replace("/20261021T001001-exec-1", ""), body)
        assert look(files, published(first)) == Unchanged(as_of=first.exported_at)
        assert found(files).files == first.files


def test_a_prefix_that_begins_with_a_slash_is_one(account: AwsAccount) -> None:
    account.put_export(MONTH, FILES, path="/billing/focus")
    with opened(account, path=S3Location.parse(f"s3://{account.bucket}//billing/focus").path) as files:
        manifest, into = found(files), io.BytesIO()
        files.fetch(manifest.files[1], into, MOST, go_on)
    assert into.getvalue() == b"two"


def one_second_later(account: AwsAccount, key: str) -> None:
    """Waits until a write would get another LastModified than `key` has: S3 keeps it in seconds."""
    written = account.s3.head_object(Bucket=account.bucket, Key=key)["LastModified"]
    account.put("clock", "")
    while account.s3.head_object(Bucket=account.bucket, Key="clock")["LastModified"] <= written:
        account.put("clock", "")


def test_partitions_in_lower_case_are_found_and_then_looked_for_first(account: AwsAccount) -> None:
    body = {"executionId": "low", "dataFiles": [{"key": "billing/focus/data/billing_period=2026-10/focus-00001.csv.gz", "size": 5}]}
    account.put("billing/focus/data/billing_period=2026-10/focus-00001.csv.gz", b"bytes")
    account.put("billing/focus/metadata/billing_period=2026-10/focus-Manifest.json", json.dumps(body))
    with opened(account) as files:
        manifest = found(files)
        made = requests_of(files)
        assert isinstance(look(files, month=date(2026, 9, 1)), NoExport)
    assert manifest.files == (
        DataFile(key="billing/focus/data/billing_period=2026-10/focus-00001.csv.gz", dataset=Dataset.FOCUS, size=5, format=FileFormat.CSV),
    )
    assert made == ["ListObjectsV2"]


def test_a_month_that_is_not_delivered_yet_is_no_error(account: AwsAccount) -> None:
    with opened(account) as files:
        nothing = look(files)
    assert isinstance(nothing, NoExport)
    assert "up to 24 hours" in nothing.reason


@pytest.mark.parametrize(("dataset", "folder"), [(Dataset.FOCUS, ""), (Dataset.FOCUS, "exec-1"), (Dataset.CUR, "")])
def test_a_changed_month_costs_one_listing_more_which_has_the_sizes(account: AwsAccount, dataset: Dataset, folder: str) -> None:
    if dataset is Dataset.FOCUS:
        account.put_export(MONTH, FILES, folder=folder)
    else:
        account.put_report(MONTH, FILES)
    with opened(account, dataset, "billing/focus" if dataset is Dataset.FOCUS else "billing/report") as files:
        found(files)
        made = requests_of(files)
        manifest = found(files)
        assert made == ["ListObjectsV2", "GetObject", "ListObjectsV2"]
        assert [file.size for file in manifest.files] == [3, 3]

        account.s3.delete_object(Bucket=account.bucket, Key=manifest.files[1].key)
        with pytest.raises(StepError, match=f"lists {manifest.files[1].key}, which is not in the bucket") as error:
            look(files)
    assert error.value.is_retryable


def test_a_file_of_another_size_than_its_manifest_says_is_found_before_it_is_read(account: AwsAccount) -> None:
    key = "billing/focus/data/BILLING_PERIOD=2026-10/focus-00001.csv.gz"
    account.put(key, b"short")
    body = {"executionId": "e", "dataFiles": [{"key": key, "size": 99}]}
    account.put("billing/focus/metadata/BILLING_PERIOD=2026-10/focus-Manifest.json", json.dumps(body))
    with opened(account) as files, pytest.raises(StepError, match="has 5 bytes, and 99 when it was listed: it is being rewritten"):
        look(files)


@pytest.mark.parametrize("layout", ["report", "export"])
def test_both_kinds_of_cost_and_usage_reports_are_read(account: AwsAccount, layout: str) -> None:
    body = {"executionId": "asm-1", "columns": ["line_item_unblended_cost"], "dataFiles": ["data/BILLING_PERIOD=2026-10/report-1.csv.gz"]}
    if layout == "report":
        key = account.put_report(MONTH, {"report-1.csv.gz": b"one", "report-2.csv.gz": b"two"})
    else:
        key = "billing/report/metadata/BILLING_PERIOD=2026-10/report-Manifest.json"
        account.put("billing/report/data/BILLING_PERIOD=2026-10/report-1.csv.gz", b"one")
        account.put(key, json.dumps(body))
    with opened(account, Dataset.CUR, "billing/report") as files:
        manifest = found(files)
        made = requests_of(files)
        assert isinstance(look(files, published(manifest)), Unchanged)
    assert made == ["ListObjectsV2"]
    assert (manifest.key, manifest.id, manifest.focus_version) == (key, "asm-1", None)
    assert {file.dataset for file in manifest.files} == {Dataset.CUR if layout == "report" else Dataset.CUR2}
    assert len(manifest.files) == (2 if layout == "report" else 1), "all of a manifest's files, not the last one"


def test_a_file_is_written_whole(account: AwsAccount) -> None:
    body = bytes(range(256)) * 20_000
    account.put_export(MONTH, {"focus-00001.parquet": body})
    with opened(account) as files:
        [file] = found(files).files
        made, into = requests_of(files), io.BytesIO()
        fetched = files.fetch(file, into, MOST, go_on)
    assert into.getvalue() == body
    assert fetched.size == len(body)
    assert abs(datetime.now(UTC) - fetched.modified_at) < timedelta(minutes=1)
    assert made == ["GetObject"]


def test_a_file_that_is_not_there_is_named_and_may_come(account: AwsAccount) -> None:
    account.put_export(MONTH, FILES)
    with opened(account) as files:
        file = found(files).files[1]
        account.s3.delete_object(Bucket=account.bucket, Key=file.key)
        error = failed(files, file)
    assert file.key in error.message
    assert "Nothing was published" in error.message
    assert error.is_retryable


def test_too_large_a_file_or_another_size_than_listed_is_refused_before_it_is_read(account: AwsAccount) -> None:
    account.put_export(MONTH, FILES)
    with opened(account) as files:
        file = found(files).files[0]
        into = io.BytesIO()
        large = failed(files, file, into=into, most=2)
        torn = failed(files, DataFile(key=file.key, dataset=file.dataset, size=99), into=into)
    assert into.getvalue() == b""
    assert "3 bytes; 2 are read at most" in large.message
    assert not large.is_retryable
    assert "being rewritten" in torn.message
    assert torn.is_retryable


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_download_that_breaks_off_goes_on_with_the_same_version_or_fails(
    account: AwsAccount, monkeypatch: pytest.MonkeyPatch, is_replaced: bool
) -> None:
    """The connection breaks after the first mebibyte; meanwhile the object is replaced, or not."""
    body = bytes(range(256)) * 10_000
    account.put_export(MONTH, {"focus-00001.parquet": body})
    with opened(account) as files:
        [file] = found(files).files
        break_once(files, monkeypatch, lambda: account.put(file.key, b"new" * 1_000_000) if is_replaced else None)
        into = io.BytesIO()
        if is_replaced:
            error = failed(files, file, into=into)
            assert "was replaced while it was read" in error.message
            assert error.is_retryable
        else:
            files.fetch(file, into, MOST, go_on)
            assert into.getvalue() == body


def break_once(files: S3Files, monkeypatch: pytest.MonkeyPatch, then: Any) -> None:
    from botocore.exceptions import ResponseStreamingError  # noqa: PLC0415

    get, broken = files._session.s3.get_object, list[bool]()

    class Breaking:
        def __init__(self, body: Any) -> None:
            self.body, self.close, self.reads = body, body.close, 0

        def read(self, count: int) -> bytes:
            self.reads += 1
            if self.reads == 2 and not broken:
                broken.append(True)
                then()
                raise ResponseStreamingError(error="broken")
            read: bytes = self.body.read(count)
            return read

    def breaking(**request: Any) -> Any:
        answer = get(**request)
        return answer | {"Body": Breaking(answer["Body"])}

    monkeypatch.setattr(files._session.s3, "get_object", breaking)


def test_a_cancelled_run_stops_reading(account: AwsAccount) -> None:
    account.put_export(MONTH, FILES)

    def cancelled() -> None:
        raise InterruptedError

    with opened(account) as files:
        file = found(files).files[0]
        with pytest.raises(InterruptedError):
            files.fetch(file, io.BytesIO(), MOST, cancelled)


def test_files_of_others_are_not_read_even_if_asked_for(account: AwsAccount) -> None:
    account.put("billing/other/secret.csv", "x")
    with opened(account) as files:
        assert (
            "does not lie below the export's own location"
            in failed(files, DataFile(key="billing/other/secret.csv", dataset=Dataset.FOCUS)).message
        )


def test_refusals_say_what_is_missing(account: AwsAccount) -> None:
    nothing = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}]}
    account.put_export(MONTH, FILES)
    files = S3Files(account.access(account.user(nothing)), account.location(), Dataset.FOCUS, max_manifest_bytes=2**20)
    with pytest.raises(StepError) as lists:
        look(files)
    assert f"s3:ListBucket on arn:aws:s3:::{account.bucket} for billing/focus/*" in lists.value.message

    with opened(account) as allowed:
        file = found(allowed).files[0]
    assert f"s3:GetObject on arn:aws:s3:::{account.bucket}/{file.key}" in failed(files, file).message
    files.close()


def test_a_bucket_that_is_not_there_is_named(account: AwsAccount) -> None:
    other = AwsAccount(url=account.url)
    files = S3Files(account.access(account.user(EVERYTHING)), other.location(), Dataset.FOCUS, max_manifest_bytes=2**20)
    with pytest.raises(StepError, match=f"There is no bucket {other.bucket}"):
        look(files)
    files.close()
