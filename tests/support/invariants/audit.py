"""The audit log: each chain is whole and ends in its head, and no entry is there twice."""

from collections import Counter
from collections.abc import Iterator

from services.auth.audit.chain import Head
from services.auth.audit.verify import verify
from tests.support.invariants.tables import Tables
from tests.support.invariants.violation import Violation


def audit_violations(tables: Tables) -> Iterator[Violation]:
    """Checks all chains. Entries that a killed process had not appended yet are missing; only appended ones are checked."""
    heads = [Head(chain=row["chain"], seq=row["seq"], hash=row["entry_hash"]) for row in tables.audit_heads if row["seq"]]
    for verdict in verify([{**row, "hash": row["entry_hash"]} for row in tables.audit_log], heads):
        if verdict.problem is not None:
            yield Violation(invariant="audit.chain", where=verdict.chain, what=verdict.problem)
    for entry_id, count in Counter(row["entry_id"] for row in tables.audit_log).items():
        if count > 1:
            yield Violation(invariant="audit.once", where=entry_id, what=f"the entry is there {count} times")
