"""Checks the invariants in the tables once everything is at rest: after load, after faults, after any test.

    tables = read_tables(warehouse, control_dataset)
    hold(tables, observed)          # AssertionError: every invariant that does not hold, with the row that shows it

`observed` has the answers that callers got and the rows of their sources. Without it, only the tables are compared with each other. At rest
means: no process is down, the jobs of Cloud Scheduler have fired until they found nothing to do, and leases had time to expire.

    ledger        The quota is a gate: as many units as runs began, an outcome for each, no slot held, one row a tenant and day.
    runs          A run has one row and ended once; its fence is closed unless it COMPLETED; what a caller was promised is there.
    queue         A fire time is queued once and ended once; attempts are numbered by failures; an ended run has left the queue.
    published     A day has all rows of its source or none, never twice and never another tenant's; the ledger of days agrees with it.
    credentials   One a tenant and provider, audited, to be opened by its tenant's name only, and what its tenant has sent last.
    offboarded    An offboarded tenant is closed everywhere: no key, no schedule, no run, no slot, no credentials.
    audit         Each chain of the audit log is whole, and ends where its head says.
    secrets       No secret outside the place that is made for it, on disk or in tables.
    logs          No traceback, no error that a service did not expect.
"""

from tests.support.invariants.hold import hold, violations
from tests.support.invariants.observed import Observed, Sealed
from tests.support.invariants.secrets import secrets_outside
from tests.support.invariants.tables import Staging, Tables, TenantTables, read_tables
from tests.support.invariants.violation import Violation

__all__ = ["Observed", "Sealed", "Staging", "Tables", "TenantTables", "Violation", "hold", "read_tables", "secrets_outside", "violations"]
