"""The interface of sources: a tenant's own billing data, in whatever cloud it is exported to.

A cloud is a folder beside this file that provides a SourceType; only `registry` knows which clouds there are. The step (`steps.extract`)
opens a source, finds the export of a run, and estimates or reads it. Everything else belongs to the cloud: how the export is found (a table
by its name, a manifest by its key), how it is read (a read session, Parquet or CSV files), how its rows become rows of the staging table,
what reading costs, and every message to the tenant about it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Protocol, runtime_checkable

import pyarrow as pa

from services.clouds.access import TenantAccess
from services.executor.ledger.days import DAY_READS, WATERMARKS
from services.executor.metering.meter import StepMeter
from services.executor.records import Period
from services.executor.settings import ExecutorSettings
from services.executor.sources.changed_days import ChangedRequest
from services.executor.sources.exported_months import ExportsRequest
from services.executor.staging.shape import StagingTable

LEDGER_OUTPUTS: Final[Mapping[str, str]] = {"day_reads": DAY_READS, "watermarks": WATERMARKS}
"""Outputs of an export whose days the ledger keeps: what was read of each day, and how far the source has been read."""
SOURCE_LOCATION: Final = "source_location"
"""In an export's origin: the location of BigQuery that it is in, for one that is in BigQuery."""
EXPORTED: Final = (
    "ARRAY<STRUCT<source_id STRING, billing_period DATE, dataset STRING, focus_version STRING, manifest_key STRING, manifest_etag STRING,"
    " manifest_id STRING, exported_at TIMESTAMP, seen_version INT64, row_count INT64, file_count INT64, byte_count INT64>>"
)
"""GoogleSQL type of the billing periods that a run has read. `seen_version`: of x_meta_exports when it began; 0: there was no row."""
EXPORT_DAYS: Final = "ARRAY<STRUCT<billing_period DATE, day DATE>>"
"""GoogleSQL type of the UTC days on which a period has rows."""
EXPORT_SUMS: Final = "ARRAY<STRUCT<billing_period DATE, currency STRING, row_count INT64, billed_cost NUMERIC, effective_cost NUMERIC>>"
"""GoogleSQL type of the sums of a period's rows."""
REPLACED_SOURCES: Final = "ARRAY<STRING>"
"""GoogleSQL type of the ids of other exports whose rows of the same periods go: at most one."""
MONTHS_OUTPUTS: Final[Mapping[str, str]] = {
    "day_reads": DAY_READS,
    "exports": EXPORTED,
    "export_days": EXPORT_DAYS,
    "source_sums": EXPORT_SUMS,
    "replaced_sources": REPLACED_SOURCES,
}
"""Outputs of an export whose billing periods are replaced as a whole."""

type CheckCancelled = Callable[[], None]
"""Raises if the run is over. Blocking code calls it regularly, because a thread cannot be stopped from outside."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadRequest:
    """What a run asks a source for."""

    parameters: Mapping[str, object]
    """The template's parameters and the outputs of earlier steps, by name, e.g. a manifest that was read before."""
    period: Period | None
    """The days of the run; None if its template does not run for days, and if `changed` is given. A source may replace more than these: a
    billing period is replaced as a whole, and the export says so.
    """
    changed: ChangedRequest | None = None
    """For a run for the days that have changed since the last one: what is known about them."""
    exports: ExportsRequest | None = None
    """For a source of exported files: which billing periods, and what is published of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unchanged:
    """The source has nothing new for a run for the days that have changed."""

    as_of: datetime | None
    """When the newest rows were exported; None: it has no rows yet."""
    notes: tuple[str, ...] = ()
    """Sentences for the tenant about what was found and is not read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """The estimate of reading an export."""

    bytes_read: int
    """All bytes read, including those to find the export."""
    staged_bytes: int
    """The part of it that would be in the staging table."""
    rows: int
    """An upper bound; 0 if the source does not know."""
    cost_usd: float
    """By the source's own prices."""


