"""Google Cloud as a source: the usage cost exports of a tenant's project, read as rows of `x_staging_gcp_billing`."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from services.clouds.access import AccessRefused, TenantAccess
from services.clouds.gcp.identity import open_identity, read_gcp
from services.executor.errors import StepError
from services.executor.ledger.days import DayRead
from services.executor.metering.meter import StepMeter
from services.executor.records import Period
from services.executor.settings import ExecutorSettings
from services.executor.sources.gcp.at_once import each
from services.executor.sources.gcp.bigquery import GcpBilling
from services.executor.sources.gcp.changes import select_changed
from services.executor.sources.gcp.export_rows import latest_by_day, newer_rows
from services.executor.sources.gcp.export_source import ExportPart, ExportSelection, select_exports
from services.executor.sources.gcp.focus_export import focus_report, measured
from services.executor.sources.gcp.handover.hand_over import hand_over
from services.executor.sources.gcp.prices import GcpMeter, GcpPrices
from services.executor.sources.gcp.read_streams import checked
from services.executor.sources.gcp.rows.flatten import exact_sum, flatten, source_credits
from services.executor.sources.overlap import mapped
from services.executor.sources.source import (
    LEDGER_OUTPUTS,
    SOURCE_LOCATION,
    CheckCancelled,
    Estimate,
    Export,
    FocusReport,
    HandedOver,
    ReadRequest,
    Source,
    SourceType,
    Unchanged,
)
from services.executor.staging.shape import StagingTable

EXPORT: Final = "export_table"
"""The parameter that names the export; without it, the export is searched for."""
GROUP_ROWS: Final = 20_000
"""Rows that are flattened together: BigQuery sends batches of a thousand, each of which would cost as much; larger batches are cut, so that
memory stays bounded.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Piece:
    """Flattened rows, with what the run adds up of them."""

    table: pa.Table
    cost: float
    credits: float
    latest: Mapping[date, datetime | None]
    """`latest_by_day`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowLimits:
    """How many rows a run may have, and how."""

    most: int = 100_000_000
    """The most that are read here."""
    hand_over: int = 0
    """Exports with more rows than this are left to BigQuery, if that is possible; 0: never."""


USUAL_LIMITS: Final = RowLimits()


class GcpExport:
    """The tables that a run reads; `sources.source.Export`."""

    def __init__(self, cloud: GcpBilling, selection: ExportSelection, prices: GcpPrices, *, limits: RowLimits) -> None:
        self._cloud, self._selection, self._prices, self._limits = cloud, selection, prices, limits
        self._rows, self._costs, self._credits = 0, list[float](), list[float]()
        self._exported_to = dict[date, datetime | None]()

    @property
    def period(self) -> Period:
        """All days of the parts."""
        return Period.of(day for part in self._selection.parts for day in part.period.days)

    @property
    def origin(self) -> Mapping[str, Any]:
        """The tables. If there are two, also which days come from which."""
        found = self._selection
        origin: dict[str, object] = {"source_table": ", ".join(str(table) for table in found.tables), "source_reason": found.reason}
        if places := sorted({place for table in found.tables if (place := self._cloud.location(table))}):
            origin[SOURCE_LOCATION] = ", ".join(places)
        if len(found.parts) > 1:
            origin["sources"] = [
                {"source_table": str(one.table), "first_day": str(one.period.first), "last_day": str(one.period.last)}
                for one in found.parts
            ]
        if tails := [day for part in found.parts if part.since for day in part.period.days]:
            origin["days_read_since"] = [day.isoformat() for day in sorted(tails)]
        return origin

    def estimate(self) -> Estimate:
        """Opens a read session, which reports its size, without reading it; for a view, runs a dry-run query."""
        parts = dict(enumerate(self._selection.parts))
        estimates = each(parts, lambda place: self._cloud.estimate(parts[place].table, None, parts[place].rows)).values()
        staged = sum(estimate.size for estimate in estimates)
        size = staged + self._selection.compared_bytes
        return Estimate(
            bytes_read=size,
            staged_bytes=staged,
            rows=sum(estimate.rows for estimate in estimates),
            cost_usd=self._prices.reading(size, by_query=any(estimate.by_query for estimate in estimates)),
        )

    def read(self, staged: pa.Schema, check_cancelled: CheckCancelled) -> Iterator[pa.Table]:
        """All rows, part by part. The first part is read after the meter has allowed all parts."""
        self._rows, self._costs, self._credits, self._exported_to = 0, [], [], {}
        parts = dict(enumerate(self._selection.parts))
        reads = each(parts, lambda place: self._cloud.read(parts[place].table, None, parts[place].rows, check_cancelled))
        for part, read in zip(
            parts.values(), reads.values(), strict=True
        ):  # a group has rows of one part: two exports have different columns
            with closing(read):  # its threads end here, also after an error
                batches = checked(read, check_cancelled)
                groups = _groups(newer_rows(batch, part.since) if part.since else batch for batch in batches)
                for piece in mapped(partial(_flattened, staged=staged, source=str(part.table)), groups, threads=1):
                    self._add(piece)
                    yield piece.table

    def hand_over(self, table: StagingTable, place: Callable[[], str], check_cancelled: CheckCancelled) -> HandedOver | None:
        """By a query in the tenant's project, if the operator allows it and there are enough rows; `sources.source.HandsOver`."""
        if not self._limits.hand_over:
            return None
        found = hand_over(self._cloud, self._selection.parts, table, place, check_cancelled, more_than=self._limits.hand_over)
        if found is None:
            return None
        handed, sums = found
        self._rows, self._exported_to = handed.rows, {day: one.exported_to for day, one in sums.items()}
        self._costs, self._credits = [one.cost for one in sums.values()], [one.credits for one in sums.values()]
        return handed

    def outputs(self) -> Mapping[str, object]:
        """Counts and sums of the rows read; what was read of each day, and how far the tables have been read."""
        return {
            "source_rows": self._rows,
            "source_cost": exact_sum(self._costs),
            "source_credits": exact_sum(self._credits),
            "day_reads": [asdict(self._day_read(part, day)) for part in self._selection.parts for day in part.period.days],
            "watermarks": [asdict(mark) for mark in self._selection.watermarks],
        }

    def _add(self, piece: _Piece) -> None:
        self._rows += piece.table.num_rows
        if self._rows > self._limits.most:
            raise StepError(
                f"The days of this run have more than {self._limits.most:,} rows, the most that a run reads here. Nothing is published of"
                " them. Run fewer days at once; for a day that is larger, the operator can raise CONVERGENCE_READ_MAX_ROWS."
            )
        for day, latest in piece.latest.items():
            self._exported_to[day] = max(filter(None, (latest, self._exported_to.get(day))), default=None)
        self._costs.append(piece.cost)
        self._credits.append(piece.credits)

    def _day_read(self, part: ExportPart, day: date) -> DayRead:
        return DayRead(
            day=day,
            since=part.since[day] if part.since else None,
            source_table=str(part.table),
            source_created_at=self._cloud.created_at(part.table),
            # Without newer rows, the published rows stay.
            exported_to=self._exported_to.get(day, part.exported_to.get(day)),
            is_followed=self._selection.is_followed,
        )


