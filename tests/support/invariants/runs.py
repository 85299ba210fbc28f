"""Runs of a tenant: one row, one end, a fence that is closed, and everything that a caller was promised."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta

from tests.support.invariants.observed import Observed
from tests.support.invariants.tables import Row, Rows, Tables, TenantTables
from tests.support.invariants.violation import Violation

ENDED = {"COMPLETED", "FAILED", "CANCELLED"}
OVERDUE = "still RUNNING after its deadline"
INTERNAL = re.compile(r"Traceback|google\.|https?://|Exception\b|Something broke on our side")
STAGING_LASTS = timedelta(hours=25)


def folded(runs: Rows) -> list[Row]:
    """One row of each id, the ended one, as readers see them."""
    best = dict[str, Row]()
    for run in sorted(runs, key=lambda run: run["status"] == "RUNNING"):
        best.setdefault(run["pipeline_logging_id"], run)
    return list(best.values())


def is_admitted(run: Row) -> bool:
    """It has held a reservation; a scheduled attempt that was refused for good has a row, and has held none."""
    return not (run["status"] == "FAILED" and run["is_final"] and run["claimed_by"] is None and run["deadline_at"] == run["started_at"])


def is_overdue(run: Row) -> bool:
    """It was ended at its deadline, when no executor was left to do it."""
    return run["status"] == "FAILED" and OVERDUE in (run["error_message"] or "")


def run_violations(tables: Tables, observed: Observed) -> Iterator[Violation]:
    """Of all tenants."""
    for tenant_id, tenant in tables.tenants.items():
        yield from _rows(tenant_id, tenant)
        yield from _foreign(tenant_id, tenant)
        yield from _staging(tenant_id, tenant, STAGING_LASTS + observed.clock_ahead)
        yield from _promised(tenant_id, folded(tenant.runs), observed)


def _rows(tenant_id: str, tenant: TenantTables) -> Iterator[Violation]:
    by_id = defaultdict[str, list[Row]](list)
    for run in tenant.runs:
        by_id[run["pipeline_logging_id"]].append(run)
    fences = {fence["pipeline_logging_id"]: fence["state"] for fence in tenant.fences}
    for identity, rows in by_id.items():
        where, states = f"{tenant_id} {identity}", {run["status"] for run in rows}
        if len(states) > 1:
            yield Violation(invariant="runs.one_end", where=where, what=f"{len(rows)} rows say {sorted(states)}")
        run = rows[0]
        if run["status"] not in ENDED:
            what = f"{run['status']} at rest, since {run['started_at']}, claimed by {run['claimed_by']}, deadline {run['deadline_at']}"
            yield Violation(invariant="runs.ended", where=where, what=what)
        elif run["completed_at"] is None or (run["status"] == "COMPLETED") == bool(run["error_message"]):
            what = f"{run['status']} at {run['completed_at']} with the error {run['error_message']!r}"
            yield Violation(invariant="runs.end_is_whole", where=where, what=what)
        if INTERNAL.search(run["error_message"] or ""):
            yield Violation(invariant="runs.error_is_for_the_tenant", where=where, what=repr(run["error_message"]))
        if run["status"] in {"FAILED", "CANCELLED"} and fences.get(identity) == "OPEN":
            yield Violation(invariant="runs.fence_closed", where=where, what=f"it is {run['status']}, and could still publish")


def _foreign(tenant_id: str, tenant: TenantTables) -> Iterator[Violation]:
    for name in ("runs", "step_logs", "dq_results"):
        if others := {row["tenant_id"] for row in getattr(tenant, name)} - {tenant_id}:
            yield Violation(invariant="runs.no_foreign_rows", where=f"{tenant_id} {name}", what=f"it has rows of {sorted(others)}")


def _staging(tenant_id: str, tenant: TenantTables, lasts: timedelta) -> Iterator[Violation]:
    for table in tenant.staging:
        if table.expires is None or table.expires - table.created > lasts:
            what = f"created {table.created}, expires {table.expires}"
            yield Violation(invariant="runs.staging_expires", where=f"{tenant_id} {table.name}", what=what)


def _promised(tenant_id: str, runs: list[Row], observed: Observed) -> Iterator[Violation]:
    called = {run["pipeline_logging_id"]: run for run in runs if run["trigger_type"] == "api"}
    started = observed.started.get(tenant_id)
    if started is None:
        return
    for lost in sorted(started - called.keys()):
        yield Violation(invariant="runs.none_lost", where=f"{tenant_id} {lost}", what="its start was answered with 200; it has no row")
    extra, may_be = called.keys() - started, observed.unanswered_starts.get(tenant_id, 0)
    if len(extra) > may_be:
        what = f"{len(extra)} runs that no caller knows of, {may_be} starts got no answer: {sorted(extra)}"
        yield Violation(invariant="runs.none_doubled", where=tenant_id, what=what)
    for (tenant, key), ids in observed.by_key.items():
        if tenant == tenant_id and len(ids) > 1:
            yield Violation(invariant="runs.one_a_key", where=f"{tenant_id} {key}", what=f"the key was answered with {sorted(ids)}")
    yield from _cancelled(tenant_id, {run["pipeline_logging_id"]: run for run in runs}, observed.cancelled.get(tenant_id, ()))


def _cancelled(tenant_id: str, runs: dict[str, Row], cancelled: Iterable[str]) -> Iterator[Violation]:
    for identity in cancelled:
        if (status := runs[identity]["status"] if identity in runs else "missing") != "CANCELLED":
            yield Violation(
                invariant="runs.cancelled", where=f"{tenant_id} {identity}", what=f"its cancel was answered with 200; it is {status}"
            )