class Export(Protocol):
    """What a source found for a run. It is either estimated or read, once. Its calls block."""

    @property
    def period(self) -> Period | None:
        """The days that it replaces, or adds to; None if the source does not know days."""
        ...

    @property
    def origin(self) -> Mapping[str, Any]:
        """Which data it is, and why, for the step's log line. JSON values, no secrets."""
        ...

    def estimate(self) -> Estimate:
        """The estimate of `read`, by the same calls with the same rights. Raises StepError."""
        ...

    def read(self, staged: pa.Schema, check_cancelled: CheckCancelled) -> Iterator[pa.Table]:
        """All rows, with the columns `staged`, some ten thousand at a time: several become a row group. Raises StepError, also at the
        end, if the export has changed while it was read; and what `check_cancelled` raises, which is called between batches.
        """
        ...

    def outputs(self) -> Mapping[str, object]:
        """The outputs declared in SourceType.outputs, once `read` has ended: counted and summed from the source's own rows, before they are
        converted to staged ones, so that checks can compare the staging table with them.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class HandedOver:
    """Rows of an export, as rows of a staging table, in a table that the tenant's own identity has made for this run."""

    table: str
    """`project.dataset.table`, which the executor's own account may read."""
    rows: int
    discard: Callable[[], None]
    """Drops it. Blocks; raises nothing."""


@runtime_checkable
class HandsOver(Protocol):
    """An export whose rows need not pass through this process."""

    def hand_over(self, table: StagingTable, place: Callable[[], str], check_cancelled: CheckCancelled) -> HandedOver | None:
        """The rows for `table`, whose location `place` says; None: read them, there are few. `outputs` is known then. Raises StepError,
        saying why it cannot be done, and what `check_cancelled` raises; `read` can be called then all the same.
        """
        ...


class Source(Protocol):
    """A tenant's billing data, opened with the tenant's own credentials for one run. Its calls block: run them in a worker thread."""

    def find(self, request: ReadRequest, check_cancelled: CheckCancelled) -> Export | Unchanged:
        """What the run reads. Raises StepError, saying what to do, if there is nothing to read; what `check_cancelled` raises."""
        ...

    def close(self) -> None:
        """Closes the connections."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class DailyTotal:
    """The total of one UTC day and currency in a cloud's own FOCUS data."""

    day: date
    currency: str | None
    billed_cost: Decimal
    """The sum of BilledCost."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FocusReport:
    """The totals of a run's days in a cloud's own FOCUS data."""

    table: str | None
    """The table that was read; None if there was none."""
    note: str
    """A sentence for the tenant: what was read, or why nothing was."""
    totals: tuple[DailyTotal, ...] = ()
    """Days and currencies without rows are absent."""


@runtime_checkable
class FocusReporter(Protocol):
    """A source whose cloud also provides FOCUS data, to compare ours with. Its calls block."""

    def focus_totals(self, period: Period, check_cancelled: CheckCancelled) -> FocusReport:
        """The totals of these days. Raises StepError; what `check_cancelled` raises."""
        ...

    def estimate_focus_totals(self, period: Period, check_cancelled: CheckCancelled) -> Estimate:
        """The estimate of `focus_totals`. Raises as it does."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceType:
    """A cloud's kind of source, as known to templates and the step before one is opened."""

    provider: str
    """Upper-case, as in stored credentials."""
    parameters: Mapping[str, str]
    """Parameters that a template must declare for it: name to parameter type."""
    reads_days: bool
    """True if the template must run for days."""
    reads_months: bool = False
    """True if the template must run for months: billing periods, each replaced as a whole."""
    outputs: Mapping[str, str]
    """Outputs of an export, name to GoogleSQL type: a template's checks and SQL may use them."""
    open: Callable[[TenantAccess, ExecutorSettings, StepMeter], Source]
    """Opens a source with the tenant's own access. No I/O. Raises StepError if it cannot be used. The source counts what it reads on the
    meter, and asks it before it reads.
    """


class Sources(Protocol):
    """Opens tenants' sources."""

    async def open(self, tenant_id: str, source_type: SourceType, meter: StepMeter, *, session: str, since: float) -> Source:
        """The tenant's own source, for one try of a step, which `meter` counts; the caller closes it. `session` is the run's name in the
        cloud's own audit log. The credentials are those of the moment `since` (monotonic seconds), or later ones. Raises StepError;
        Unavailable from KMS or a peer.
        """
        ...
