"""Which periods of an export are read, that each is read whole or not at all, and what a run learns of it."""

import contextlib
import os
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from services.executor.errors import StepError
from services.executor.ledger.exports import KnownExport
from services.executor.metering.cap import CapExceeded, RunCap
from services.executor.metering.meter import RunMeter
from services.executor.sources.files.files_source import FilesSource
from services.executor.sources.source import Unchanged
from tests.support.executor.focus_export_rows import NOW, OCTOBER, focus_table, found, read, request, source, staging
from tests.support.executor.local_files import LocalFiles, deliver

SEPTEMBER = date(2026, 9, 1)


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "bucket")


@pytest.fixture
def export(files: LocalFiles, tmp_path: Path) -> Iterator[FilesSource]:
    opened = source(files, tmp_path)
    yield opened
    opened.close()


def known(month: date, *, etag: str = "old", exported_at: datetime = datetime(2026, 10, 14, 6, tzinfo=UTC), **more: Any) -> KnownExport:
    values: dict[str, Any] = {
        "source_id": "AWS/bucket/prefix/name",
        "manifest_key": "k",
        "manifest_id": "before",
        "version": 3,
        "days": (),
        "row_count": 1,
    } | more
    return KnownExport(month=month, manifest_etag=etag, exported_at=exported_at, **values)


def test_all_files_of_a_manifest_are_read_and_none_besides(files: LocalFiles, export: FilesSource) -> None:
    deliver(files.folder, OCTOBER, {"a.parquet": focus_table({}, {}), "b.parquet": focus_table({"BillingCurrency": "EUR"})})
    (files.folder / "2026-10" / "c.parquet").write_bytes((files.folder / "2026-10" / "a.parquet").read_bytes())

    one = found(export, request(month=OCTOBER))
    rows = read(one)

    assert [row["BilledCost"] for row in rows] == [Decimal("1.25")] * 3
    assert {row["x_UsageDate"] for row in rows} == {date(2026, 10, 3)}
    assert files.requests == ["manifest 2026-10", "fetch a.parquet", "fetch b.parquet", "is_current"]
    outputs = one.outputs()
    assert outputs["source_rows"] == 3
    assert outputs["export_days"] == [{"billing_period": OCTOBER, "day": date(2026, 10, 3)}]
    sums = {"billing_period": OCTOBER, "row_count": 2, "billed_cost": Decimal("2.5"), "effective_cost": Decimal(2)}
    assert outputs["source_sums"] == [
        {**sums, "currency": "USD"},
        {**sums, "currency": "EUR", "row_count": 1, "billed_cost": Decimal("1.25"), "effective_cost": Decimal(1)},
    ]
    exported = outputs["exports"]
    assert isinstance(exported, list)
    assert exported[0] | {"manifest_etag": "", "byte_count": 0} == {
        "source_id": "AWS/bucket/prefix/name",
        "billing_period": OCTOBER,
        "dataset": "FOCUS",
        "focus_version": "1.2",
        "manifest_key": "2026-10/manifest.json",
        "manifest_etag": "",
        "manifest_id": "run-2026101506",
        "exported_at": datetime(2026, 10, 15, 6, tzinfo=UTC),
        "seen_version": 0,
        "row_count": 3,
        "file_count": 2,
        "byte_count": 0,
    }


def test_a_run_replaces_the_days_of_the_month_so_far_those_with_rows_and_those_that_had_some(
    files: LocalFiles, export: FilesSource
) -> None:
    late = focus_table({"ChargePeriodStart": datetime(2026, 11, 1, 0, tzinfo=UTC)}, {})
    deliver(files.folder, OCTOBER, {"a.parquet": late}, exported_at=datetime(2026, 10, 4, 6, tzinfo=UTC))
    before = known(OCTOBER, days=(date(2026, 9, 30),), exported_at=datetime(2026, 10, 3, tzinfo=UTC))

    one = found(export, request(known=(before,)))
    read(one)

    days = [date(2026, 9, 30), *(date(2026, 10, day) for day in range(1, 5)), date(2026, 11, 1)]
    reads = one.outputs()["day_reads"]
    assert isinstance(reads, list)
    assert [read["day"] for read in reads] == days
    assert one.period is not None
    assert one.period.days == days
    assert {read["exported_to"] for read in reads} == {datetime(2026, 10, 4, 6, tzinfo=UTC)}
    exported = one.outputs()["exports"]
    assert isinstance(exported, list)
    assert exported[0]["seen_version"] == 3


