"""Finds what has changed in a tenant's exports since the last run, and which days are read anew because of it.

An export only grows: late rows and corrections are new rows, with an export time later than all rows before. So for a day that is
published, only the rows since then are read, and the newest partitions show which days have such rows. If an export was recreated, or its
rows up to the watermark are gone, it counts as another export: the days of its history are compared with what is published, and read as a
whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from services.executor.ledger.days import LedgerDay, Watermark
from services.executor.records import Period
from services.executor.sources.changed_days import MOST_DAYS, ChangedRequest, Compared, compare, plan
from services.executor.sources.gcp.at_once import each
from services.executor.sources.gcp.bigquery import GcpBilling
from services.executor.sources.gcp.export_source import ExportPart, ExportSelection, FoundTables, choose_tables, find_tables
from services.executor.sources.gcp.exports import TableName
from services.executor.sources.gcp.found import ExportArrivals
from services.executor.sources.source import CheckCancelled, Unchanged


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tables:
    """The tables of a run, with what identifies them."""

    found: FoundTables
    created_at: Mapping[TableName, datetime]

    def watermark(self, table: TableName, request: ChangedRequest) -> Watermark | None:
        """How far this table has been read; None if it is not the same table as before."""
        mark = request.ledger.watermarks.get(str(table))
        return mark if mark and mark.source_created_at == self.created_at.get(table) else None

    def have_given(self, known: LedgerDay) -> bool:
        """True if the day was read from one of these very tables."""
        created = {str(table): when for table, when in self.created_at.items()}
        return known.source_created_at == created.get(known.source_table or "")


def select_changed(
    cloud: GcpBilling, named: str | None, request: ChangedRequest, check_cancelled: CheckCancelled
) -> ExportSelection | Unchanged:
    """Blocks. `named`: the parameter export_table. Raises StepError, saying what to do; what `check_cancelled` raises."""
    found = find_tables(cloud, named, check_cancelled)
    each(found.tables, cloud.require_export_times)
    created = {table: when for table in found.tables if (when := cloud.created_at(table))}
    tables = _Tables(found=found, created_at=created)
    marks = {table: mark for table in found.tables if (mark := tables.watermark(table, request))}
    arrivals = each(marks, lambda table: cloud.arrivals(table, marks[table].watermark, check_cancelled))
    # The rows at the watermark itself are read, too: if days have been read from the table and these rows are gone, rows have been deleted.
    read_from = {one.source_table for one in request.ledger.followed.values()}
    if marks.keys() != set(found.tables) or any(str(table) in read_from and not one.days for table, one in arrivals.items()):
        return _anew(cloud, tables, request, check_cancelled)
    return _since(cloud, tables, request, {table: (marks[table], arrivals[table]) for table in found.tables}, check_cancelled)


def _since(
    cloud: GcpBilling,
    tables: _Tables,
    request: ChangedRequest,
    read: Mapping[TableName, tuple[Watermark, ExportArrivals]],
    check_cancelled: CheckCancelled,
) -> ExportSelection | Unchanged:
    """What has come since the watermarks."""
    followed = request.ledger.followed
    arrived, elsewhere = dict[date, datetime](), set[date]()
    for table, (_, arrivals) in read.items():
        for day, latest in arrivals.days.items():
            if day in followed and followed[day].source_table != str(table):
                elsewhere.add(day)
            else:
                arrived[day] = max(arrived.get(day, latest), latest)
    size = sum(arrivals.size for _, arrivals in read.values())
    chosen, compared = _changed_tables(cloud, tables, request, elsewhere, check_cancelled)
    lowest = min(mark.watermark for mark, _ in read.values())
    planned = plan(request, arrived, watermark=lowest, replaced=frozenset(chosen))
    reached = {table: max(arrivals.days.values(), default=mark.watermark) for table, (mark, arrivals) in read.items()}
    if not planned.days:
        return Unchanged(as_of=max(reached.values()))
    marks = _marks(tables, reached if planned.is_complete else {table: mark.watermark for table, (mark, _) in read.items()})
    selection = _selection(cloud, tables, request, planned.whole, planned.tails, check_cancelled)
    return replace(selection, watermarks=marks, compared_bytes=selection.compared_bytes + size + compared)


def _changed_tables(
    cloud: GcpBilling, tables: _Tables, request: ChangedRequest, days: set[date], check_cancelled: CheckCancelled
) -> tuple[set[date], int]:
    """Those of these days that are now read from another table than before, and the bytes read to find this out. New rows for these days
    arrived in the table that they were not read from.
    """
    if not days:
        return set(), 0
    choice = choose_tables(cloud, tables.found, Period.of(days), check_cancelled)
    now = {day: str(part.table) for part in choice.parts for day in part.period.days}
    return {day for day in days if now[day] != request.ledger.days[day].source_table}, choice.compared_bytes


def _anew(cloud: GcpBilling, tables: _Tables, request: ChangedRequest, check_cancelled: CheckCancelled) -> ExportSelection | Unchanged:
    """The whole history, and earlier days that are followed and differ. A day is left out if the export has much less of it than is
    published.
    """
    days = Period(first=request.horizon, last=request.today)
    read = each(tables.found.tables, lambda table: cloud.days_of(table, days, check_cancelled))
    reached = {
        table: max(times) for table, one in read.items() if (times := [day.exported_to for day in one.days.values() if day.exported_to])
    }
    size = sum(one.size for one in read.values())
    if not reached:
        return Unchanged(as_of=None)
    has = {day: [one.days[day].held for one in read.values() if day in one.days] for day in days.days}
    compared = {day: compare(request.published_of(day), held) for day, held in has.items()}
    kept = [day for day, found in compared.items() if found is Compared.MUCH_LESS]
    due = [day for day, found in compared.items() if found is not Compared.MUCH_LESS and _is_due(tables, request, day, found)]
    # A day that was never followed is a hole for the next run. A followed day counts as read once there is a watermark.
    is_complete = len(due) <= MOST_DAYS or not request.ledger.followed
    if not due:
        return Unchanged(as_of=max(reached.values()))
    # A table without rows counts as read, too: rows that it gets later are new.
    reached = {table: reached.get(table, max(reached.values())) for table in read}
    selection = _selection(cloud, tables, request, due[:MOST_DAYS], {}, check_cancelled)
    stay = "1 day stays as it is" if len(kept) == 1 else f"{len(kept)} days stay as they are"
    note = f" {stay} published: the export has less than half of the rows or the cost." if kept else ""
    return replace(
        selection,
        reason=f"{selection.reason}{note}",
        watermarks=_marks(tables, reached) if is_complete else (),
        compared_bytes=selection.compared_bytes + size,
    )


def _is_due(tables: _Tables, request: ChangedRequest, day: date, found: Compared) -> bool:
    """True for a day of the history that was not read from these very tables, and for a day that differs."""
    known = request.ledger.followed.get(day)
    is_read = known is not None and tables.have_given(known)
    return found is Compared.OTHER or (day >= request.window.first and not is_read)


def _marks(tables: _Tables, reached: Mapping[TableName, datetime]) -> tuple[Watermark, ...]:
    created = tables.created_at
    return tuple(Watermark(source_table=str(one), source_created_at=created.get(one), watermark=when) for one, when in reached.items())


def _selection(
    cloud: GcpBilling,
    tables: _Tables,
    request: ChangedRequest,
    whole: Sequence[date],
    newer: Mapping[date, datetime],
    check_cancelled: CheckCancelled,
) -> ExportSelection:
    """The parts to read, without watermarks: these days as a whole, and of others the rows exported after a time."""
    parts, reason, size = list[ExportPart](), tables.found.reason, 0
    if whole:
        choice = choose_tables(cloud, tables.found, Period.of(whole), check_cancelled)
        parts, reason, size = list(choice.parts), choice.reason, choice.compared_bytes
    names = {str(table): table for table in tables.found.tables}
    tails = dict[TableName, dict[date, datetime]]()
    for day, since in newer.items():
        table = names.get(request.ledger.days[day].source_table or "", tables.found.table)
        tails.setdefault(table, {})[day] = since
    published = {day: known.exported_to for day, known in request.ledger.days.items()}
    parts += [ExportPart(table=table, period=Period.of(since), since=since, exported_to=published) for table, since in tails.items()]
    return ExportSelection(parts=tuple(parts), reason=reason, compared_bytes=size, is_followed=True)
