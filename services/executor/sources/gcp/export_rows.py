"""Which rows of an export are read, from tables and from views, and their sums by day."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from google.cloud import bigquery

from services.executor.records import Period
from services.executor.sources.changed_days import HeldDay
from services.executor.sources.gcp.exports import COST, CURRENCY, EXPORTED, TIME, TableName
from services.executor.sources.gcp.misfits import misfits_explained
from services.executor.staging.shape import conform

_TIME = pa.timestamp("us", tz="UTC")
ARRIVALS: Final = pa.schema([(TIME, _TIME), (EXPORTED, _TIME)])
"""The columns that `arrivals` reads of an export."""
TOTALS: Final = pa.schema([*ARRIVALS, (COST, pa.float64()), (CURRENCY, pa.string())])
"""The columns that `totals_by_day` reads of an export."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowFilter:
    """Which rows of an export are read."""

    period: Period | None
    """Rows whose usage began on one of these days (UTC); None: on any day."""
    since: datetime | None = None
    """Rows that were exported after this time; None: at any time."""
    is_inclusive: bool = False
    """True: also rows that were exported exactly at `since`."""

    @property
    def conditions(self) -> list[str]:
        """GoogleSQL, all of which must hold. It contains only dates and times, no text of a caller, so nothing needs quoting."""
        spans = self.period.stretches if self.period else []
        days = [f"{TIME} >= TIMESTAMP '{first}' AND {TIME} < TIMESTAMP '{last + timedelta(days=1)}'" for first, last in spans]
        conditions = [f"({' OR '.join(days)})" if len(days) > 1 else days[0]] if days else []
        if self.since is not None:
            conditions.append(f"{EXPORTED} {'>=' if self.is_inclusive else '>'} TIMESTAMP '{self.since.astimezone(UTC).isoformat(' ')}'")
        return conditions

    @property
    def arrived_from(self) -> date:
        """The first day on which a row may have arrived: not before its usage, and not before it was exported. A day and an hour are
        allowed for clock differences.
        """
        starts = [self.period.first - timedelta(days=1)] if self.period else []
        starts += [(self.since.astimezone(UTC) - timedelta(hours=1)).date()] if self.since else []
        return max(starts)


def selection(view: bigquery.TableReference, columns: Sequence[str], rows: RowFilter) -> str:
    """The query that selects rows from a view. `columns`: the view's columns among those that the template needs."""
    selected = ", ".join(f"`{name}`" for name in columns)
    return f"SELECT {selected} FROM `{view}` WHERE {' AND '.join(rows.conditions)}"  # noqa: S608 - names that were checked, and dates


def focus_totals(table: TableName, period: Period) -> tuple[str, list[bigquery.ScalarQueryParameter]]:
    """The query for the totals of each UTC day and currency in Google's FOCUS export, and its parameters. Columns: `day`, `currency`,
    `billed_cost`.
    """
    sql = (
        "SELECT DATE(ChargePeriodStart) AS day, BillingCurrency AS currency, CAST(SUM(BilledCost) AS NUMERIC) AS billed_cost "  # noqa: S608
        f"FROM `{table}` WHERE ChargePeriodStart >= @first AND ChargePeriodStart < @after GROUP BY day, currency"
    )
    bounds = {"first": period.first, "after": period.last + timedelta(days=1)}
    return sql, [bigquery.ScalarQueryParameter(name, "TIMESTAMP", datetime.combine(day, time(), UTC)) for name, day in bounds.items()]


def restriction(rows: RowFilter, *, by_ingestion: bool) -> str:
    """The row filter for the Storage Read API.

    `by_ingestion`: the table is partitioned by arrival time, as exports are. Then older partitions are not read, and a run's cost does not
    grow with the history.
    """
    # NULL: rows that were just streamed have no partition yet.
    since = f"(_PARTITIONTIME >= TIMESTAMP '{rows.arrived_from}' OR _PARTITIONTIME IS NULL)"
    return " AND ".join([since, *rows.conditions] if by_ingestion else rows.conditions)


def is_by_ingestion(table: bigquery.Table) -> bool:
    """True if the table is partitioned by the day or hour of arrival (BigQuery, "Ingestion-time partitioning"): its partitioning names no
    column. With months and years, a partition's time is its first day, which may be before the rows' usage.
    """
    partitioning = table.time_partitioning
    return partitioning is not None and partitioning.field is None and partitioning.type_ in {"DAY", "HOUR"}