def test_an_unchanged_month_takes_one_request(files: LocalFiles, export: FilesSource) -> None:
    deliver(files.folder, OCTOBER, {"a.parquet": focus_table()})
    first = found(export, request(month=OCTOBER))
    etag = first.outputs()["exports"][0]["manifest_etag"]  # type: ignore[index]
    files.requests.clear()

    answer = export.find(request(known=(known(OCTOBER, etag=etag), known(SEPTEMBER))), lambda: None)

    assert isinstance(answer, Unchanged)
    assert answer.as_of == datetime(2026, 10, 14, 6, tzinfo=UTC)
    assert files.requests == ["manifest 2026-09", "manifest 2026-10"]


def test_a_month_that_is_asked_for_is_loaded_though_unchanged(files: LocalFiles, export: FilesSource) -> None:
    deliver(files.folder, OCTOBER, {"a.parquet": focus_table()})
    etag = found(export, request(month=OCTOBER)).outputs()["exports"][0]["manifest_etag"]  # type: ignore[index]

    assert read(found(export, request(month=OCTOBER, known=(known(OCTOBER, etag=etag),))))


def test_an_older_manifest_does_not_replace_a_newer_one(files: LocalFiles, export: FilesSource) -> None:
    deliver(files.folder, OCTOBER, {"a.parquet": focus_table()}, exported_at=datetime(2026, 10, 13, tzinfo=UTC))
    deliver(files.folder, SEPTEMBER, {"a.parquet": focus_table({"BillingPeriodStart": datetime(2026, 9, 1, tzinfo=UTC)})})

    one = found(export, request(known=(known(OCTOBER),)))

    assert [row["x_BillingPeriod"] for row in read(one)] == [SEPTEMBER]
    assert " ".join(one.origin["notes"]) == (
        "The manifest of October 2026 is of 2026-10-13T00:00:00+00:00; what is published is of 2026-10-14T06:00:00+00:00 and stays."
        " Export the month anew to replace it."
    )


def test_that_the_cloud_has_an_older_manifest_is_said_if_nothing_else_is_read_and_an_error_if_the_month_was_asked_for(
    files: LocalFiles, export: FilesSource
) -> None:
    deliver(files.folder, OCTOBER, {"a.parquet": focus_table()}, exported_at=datetime(2026, 10, 13, tzinfo=UTC))

    answer = export.find(request(known=(known(OCTOBER), known(SEPTEMBER))), lambda: None)

    assert isinstance(answer, Unchanged)
    missing, older = answer.notes
    assert missing == "There is no export of September 2026."
    assert older.startswith("The manifest of October 2026 is of 2026-10-13")
    with pytest.raises(StepError, match=r"^The manifest of October 2026 is of .* and stays\. Export the month anew") as caught:
        export.find(request(month=OCTOBER, known=(known(OCTOBER),)), lambda: None)
    assert not caught.value.is_retryable


def test_a_month_without_an_export_is_an_error_only_if_nothing_is_known(files: LocalFiles, export: FilesSource) -> None:
    with pytest.raises(StepError, match=r"no export of October 2026.*Check the location"):
        export.find(request(), lambda: None)
    with pytest.raises(StepError, match=r"^There is no export of October 2026\.$"):
        export.find(request(month=OCTOBER), lambda: None)
    assert isinstance(export.find(request(known=(known(SEPTEMBER),)), lambda: None), Unchanged)