class GcpSource:
    """A tenant's project; `sources.source.Source` and `FocusReporter`."""

    def __init__(self, cloud: GcpBilling, prices: GcpPrices, *, limits: RowLimits = USUAL_LIMITS) -> None:
        self._cloud, self._prices, self._limits = cloud, prices, limits

    def find(self, request: ReadRequest, check_cancelled: CheckCancelled) -> Export | Unchanged:
        """The table named by the parameter, or the project's exports, which may have to be compared day by day."""
        named = str(request.parameters[EXPORT] or "") or None
        selection: ExportSelection | Unchanged
        if request.changed:
            selection = select_changed(self._cloud, named, request.changed, check_cancelled)
        elif request.period:
            selection = select_exports(self._cloud, named, request.period, check_cancelled)
        else:
            raise TypeError("the template is run for days")
        return selection if isinstance(selection, Unchanged) else GcpExport(self._cloud, selection, self._prices, limits=self._limits)

    def focus_totals(self, period: Period, check_cancelled: CheckCancelled) -> FocusReport:
        """The totals of Google's FOCUS export."""
        return focus_report(self._cloud, period, check_cancelled)

    def estimate_focus_totals(self, period: Period, check_cancelled: CheckCancelled) -> Estimate:
        """The size of the query for them."""
        _, size = measured(self._cloud, period, check_cancelled)
        return Estimate(bytes_read=size, staged_bytes=0, rows=0, cost_usd=self._prices.reading(size, by_query=True))

    def close(self) -> None:
        """Closes the connections."""
        self._cloud.close()


def open_gcp(access: TenantAccess, settings: ExecutorSettings, meter: StepMeter) -> Source:
    """Parses the credentials. Raises StepError if they cannot be used."""
    prices = GcpPrices.of(settings)
    try:
        credentials = read_gcp(access.plaintext)
        identity, streams = open_identity(credentials, access), settings.read_streams
        billing = GcpBilling(credentials, settings, GcpMeter(meter, prices), identity=identity, streams=streams)
        return GcpSource(billing, prices, limits=RowLimits(most=settings.read_max_rows, hand_over=settings.hand_over_rows))
    except AccessRefused as refused:
        raise StepError(refused.message, is_retryable=refused.is_retryable) from refused


GCP: Final = SourceType(
    provider="GCP",
    parameters={EXPORT: "table"},
    reads_days=True,
    outputs={"source_rows": "INT64", "source_cost": "FLOAT64", "source_credits": "FLOAT64", **LEDGER_OUTPUTS},
    open=open_gcp,
)


def _flattened(group: pa.Table, staged: pa.Schema, source: str) -> _Piece:
    table = flatten(group, staged, source)
    cost = float(pc.sum(table["cost"]).as_py() or 0.0)
    return _Piece(table=table, cost=cost, credits=source_credits(group), latest=latest_by_day(table))


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    gathered, rows = list[pa.RecordBatch](), 0
    for batch in batches:
        for piece in (batch.slice(begin, GROUP_ROWS) for begin in range(0, batch.num_rows, GROUP_ROWS)):
            gathered.append(piece)
            rows += piece.num_rows
            if rows >= GROUP_ROWS:
                yield pa.Table.from_batches(gathered)
                gathered, rows = [], 0
    if gathered:
        yield pa.Table.from_batches(gathered)
