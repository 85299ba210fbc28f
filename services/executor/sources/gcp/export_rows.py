"""Which rows of an export are read, from tables and from views, and their sums by day."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from google.cloud import bigquery

from services.executor.records import Period
from services.executor.sources.gcp.export_days import Days
from services.executor.sources.gcp.exports import COST, CURRENCY, TIME, TableName
from services.executor.sources.gcp.refusals import misfits_explained
from services.executor.staging.shape import conform

TOTALS: Final = pa.schema([(TIME, pa.timestamp("us", tz="UTC")), (COST, pa.float64()), (CURRENCY, pa.string())])
"""The columns that `sizes_by_day` reads of an export."""


def selection(view: bigquery.TableReference, columns: Sequence[str], period: Period) -> tuple[str, list[bigquery.ScalarQueryParameter]]:
    """The query that selects a period's rows from a view, and its parameters. `columns`: the view's columns among those that the template
    needs.
    """
    selected = ", ".join(f"`{name}`" for name in columns)
    sql = f"SELECT {selected} FROM `{view}` WHERE {TIME} >= @first AND {TIME} < @after"  # noqa: S608 - names that were checked
    return sql, _bounds(period)


def focus_totals(table: TableName, period: Period) -> tuple[str, list[bigquery.ScalarQueryParameter]]:
    """The query for the totals of each UTC day and currency in Google's FOCUS export, and its parameters. Columns: `day`, `currency`,
    `billed_cost`.
    """
    sql = (
        "SELECT DATE(ChargePeriodStart) AS day, BillingCurrency AS currency, CAST(SUM(BilledCost) AS NUMERIC) AS billed_cost "  # noqa: S608
        f"FROM `{table}` WHERE ChargePeriodStart >= @first AND ChargePeriodStart < @after GROUP BY day, currency"
    )
    return sql, _bounds(period)


def _bounds(period: Period) -> list[bigquery.ScalarQueryParameter]:
    bounds = {"first": period.first, "after": period.last + timedelta(days=1)}
    return [bigquery.ScalarQueryParameter(name, "TIMESTAMP", datetime.combine(day, time(), UTC)) for name, day in bounds.items()]


def restriction(period: Period, *, by_ingestion: bool) -> str:
    """The row filter for the Storage Read API. It contains only dates, no text of a caller, so nothing needs quoting.

    `by_ingestion`: the table is partitioned by arrival time, as exports are. No row arrives before its usage, though it may arrive weeks
    after it: so older partitions are not read, and a run's cost does not grow with the history. One day is allowed for clock differences.
    """
    rows = f"usage_start_time >= TIMESTAMP '{period.first}' AND usage_start_time < TIMESTAMP '{period.last + timedelta(days=1)}'"
    # NULL: rows that were just streamed have no partition yet.
    since = f"(_PARTITIONTIME >= TIMESTAMP '{period.first - timedelta(days=1)}' OR _PARTITIONTIME IS NULL)"
    return f"{since} AND {rows}" if by_ingestion else rows


def is_by_ingestion(table: bigquery.Table) -> bool:
    """True if the table is partitioned by the day or hour of arrival (BigQuery, "Ingestion-time partitioning"): its partitioning names no
    column. With months and years, a partition's time is its first day, which may be before the rows' usage.
    """
    partitioning = table.time_partitioning
    return partitioning is not None and partitioning.field is None and partitioning.type_ in {"DAY", "HOUR"}


def sizes_by_day(batches: Iterable[pa.RecordBatch]) -> Days:
    """The sum of absolute costs of each UTC day and currency. Rows without a time are left out; a NULL cost adds nothing. Missing columns
    of TOTALS count as NULL. Raises StepError, naming a column whose values cannot be read.
    """
    days = defaultdict[date, dict[str | None, float]](dict)
    for batch in batches:
        with misfits_explained():
            read = conform(batch, TOTALS)
        rows = {"day": pc.cast(read[TIME], pa.date32()), CURRENCY: read[CURRENCY], COST: pc.abs(read[COST].fill_null(0.0))}
        for one in pa.table(rows).group_by(["day", CURRENCY]).aggregate([(COST, "sum")]).to_pylist():
            if one["day"] is not None:
                sizes = days[one["day"]]
                sizes[one[CURRENCY]] = sizes.get(one[CURRENCY], 0.0) + one[f"{COST}_sum"]
    return dict(days)