def test_three_months_are_loaded_at_once_the_oldest_first(files: LocalFiles, export: FilesSource) -> None:
    months = [date(2026, month, 1) for month in (6, 7, 8, 9, 10)]
    for month in months:
        begin = datetime(month.year, month.month, 1, tzinfo=UTC)
        deliver(files.folder, month, {"a.parquet": focus_table({"BillingPeriodStart": begin})})
    asked = request()
    assert asked.exports is not None
    object.__setattr__(asked.exports, "history_months", 5)

    rows = read(found(export, asked))

    assert [row["x_BillingPeriod"] for row in rows] == months[:3]
    assert "manifest 2026-09" not in files.requests


def test_a_manifest_that_is_replaced_while_it_is_read_is_read_again_later(files: LocalFiles, export: FilesSource) -> None:
    path = deliver(files.folder, OCTOBER, {"a.parquet": focus_table()})

    def rewrite(_: str) -> None:
        path.write_text(path.read_text().replace("run-", "rerun-"))

    files.before_fetch = rewrite

    with pytest.raises(StepError, match="written anew while it was read") as caught:
        read(found(export, request(month=OCTOBER)))

    assert caught.value.is_retryable


def test_a_file_that_is_younger_than_its_manifest_is_being_rewritten(files: LocalFiles, export: FilesSource) -> None:
    deliver(files.folder, OCTOBER, {"a.parquet": focus_table()})
    later = time.time() + 60
    os.utime(files.folder / "2026-10" / "a.parquet", (later, later))

    with pytest.raises(StepError, match=r"a\.parquet was written after the manifest") as caught:
        read(found(export, request(month=OCTOBER)))

    assert caught.value.is_retryable


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "lists a.parquet, which is not there"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "has .* bytes, but the manifest says"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"), "cannot be read as Parquet"),
    ],
)
def test_a_file_that_is_not_as_the_manifest_says_fails_the_run(files: LocalFiles, export: FilesSource, spoil: Any, message: str) -> None:
    manifest = deliver(files.folder, OCTOBER, {"a.parquet": focus_table()})
    spoil(files.folder / "2026-10" / "a.parquet")
    os.utime(manifest)

    with pytest.raises(StepError, match=message):
        read(found(export, request(month=OCTOBER)))


def test_rows_are_counted_against_the_manifest(files: LocalFiles, export: FilesSource) -> None:
    deliver(files.folder, OCTOBER, {"a.parquet": focus_table()}, row_count=2)

    with pytest.raises(StepError, match="have 1 rows, but the manifest says 2") as caught:
        read(found(export, request(month=OCTOBER)))

    assert caught.value.is_retryable


@pytest.mark.parametrize(
    "key", ["2026-10/../2026-09/a", "2026-11/a", "2026-10//a", "2026-10/a\\b", "2026-10/a\nb", "2026-10/", "/2026-10/a"]
)
def test_a_manifest_names_only_files_below_the_export_s_own_place(files: LocalFiles, export: FilesSource, key: str) -> None:
    deliver(files.folder, OCTOBER, {}, files=[{"key": key, "dataset": "FOCUS"}])

    with pytest.raises(StepError, match="does not lie below the export's own location"):
        export.find(request(month=OCTOBER), lambda: None)

    assert files.requests == ["manifest 2026-10"]


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"files_max_count": 1}, "has 2 files; at most 1"),
        ({"files_max_file_bytes": 10}, "bytes; at most 10 are read of a file"),
        ({"files_max_period_bytes": 5000}, "bytes; at most 5,000 are read of a period"),
        ({"files_max_rows": 1}, "has 2 rows; at most 1 are read"),
    ],
)
def test_what_is_too_large_by_its_manifest_is_not_fetched(files: LocalFiles, tmp_path: Path, limit: dict[str, Any], message: str) -> None:
    deliver(files.folder, OCTOBER, {"a.parquet": focus_table(), "b.parquet": focus_table()}, row_count=2)
    export = source(files, tmp_path, **limit)

    with pytest.raises(StepError, match=message):
        export.find(request(month=OCTOBER), lambda: None)

    export.close()
    assert files.requests == ["manifest 2026-10"]


