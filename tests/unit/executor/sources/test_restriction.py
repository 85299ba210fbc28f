"""The row filter of an export."""

from datetime import date

import pytest
from google.cloud import bigquery

from services.executor.records import Period
from services.executor.sources.gcp.export_rows import RowFilter, is_by_ingestion, restriction

MONTH = Period(first=date(2025, 11, 1), last=date(2025, 11, 30))
ROWS = "usage_start_time >= TIMESTAMP '2025-11-01' AND usage_start_time < TIMESTAMP '2025-12-01'"


def test_partitions_older_than_the_usage_are_not_read() -> None:
    """Newer ones are: rows arrive late."""
    assert restriction(RowFilter(period=MONTH), by_ingestion=False) == ROWS
    assert (
        restriction(RowFilter(period=MONTH), by_ingestion=True)
        == f"(_PARTITIONTIME >= TIMESTAMP '2025-10-31' OR _PARTITIONTIME IS NULL) AND {ROWS}"
    )


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
