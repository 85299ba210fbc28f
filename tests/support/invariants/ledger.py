"""The quota: as many units as runs began, an outcome for each of them, and nothing held once all have ended."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.invariants.observed import Observed
from tests.support.invariants.offboarded import erased
from tests.support.invariants.runs import folded, is_admitted, is_overdue
from tests.support.invariants.tables import Row, Tables
from tests.support.invariants.violation import Violation


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """The counts that the ledger must have for a tenant's runs. For a run that was ended at its deadline two facts are unknown: whether a
    reservation was left to settle, and whether its unit had been given back, because its row may have appeared after that.
    """

    units: int
    ended: int
    overdue: int

    def allows(self, counted: int, most: int) -> bool:
        return most - self.overdue <= counted <= most


def counted(runs: list[Row]) -> Counted:
    """The counts for folded rows. A retry takes no unit, so only the first attempt of a scheduled run counts."""
    admitted = [run for run in runs if is_admitted(run)]
    return Counted(
        units=sum(run["run_id"] is None or run["attempt"] == 1 for run in admitted),
        ended=len(admitted),
        overdue=sum(map(is_overdue, admitted)),
    )


def ledger_violations(tables: Tables, observed: Observed) -> Iterator[Violation]:
    """Of all tenants."""
    by_tenant, unknown = defaultdict[str, list[Row]](list), erased(tables)
    for row in tables.ledger:
        if row["tenant_id"] not in unknown:
            by_tenant[row["tenant_id"]].append(row)
    for tenant_id, rows in by_tenant.items():
        tenant = tables.tenants.get(tenant_id)
        yield from _of_tenant(tenant_id, sorted(rows, key=lambda row: row["usage_date"]), folded(tenant.runs) if tenant else [], observed)


def _of_tenant(tenant_id: str, rows: list[Row], runs: list[Row], observed: Observed) -> Iterator[Violation]:
    days = Counter(row["usage_date"] for row in rows)
    for day, count in days.items():
        if count > 1:
            yield Violation(invariant="ledger.one_row_a_day", where=f"{tenant_id} {day}", what=f"there are {count} rows")
    for row in rows:
        where = f"{tenant_id} {row['usage_date']}"
        held = [one["reservation_id"] for one in row["live_runs"] or ()]
        if held or row["concurrent_pipelines_running"]:
            shown = row["concurrent_pipelines_running"]
            yield Violation(invariant="ledger.no_slot_held", where=where, what=f"at rest {held} hold a slot, and {shown} are counted")
        if strangers := set(row["uncosted_runs"] or ()) - {run["pipeline_logging_id"] for run in runs}:
            yield Violation(invariant="ledger.uncosted_runs", where=where, what=f"no row has {sorted(strangers)}")
        limit = observed.daily_limits.get(tenant_id)
        if limit is not None and row["pipelines_run_today"] > limit:
            yield Violation(invariant="ledger.daily_limit", where=where, what=f"{row['pipelines_run_today']} runs, {limit} are allowed")
    yield from _sums(tenant_id, rows, runs)
    if not observed.crossed_midnight:
        yield from _of_today(tenant_id, rows[-1], runs)


def _sums(tenant_id: str, rows: list[Row], runs: list[Row]) -> Iterator[Violation]:
    """Checks the sums that no reset changes: units of a month, and runs that have ended."""
    expected = counted(runs)
    months = {f"{row['usage_date']:%Y-%m}": row["pipelines_run_month"] or 0 for row in rows}
    units, ended = sum(months.values()), sum(row["runs_ended"] or 0 for row in rows)
    if not expected.allows(units, expected.units):
        what = f"{units} are counted, {expected.units} runs began ({expected.overdue} ended at their deadline)"
        yield Violation(invariant="ledger.units", where=tenant_id, what=what)
    if not expected.allows(ended, expected.ended):
        what = f"{ended} ends are counted, {expected.ended} admitted runs have ended ({expected.overdue} of them at their deadline)"
        yield Violation(invariant="ledger.runs_ended", where=tenant_id, what=what)
    known_to_none = {one for row in rows for one in row["uncosted_runs"] or ()}
    if any(run["status"] == "COMPLETED" and run["slot_ms"] is None and run["pipeline_logging_id"] not in known_to_none for run in runs):
        return  # Its executor died when the ledger had its cost, and its row had not yet: the ledger may have more than the rows together.
    for name in ("bytes_billed", "bytes_read", "slot_ms"):
        has, most = sum(row[name] or 0 for row in rows), sum(run[name] or 0 for run in runs)
        if has > most:
            yield Violation(invariant="ledger.cost", where=tenant_id, what=f"{name} {has}, and all its runs together used {most}")


def _of_today(tenant_id: str, row: Row, runs: list[Row]) -> Iterator[Violation]:
    today = [run for run in runs if is_admitted(run) and run["started_at"].date() == row["usage_date"]]
    expected = counted(today)
    for name, status in (("succeeded", "COMPLETED"), ("failed", "FAILED")):
        has, most = row[f"pipelines_{name}_today"], sum(run["status"] == status for run in today)
        if not expected.allows(has, most):
            yield Violation(invariant=f"ledger.{name}", where=tenant_id, what=f"{has} are counted, {most} runs are {status}")
    if not expected.allows(row["pipelines_run_today"], expected.units):
        what = f"{row['pipelines_run_today']} are counted, {expected.units} runs began today"
        yield Violation(invariant="ledger.units_today", where=tenant_id, what=what)
