"""Composes what a publish of a source's own table does for a table that is derived from it, in one script: both tables are replaced by one
transaction, so that the derived one never lags, and what both need is read once. Part of `publish_script`, which explains why the
transaction as a whole is safe.

The derived rows were made before this publish, from the rows that the source's own table was about to hold. They are published only if the
source's table will hold exactly these rows after the transaction. This is known beforehand, from the rows that stay and the rows that are
staged. If it will not hold them, because another run has published in between, or if a day of the derived table would lose too much, this
script publishes nothing, and the two steps publish one after the other.
"""

from typing import Any, Final

from services.executor.staging.table_after import TableAfter
from services.executor.steps.ledger_measures import MeasuredField, not_as_read
from services.executor.steps.ledger_script import LedgerKind
from services.executor.steps.publish_script import Along, Replacement, allowed_by, changes_of
from services.platform.bigquery.sql import Block

DERIVED_CHANGES: Final = "derived_changes"
"""As `changes`, of the derived table."""
IS_STALE: Final = "is_stale"
"""The derived rows were made of other rows than those that the source's own table will hold."""


def along(replacement: Replacement, rows: Block, source: Replacement, source_after: TableAfter) -> Along | None:
    """What is done for the table of `replacement`, which is derived from the table of `source`; None if it is derived from another table.
    `source_after`: the rows that the table of `source` will hold.
    """
    ledger = replacement.ledger
    if ledger is None or source.ledger is None or ledger.kind is not LedgerKind.DERIVED:
        return None
    if (ledger.source, ledger.derived_from) != (source.ledger.source, source.table.name):
        return None
    return Along(
        replacement=replacement,
        rows=rows,
        measures=[
            changes_of(replacement, rows, DERIVED_CHANGES),
            MeasuredField(name=IS_STALE, type="BOOL", sql=not_as_read(f"(\n{source_after.query}\n) AS b")),
        ],
        allowed=allowed_by(replacement, changes=DERIVED_CHANGES, superseded=IS_STALE),
        answer=f"measured.{IS_STALE}, measured.{DERIVED_CHANGES}",
    )


def of_derived(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer of the script for the derived table, as a script of its own would give it."""
    changes = answer[DERIVED_CHANGES]
    return {**answer, "changes": changes, "rows_published": sum(one["rows_new"] for one in changes), "final_days": ()}


def refuses_derived(answer: dict[str, Any], *, accepts_less: bool) -> bool:
    """True if the script has published nothing only because of the derived table: the source's own table could be published alone."""
    own = not accepts_less and (answer["is_superseded"] or any(one["is_too_little"] for one in answer["changes"]))
    derived = answer[IS_STALE] or (not accepts_less and any(one["is_too_little"] for one in answer[DERIVED_CHANGES]))
    return derived and not own
