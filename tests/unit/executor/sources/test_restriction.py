"""The row filter of an export."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from google.cloud import bigquery

from services.executor.records import Period
from services.executor.sources.gcp.export_rows import ARRIVALS, RowFilter, is_by_ingestion, latest_exports, newer_rows, restriction

MONTH = Period(first=date(2025, 11, 1), last=date(2025, 11, 30))
ROWS = "usage_start_time >= TIMESTAMP '2025-11-01' AND usage_start_time < TIMESTAMP '2025-12-01'"


def test_partitions_older_than_the_usage_are_not_read() -> None:
    """Newer ones are: rows arrive late."""
    assert restriction(RowFilter(period=MONTH), by_ingestion=False) == ROWS
    assert (
        restriction(RowFilter(period=MONTH), by_ingestion=True)
        == f"(_PARTITIONTIME >= TIMESTAMP '2025-10-31' OR _PARTITIONTIME IS NULL) AND {ROWS}"
    )


def test_days_in_between_are_left_out_and_rows_of_before() -> None:
    """Of two stretches of days; partitions from before a row was exported are not read."""
    days = Period.of([date(2025, 11, 1), date(2025, 11, 2), date(2025, 11, 5)])
    assert (days.first, days.last, days.days) == (date(2025, 11, 1), date(2025, 11, 5), [date(2025, 11, day) for day in (1, 2, 5)])
    since = datetime(2025, 11, 9, 12, 30, 0, 250, tzinfo=UTC)
    assert restriction(RowFilter(period=days, since=since), by_ingestion=True) == (
        "(_PARTITIONTIME >= TIMESTAMP '2025-11-09' OR _PARTITIONTIME IS NULL) AND "
        "(usage_start_time >= TIMESTAMP '2025-11-01' AND usage_start_time < TIMESTAMP '2025-11-03' OR "
        "usage_start_time >= TIMESTAMP '2025-11-05' AND usage_start_time < TIMESTAMP '2025-11-06') AND "
        "export_time > TIMESTAMP '2025-11-09 12:30:00.000250+00:00'"
    )
    at_last = RowFilter(period=None, since=since, is_inclusive=True)
    assert restriction(at_last, by_ingestion=False) == "export_time >= TIMESTAMP '2025-11-09 12:30:00.000250+00:00'"


def test_each_day_has_a_time_of_its_own_from_which_on_rows_are_new() -> None:
    """Rows of other days, and rows that do not say when they were exported, are not new."""
    early, late = datetime(2025, 11, 9, tzinfo=UTC), datetime(2025, 11, 10, tzinfo=UTC)
    first, second = datetime(2025, 11, 1, 23, tzinfo=UTC), datetime(2025, 11, 2, tzinfo=UTC)
    rows = [(first, early), (first, late), (second, late), (second, None), (datetime(2025, 11, 3, tzinfo=UTC), late), (None, late)]
    batch = pa.RecordBatch.from_pylist([{"usage_start_time": start, "export_time": time} for start, time in rows], schema=ARRIVALS)
    left = newer_rows(batch, {date(2025, 11, 1): early, date(2025, 11, 2): early}).to_pylist()
    assert [(one["usage_start_time"], one["export_time"]) for one in left] == [(first, late), (second, late)]
    assert latest_exports([batch]) == {date(2025, 11, 1): late, date(2025, 11, 2): late, date(2025, 11, 3): late}


@pytest.mark.parametrize(
    ("partitioning", "expected"),
    [
        (None, False),
        (bigquery.TimePartitioning(field="usage_start_time"), False),
        (bigquery.TimePartitioning(), True),
        (bigquery.TimePartitioning(type_="HOUR"), True),
        (bigquery.TimePartitioning(type_="MONTH"), False),
        (bigquery.TimePartitioning(type_="YEAR"), False),
    ],
)
def test_what_is_partitioned_by_ingestion(partitioning: bigquery.TimePartitioning | None, *, expected: bool) -> None:
    """Only such a table has the column _PARTITIONTIME; asking another one for it is an error."""
    table = bigquery.Table("a-project.a.t")
    table.time_partitioning = partitioning
    assert is_by_ingestion(table) is expected
