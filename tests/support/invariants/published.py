"""Published days: all rows of the source or none; never twice, never another's; and the ledger of days agrees."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from tests.support.invariants.observed import Observed
from tests.support.invariants.tables import Row, Rows, Tables, TenantTables
from tests.support.invariants.violation import Violation

CENT = Decimal("0.005")
type Content = Counter[tuple[object, ...]]


def published_violations(tables: Tables, observed: Observed) -> Iterator[Violation]:
    """Of all tenants."""
    for tenant_id, tenant in tables.tenants.items():
        if tenant_id in observed.exports:
            source = _source_days(observed.exports[tenant_id])
            yield from _against_source(tenant_id, tenant, source)
            yield from _none_lost(tenant_id, tenant, source, focus_may_lag=observed.focus_may_lag)
        yield from _ledger_of_days(tenant_id, tenant)
        yield from _watermarks(tenant_id, tenant, observed.exports.get(tenant_id))


def _against_source(tenant_id: str, tenant: TenantTables, source: Mapping[date, Content]) -> Iterator[Violation]:
    published = defaultdict[date, Content](Counter)
    for row in tenant.billing:
        published[row["usage_date"]][_published_row(row)] += 1
    for day, rows in published.items():
        if rows != source.get(day, Counter()):
            more, less = rows - source.get(day, Counter()), source.get(day, Counter()) - rows
            what = (
                f"{rows.total()} rows, the source has {source.get(day, Counter()).total()}; {more.total()} too many, {less.total()} missing"
            )
            yield Violation(invariant="published.as_the_source", where=f"{tenant_id} {day}", what=what)


def _none_lost(tenant_id: str, tenant: TenantTables, source: Mapping[date, Content], *, focus_may_lag: bool) -> Iterator[Violation]:
    """A run that COMPLETED has published its day."""
    rows, focus = (Counter(row[day] for row in table) for table, day in ((tenant.billing, "usage_date"), (tenant.focus, "x_UsageDate")))
    behind = {entry["usage_date"] for entry in tenant.days if not _is_even(entry)} if focus_may_lag else set()
    for run in tenant.runs:
        for day in _days_of(run) if run["status"] == "COMPLETED" else ():
            if day in source and not (rows[day] and (focus[day] or day in behind)):
                what = f"{run['pipeline_logging_id']} COMPLETED for it: {rows[day]} rows, {focus[day]} in FOCUS's columns"
                yield Violation(invariant="published.none_lost", where=f"{tenant_id} {day}", what=what)
    if not focus_may_lag:
        for entry in (entry for entry in tenant.days if not _is_even(entry)):
            what = f"FOCUS has version {entry['focus_version']}, the source {entry['source_version']}"
            yield Violation(invariant="published.focus_lags", where=f"{tenant_id} {entry['usage_date']}", what=what)


def _is_even(entry: Row) -> bool:
    """FOCUS has what billing_cost_daily has."""
    return entry["focus_version"] is not None and entry["focus_version"] >= (entry["source_version"] or 0)


def _days_of(run: Row) -> Sequence[date]:
    parameters = run["parameters"] if isinstance(run["parameters"], dict) else {}
    first, last = (parameters.get(name) or parameters.get("date") for name in ("start_date", "end_date"))
    if not (isinstance(first, str) and isinstance(last, str) and first[:1].isdigit()):
        return []
    days = (date.fromisoformat(last) - date.fromisoformat(first)).days
    return [date.fromisoformat(first) + timedelta(days=number) for number in range(days + 1)]


def _ledger_of_days(tenant_id: str, tenant: TenantTables) -> Iterator[Violation]:
    rows, net, moved = Counter[date](), defaultdict[tuple[date, str], Decimal](Decimal), defaultdict[tuple[date, str], Decimal](Decimal)
    for row in tenant.billing:
        rows[row["usage_date"]] += 1
        net[row["usage_date"], row["currency"]] += _decimal(row["net_cost"])
    for change in tenant.changes:
        moved[change["usage_date"], change["currency"]] += _decimal(change["delta"])
    known = {entry["usage_date"]: entry for entry in tenant.days}
    if len(known) != len(tenant.days):
        yield Violation(invariant="published.one_day_one_entry", where=tenant_id, what="a day has two entries in x_meta_cost_days")
    for day in rows.keys() | known.keys():
        entry, where = known.get(day), f"{tenant_id} {day}"
        if entry is None or entry["row_count"] != rows[day]:
            what = f"{rows[day]} rows are published, its ledger has {entry['row_count'] if entry else 'no entry'}"
            yield Violation(invariant="published.ledger_rows", where=where, what=what)
        elif max(entry["focus_version"] or 0, entry["source_version"] or 0) > entry["version"]:
            yield Violation(invariant="published.versions", where=where, what=f"version {entry['version']} is behind its tables'")
    for day, currency in net.keys() | moved.keys():
        if abs(net[day, currency] - moved[day, currency]) > CENT:
            what = f"published net cost is {net[day, currency]} {currency}, the written changes add up to {moved[day, currency]}"
            yield Violation(invariant="published.changes", where=f"{tenant_id} {day}", what=what)
    yield from _focus(tenant_id, tenant.focus, known, rows, net)


def _focus(
    tenant_id: str, focus: Rows, known: Mapping[date, Row], rows: Counter[date], net: Mapping[tuple[date, str], Decimal]
) -> Iterator[Violation]:
    """FOCUS may lag behind a day whose run died between the two tables; then its version says so."""
    billed = defaultdict[tuple[date, str], Decimal](Decimal)
    for row in focus:
        billed[row["x_UsageDate"], row["BillingCurrency"]] += _decimal(row["BilledCost"])
    for day in {row["x_UsageDate"] for row in focus}:
        entry = known.get(day)
        for currency in {currency for at, currency in billed.keys() | net.keys() if at == day} if entry and _is_even(entry) else ():
            if abs(billed[day, currency] - net.get((day, currency), Decimal())) > CENT:
                what = f"FOCUS has {billed[day, currency]} {currency}, billing_cost_daily {net.get((day, currency))} in {rows[day]} rows"
                yield Violation(invariant="published.focus", where=f"{tenant_id} {day}", what=what)


def _watermarks(tenant_id: str, tenant: TenantTables, export: Sequence[Mapping[str, Any]] | None) -> Iterator[Violation]:
    tables = Counter((row["source"], row["source_table"]) for row in tenant.sources)
    for (_, table), count in tables.items():
        if count > 1:
            yield Violation(invariant="published.one_watermark", where=f"{tenant_id} {table}", what=f"it has {count}")
    newest = max((row["export_time"] for row in export), default=None) if export else None
    for row in tenant.sources if newest else ():
        if row["watermark"] > newest:
            what = f"read up to {row['watermark']}, and its newest row was exported at {newest}"
            yield Violation(invariant="published.watermark", where=f"{tenant_id} {row['source_table']}", what=what)


def _source_days(export: Sequence[Mapping[str, Any]]) -> Mapping[date, Content]:
    days = defaultdict[date, Content](Counter)
    for row in export:
        credit = sum(one["amount"] for one in row["credits"])
        own = (row["usage_start_time"], row["service"]["description"], row["project"]["id"], round(row["cost"], 6), round(credit, 6))
        days[row["usage_start_time"].date()][own] += 1
    return days


def _published_row(row: Row) -> tuple[object, ...]:
    money = round(float(row["cost"]), 6), round(float(row["credits_total"] or 0), 6)
    return (row["usage_start_time"], row["service_description"], row["project_id"], *money)


def _decimal(value: object) -> Decimal:
    return Decimal(str(value or 0))