def test_a_file_is_not_listed_twice(files: LocalFiles, export: FilesSource) -> None:
    deliver(files.folder, OCTOBER, {"a.parquet": focus_table()}, files=[{"key": "2026-10/a.parquet", "dataset": "FOCUS"}] * 2)

    with pytest.raises(StepError, match=r"lists a\.parquet twice"):
        export.find(request(month=OCTOBER), lambda: None)


def test_the_run_s_cap_is_asked_before_anything_is_fetched(files: LocalFiles, tmp_path: Path) -> None:
    deliver(files.folder, OCTOBER, {"a.parquet": focus_table()})
    run = RunMeter(cap=RunCap(bytes_read=100))
    export = source(files, tmp_path, run.step("read", 1))

    with pytest.raises(CapExceeded):
        read(found(export, request(month=OCTOBER)))

    export.close()
    assert files.requests == ["manifest 2026-10"]


def test_a_run_counts_what_it_has_downloaded(files: LocalFiles, tmp_path: Path) -> None:
    deliver(files.folder, OCTOBER, {"a.parquet": focus_table()}, files=[{"key": "2026-10/a.parquet", "dataset": "FOCUS"}])
    run = RunMeter()
    export = source(files, tmp_path, run.step("read", 1), files_usd_per_tib=92.0)

    read(found(export, request(month=OCTOBER)))

    export.close()
    size = (files.folder / "2026-10" / "a.parquet").stat().st_size
    assert run.cost.bytes_read == size
    assert run.cost.cost_usd == pytest.approx(size / 2**40 * 92)


def descriptors_now() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Ended(Exception):
    pass


def test_a_cancelled_run_stops_between_batches_and_leaves_nothing_behind(files: LocalFiles, tmp_path: Path) -> None:
    deliver(files.folder, OCTOBER, {name: focus_table(*[{}] * 3) for name in ("a.parquet", "b.parquet")})
    export = source(files, tmp_path)
    before = descriptors_now()
    is_over = False

    def check_cancelled() -> None:
        if is_over:
            raise Ended

    rows = iter(found(export, request(month=OCTOBER)).read(staging("x_staging_focus_export"), check_cancelled))
    assert next(rows).num_rows == 3
    is_over = True
    with pytest.raises(Ended):
        list(rows)
    export.close()

    assert "fetch b.parquet" not in files.requests
    assert files.is_closed
    assert descriptors_now() <= before, "earlier tests may leave some that are closed meanwhile"


def test_a_month_that_cannot_be_read_does_not_keep_the_others_back(files: LocalFiles, export: FilesSource) -> None:
    """It is named; a run that finds nothing else fails, and so does one for that very month."""
    deliver(files.folder, SEPTEMBER, {"a.parquet": focus_table({})}).write_text("{")
    deliver(files.folder, OCTOBER, {"a.parquet": focus_table({})})
    one = found(export, request())
    assert [period["billing_period"] for period in one.origin["periods"]] == ["2026-10-01"]
    [sentence] = one.origin["unreadable"]
    assert sentence.startswith("September 2026: ")

    (files.folder / "2026-10" / "manifest.json").unlink()
    for asked in (request(), request(month=SEPTEMBER)):
        with pytest.raises(StepError, match="manifest"):
            found(export, asked)


def test_the_estimate_is_of_the_sizes_in_the_manifest(files: LocalFiles, export: FilesSource) -> None:
    deliver(files.folder, OCTOBER, {"a.parquet": focus_table()}, row_count=1)

    estimate = found(export, request(month=OCTOBER)).estimate()

    assert (estimate.rows, estimate.bytes_read) == (1, (files.folder / "2026-10" / "a.parquet").stat().st_size)
    assert files.requests == ["manifest 2026-10"]


