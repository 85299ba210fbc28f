"""Finds what a billing run reads: the table named by its parameter, or the exports of the tenant's project."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial

from services.executor.errors import StepError
from services.executor.ledger.days import Watermark
from services.executor.records import Period
from services.executor.sources.gcp.at_once import each
from services.executor.sources.gcp.bigquery import GcpBilling
from services.executor.sources.gcp.export_days import choose
from services.executor.sources.gcp.export_rows import RowFilter
from services.executor.sources.gcp.exports import TableName, choose_exports, named_table, nothing_found
from services.executor.sources.gcp.found import ExportDays

MAX_VIEWS = 20
"""The most views whose columns are read to suggest the view that the tenant may have meant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportPart:
    """Days that are read from one table."""

    table: TableName
    period: Period
    since: Mapping[date, datetime] | None = None
    """For each day, only rows exported after this time are read; None: all rows."""
    exported_to: Mapping[date, datetime | None] = field(default_factory=dict)
    """For days of which only newer rows are read: the greatest export time of the rows that are published."""

    @property
    def rows(self) -> RowFilter:
        """The filter for BigQuery. It has one time for all days; rows that are too old for their day are dropped after reading."""
        return RowFilter(period=self.period, since=min(self.since.values()) if self.since else None)


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundTables:
    """The tables that a run may read."""

    table: TableName
    standard: TableName | None = None
    """The standard export beside a detailed one."""
    reason: str
    """Why these, worded for the tenant."""

    @property
    def tables(self) -> list[TableName]:
        """The preferred one first."""
        return [self.table, *([self.standard] if self.standard else [])]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportSelection:
    """The tables to read."""

    parts: tuple[ExportPart, ...]
    """Each day of the run is in one of them; in order of days."""
    reason: str
    """Why these tables, worded for the tenant."""
    compared_bytes: int = 0
    """Bytes read to choose them, as estimated by BigQuery."""
    watermarks: tuple[Watermark, ...] = ()
    """How far the tables have been read once the run has published; empty for a run that does not follow them."""
    is_followed: bool = False
    """The run reads what has changed."""

    def __post_init__(self) -> None:
        """Raises ValueError if a day is read from two parts: its cost would be doubled."""
        days = [day for part in self.parts for day in part.period.days]
        if len(set(days)) < len(days):
            raise ValueError("a day is in two parts of an export")

    @property
    def tables(self) -> list[TableName]:
        """Each table once, in the order in which they are first read."""
        return list(dict.fromkeys(part.table for part in self.parts))


def find_tables(cloud: GcpBilling, named: str | None, check_cancelled: Callable[[], None]) -> FoundTables:
    """The tables of a run. Blocks. `named`: the parameter export_table. Raises StepError, saying what to do; what `check_cancelled`
    raises.
    """
    if named:
        return FoundTables(table=named_table(named, cloud.project), reason="It is named by export_table.")
    listing = cloud.list_tables(check_cancelled)
    exports = choose_exports(listing.tables)
    if exports is None:
        billing = [one for one in listing.tables if one.kind is not None]
        views = [one for one in listing.tables if one.kind is None and not one.is_table][:MAX_VIEWS]
        beside = [*billing, *(view for view in views if cloud.looks_like_usage(view.name, check_cancelled))]
        raise nothing_found(cloud.project, beside, listing.hidden)
    return FoundTables(
        table=exports.table, standard=exports.standard, reason=f"It is the only usage cost export of project {cloud.project}."
    )


def select_exports(cloud: GcpBilling, named: str | None, period: Period, check_cancelled: Callable[[], None]) -> ExportSelection:
    """Blocks. `named`: the parameter export_table. Raises StepError, saying what to do; what `check_cancelled` raises."""
    found = find_tables(cloud, named, check_cancelled)
    return choose_tables(cloud, found, period, check_cancelled)


def choose_tables(cloud: GcpBilling, found: FoundTables, period: Period, check_cancelled: Callable[[], None]) -> ExportSelection:
    """For each day of the period, the table from which the whole day is read. Blocks. Raises as `select_exports` does."""
    if found.standard:
        return _of_both(cloud, found.standard, found.table, period, check_cancelled)
    return ExportSelection(parts=(ExportPart(table=found.table, period=period),), reason=found.reason)


def _of_both(
    cloud: GcpBilling, standard: TableName, detailed: TableName, period: Period, check_cancelled: Callable[[], None]
) -> ExportSelection:
    all_days = ExportPart(table=detailed, period=period)

    def days_of(table: TableName) -> ExportDays | StepError:
        try:
            return cloud.days_of(table, period, check_cancelled)
        except StepError as error:
            if table == detailed or error.is_retryable:
                raise
            return error

    # In most runs all days are read from the detailed export.
    found = each([detailed, standard], days_of, beside=partial(cloud.open_ahead, detailed, all_days.rows))
    has, beside = found[detailed], found[standard]
    if isinstance(has, StepError):
        raise has
    if isinstance(beside, StepError):
        reason = f"The standard export cannot be read beside it: {beside.message}"
        return ExportSelection(parts=(all_days,), reason=reason, compared_bytes=has.size)
    choice = choose(standard=beside.sizes, detailed=has.sizes, period=period)
    parts = tuple(ExportPart(table=detailed if one.detailed else standard, period=one.period) for one in choice.stretches)
    return ExportSelection(parts=parts, reason=choice.reason, compared_bytes=has.size + beside.size)