@dataclass(frozen=True, kw_only=True, slots=True)
class DayTotals:
    """What an export holds of one UTC day."""

    row_count: int
    sizes: Mapping[str | None, float]
    """By currency, the sum of absolute costs before credits."""
    exported_to: datetime | None
    """The greatest export time; None: the rows have none."""

    @property
    def held(self) -> HeldDay:
        """For comparing."""
        return HeldDay(row_count=self.row_count, sizes=self.sizes)


def totals_by_day(batches: Iterable[pa.RecordBatch]) -> dict[date, DayTotals]:
    """The totals of each UTC day with rows. Rows without a time are left out; a NULL cost adds nothing. Missing columns of TOTALS count as
    NULL. Raises StepError, naming a column whose values cannot be read.
    """
    days = dict[date, DayTotals]()
    for batch in batches:
        with misfits_explained():
            read = conform(batch, TOTALS)
        rows = {**_by_day(read), CURRENCY: read[CURRENCY], COST: pc.abs(read[COST].fill_null(0.0))}
        sums = pa.table(rows).group_by(["day", CURRENCY]).aggregate([(COST, "sum"), (COST, "count"), (EXPORTED, "max")])
        for one in sums.to_pylist():
            if one["day"] is not None:
                part = DayTotals(
                    row_count=one[f"{COST}_count"], sizes={one[CURRENCY]: one[f"{COST}_sum"]}, exported_to=one[f"{EXPORTED}_max"]
                )
                days[one["day"]] = _both(days[one["day"]], part) if one["day"] in days else part
    return days


def latest_exports(batches: Iterable[pa.RecordBatch]) -> dict[date, datetime]:
    """The greatest export time of each UTC day. Rows without a time, or without an export time, are left out. Raises StepError, naming a
    column whose values cannot be read.
    """
    days = dict[date, datetime]()
    for batch in batches:
        with misfits_explained():
            read = conform(batch, ARRIVALS)
        for one in pa.table(_by_day(read)).group_by("day").aggregate([(EXPORTED, "max")]).to_pylist():
            day, latest = one["day"], one[f"{EXPORTED}_max"]
            if day is not None and latest is not None:
                days[day] = max(days.get(day, latest), latest)
    return days


def latest_by_day(rows: pa.Table) -> dict[date, datetime | None]:
    """The greatest export time of each UTC day in staged rows; None for a day whose rows have none. Rows without a time are left out."""
    days, exported = pc.cast(rows[TIME], pa.date32()), rows[EXPORTED]
    first, last = pc.min_max(days).values()
    if first.is_valid and first == last and not days.null_count:  # most runs are for one day
        return {first.as_py(): pc.max(exported).as_py()}
    found = pa.table({"day": days, EXPORTED: exported}).group_by("day").aggregate([(EXPORTED, "max")])
    return {one["day"]: one[f"{EXPORTED}_max"] for one in found.to_pylist() if one["day"] is not None}


def newer_rows(batch: pa.RecordBatch, since: Mapping[date, datetime]) -> pa.RecordBatch:
    """The rows of these days that were exported after the day's time. Rows without an export time are left out."""
    with misfits_explained():
        read = conform(batch, ARRIVALS)
    days = sorted(since)
    place = pc.index_in(pc.cast(read[TIME], pa.date32()), value_set=pa.array(days, pa.date32()))
    bounds = pc.take(pa.array([since[day] for day in days], _TIME), place)
    return batch.filter(pc.greater(read[EXPORTED], bounds), null_selection_behavior="drop")


def _by_day(read: pa.RecordBatch) -> dict[str, pa.Array]:
    return {"day": pc.cast(read[TIME], pa.date32()), EXPORTED: read[EXPORTED]}


def _both(one: DayTotals, other: DayTotals) -> DayTotals:
    times = [time_ for time_ in (one.exported_to, other.exported_to) if time_]
    return DayTotals(
        row_count=one.row_count + other.row_count,
        sizes={currency: one.sizes.get(currency, 0.0) + other.sizes.get(currency, 0.0) for currency in {**one.sizes, **other.sizes}},
        exported_to=max(times, default=None),
    )