def test_an_empty_export_replaces_its_month_with_nothing(files: LocalFiles, export: FilesSource) -> None:
    deliver(files.folder, OCTOBER, {"a.parquet": focus_table().slice(0, 0)}, exported_at=datetime(2026, 10, 2, tzinfo=UTC))

    one = found(export, request(month=OCTOBER))

    assert read(one) == []
    assert one.outputs()["source_sums"] == []
    assert one.period is not None
    assert one.period.days == [date(2026, 10, 1), date(2026, 10, 2)]


@pytest.mark.parametrize(
    "content",
    [
        b"<html>AccessDenied</html>",
        b"<html>\nAccessDenied</html>\n",
        b"BilledCost,EffectiveCost,Billing",
        pa.table({"name": ["x"]}).slice(0, 0),
    ],
)
def test_a_file_of_something_else_is_no_empty_export(files: LocalFiles, export: FilesSource, content: pa.Table | bytes) -> None:
    """Beside a file with rows: these would be published as all that there is."""
    deliver(files.folder, OCTOBER, {"a.parquet": focus_table({}), "b.csv": content})

    with pytest.raises(StepError, match=r"b\.csv( has no column BilledCost|, which has the names of the columns, has no end)"):
        read(found(export, request(month=OCTOBER)))


@pytest.mark.parametrize("year", [1970, 2101, 9998])
def test_times_that_no_cloud_has_billed_are_refused(files: LocalFiles, export: FilesSource, year: int) -> None:
    deliver(files.folder, OCTOBER, {"a.parquet": focus_table({}, {"ChargePeriodStart": datetime(year, 1, 2, tzinfo=UTC)})})

    with pytest.raises(StepError, match=rf"1 rows of a\.parquet are dated before 2000 or after 2100, such as {year}-01-02\."):
        read(found(export, request(month=OCTOBER)))


def test_rows_that_would_fill_the_disk_are_refused(files: LocalFiles, tmp_path: Path) -> None:
    deliver(files.folder, OCTOBER, {"a.parquet": focus_table(*[{}] * 50), "b.parquet": focus_table(*[{}] * 50)})
    message = r"The rows of October 2026 take more than 50,000 bytes, decoded"
    with contextlib.closing(source(files, tmp_path, files_max_decoded_bytes=50_000)) as one, pytest.raises(StepError, match=message):
        read(found(one, request(month=OCTOBER)))

    assert "fetch b.parquet" in files.requests


def test_decimal_and_double_come_to_the_same_cents(files: LocalFiles, export: FilesSource) -> None:
    costs = [Decimal(number) / 7 for number in range(1, 500)]
    exact = focus_table(*({"BilledCost": round(cost, 18)} for cost in costs), types={"BilledCost": pa.decimal128(38, 18)})
    double = focus_table(*({"BilledCost": float(cost)} for cost in costs))
    texts = focus_table(*({"BilledCost": str(round(cost, 18))} for cost in costs))
    sums = set()
    for table in (exact, double, texts):
        deliver(files.folder, OCTOBER, {"a.parquet": table})
        one = found(export, request(month=OCTOBER))
        total = sum(row["BilledCost"] for row in read(one))
        listed = one.outputs()["source_sums"]
        assert isinstance(listed, list)
        assert abs(total - listed[0]["billed_cost"]) < Decimal("0.000001")
        sums.add(total)

    assert len(sums) == 1


def test_the_first_month_may_be_over_before_it_is_exported(files: LocalFiles, export: FilesSource) -> None:
    deliver(files.folder, SEPTEMBER, {"a.parquet": focus_table({"BillingPeriodStart": datetime(2026, 9, 1, tzinfo=UTC)})})

    one = found(export, request(month=SEPTEMBER, now=NOW + timedelta(days=1)))

    assert one.period is not None
    assert (one.period.first, one.period.last) == (SEPTEMBER, date(2026, 9, 30))
