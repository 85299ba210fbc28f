"""Offboarded tenants: closed in every table, and nothing left that could run, or open their clouds."""

from collections.abc import Iterator

from tests.support.invariants.tables import Tables
from tests.support.invariants.violation import Violation

OFFBOARDED = "OFFBOARDED"


def offboarded(tables: Tables) -> set[str]:
    """Their ids."""
    return {row["tenant_id"] for row in tables.profiles if row["status"] == OFFBOARDED}


def erased(tables: Tables) -> set[str]:
    """Those whose dataset was deleted: with it went the records of their runs, so the rest cannot be compared with them."""
    return offboarded(tables) - tables.tenants.keys()


def offboarded_violations(tables: Tables) -> Iterator[Violation]:
    """Of all tenants."""
    gone = offboarded(tables)
    for name, rows, what in (
        ("profile", [row for row in tables.profiles if row["status"] != OFFBOARDED], "another row of its profile is open"),
        ("subscription", [row for row in tables.subscriptions if row["status"] != "CANCELLED"], "its subscription is not CANCELLED"),
        ("key", [row for row in tables.keys if row["is_active"] is not False], "a key of it is active"),
        ("schedule", [row for row in tables.schedules if row["is_active"] is not False or row["next_run_time"]], "a schedule of it is on"),
        ("queue", tables.queue, "a run of it is in the queue"),
        ("slot", [row for row in tables.ledger if row["live_runs"]], "a run of it holds a slot"),
        ("credentials", tables.credentials, "its credentials are stored"),
    ):
        for tenant_id in sorted(gone & {row["tenant_id"] for row in rows}):
            yield Violation(invariant=f"offboarded.{name}", where=tenant_id, what=what)
