"""What a tenant's BigQuery says about its tables: listings, estimates, and sums of some columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from services.executor.sources.gcp.export_days import Days
from services.executor.sources.gcp.export_rows import DayTotals
from services.executor.sources.gcp.exports import Listed


@dataclass(frozen=True, kw_only=True, slots=True)
class TableEstimate:
    """The estimate of reading a table."""

    size: int
    """Bytes, uncompressed."""
    rows: int
    """An upper bound, before rows are filtered; 0 if BigQuery does not say, as for views."""
    by_query: bool = False
    """True for a view, which is read by a query job and not by the Storage Read API."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The tables of a project."""

    tables: list[Listed]
    """Views, and tables whose names look like billing data."""
    hidden: list[str]
    """Datasets whose tables the account may not list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportDays:
    """What an export holds for some days."""

    days: Mapping[date, DayTotals]
    """Days without rows are absent."""
    size: int
    """Bytes read, as estimated by BigQuery."""

    @property
    def sizes(self) -> Days:
        """The absolute costs of each day, by currency."""
        return {day: totals.sizes for day, totals in self.days.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportArrivals:
    """The days of the rows that were exported at a moment or later."""

    days: Mapping[date, datetime]
    """The greatest export time of each such day."""
    size: int
    """Bytes read, as estimated by BigQuery."""
