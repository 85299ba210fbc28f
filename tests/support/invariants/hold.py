"""All invariants at once."""

from collections.abc import Sequence

from tests.support.invariants.audit import audit_violations
from tests.support.invariants.credentials import Decrypt, credential_violations
from tests.support.invariants.ledger import ledger_violations
from tests.support.invariants.observed import Observed
from tests.support.invariants.offboarded import offboarded_violations
from tests.support.invariants.published import published_violations
from tests.support.invariants.queue import queue_violations
from tests.support.invariants.runs import run_violations
from tests.support.invariants.tables import Tables
from tests.support.invariants.violation import Violation


def violations(tables: Tables, observed: Observed | None = None, *, decrypt: Decrypt | None = None) -> list[Violation]:
    """All violated invariants; empty if all hold. The package lists the invariants. No I/O but `decrypt`'s."""
    observed = observed or Observed()
    return [
        *ledger_violations(tables, observed),
        *run_violations(tables, observed),
        *queue_violations(tables, observed),
        *published_violations(tables, observed),
        *credential_violations(tables, observed, decrypt),
        *offboarded_violations(tables),
        *audit_violations(tables),
    ]


def hold(tables: Tables, observed: Observed | None = None, *, decrypt: Decrypt | None = None, also: Sequence[Violation] = ()) -> None:
    """Raises AssertionError, naming every violation. `also`: violations found elsewhere, e.g. on disk."""
    found = [*violations(tables, observed, decrypt=decrypt), *also]
    assert not found, "\n".join(["these do not hold:", *map(str, found)])
