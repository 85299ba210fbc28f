"""Composes what a publish does about the end of its run. Part of `publish_script`, which explains why the transaction as a whole is safe.

A publish that is the last thing a run has to do also records the run's end, so that the run is seen COMPLETED the moment its rows are.
Its transaction then changes the run's own row last, in place of the fence row. Any other end of the run (`end_run`) changes the same row,
so exactly one of the two ends the run.

Two publishes never commit side by side. A publish that deletes no row, as the first one of a day, changes no row that another one changes,
so their transactions would not conflict ("Multi-statement transactions": those conflict that update or delete rows of a table). So each
transaction changes a row of the fences' table that exists before it: its run's own, or, if it ends the run, the lock.

BigQuery cancels the transaction if any other statement changes x_meta_pipeline_runs between its BEGIN and its end, whichever row it changes
("Multi-statement transactions"): the claim of another run, the end of one, what one has cost. Within a process, statements that can wait do
so (`RunEnds.quiet`); other processes' statements cannot be held back. So a transaction that was cancelled is sent again in the form
`AFTER`. This transaction changes the fence row, which no other run changes. A separate statement after the COMMIT changes the run's row: it
waits for other statements and is never cancelled.
"""

from enum import Enum, auto
from typing import Final

FENCES: Final = "x_meta_publish_fences"
RUNS: Final = "x_meta_pipeline_runs"
LOCK: Final = "publish_lock"
"""The `pipeline_logging_id` of the row of the fences' table that is of no run. It is made with the table, or by the first publish that
misses it. If two publishes make it at the same moment, there are two such rows, which are changed together.
"""
RUN_ROWS: Final = "_run_rows"
"""The query parameter with the row count of the run; NULL: that of this publish."""
_THIS_RUN: Final = "pipeline_logging_id = @pipeline_logging_id AND status = 'RUNNING' AND claimed_by = @claimed_by"
_PUBLISHED: Final = "(SELECT IFNULL(SUM(c.rows_new), 0) FROM UNNEST(measured.changes) AS c)"
# The executor's clock says when the script was sent; BigQuery's, how long it has taken since. The two may differ.
_NOW: Final = "TIMESTAMP_ADD(@loaded_at, INTERVAL TIMESTAMP_DIFF(CURRENT_TIMESTAMP(), began, MICROSECOND) MICROSECOND)"
_COMPLETE: Final = f"""SET ended_at = {_NOW};
UPDATE {RUNS} SET
  status = 'COMPLETED', completed_at = ended_at, duration_ms = TIMESTAMP_DIFF(ended_at, started_at, MILLISECOND),
  rows_processed = IFNULL(@{RUN_ROWS}, {_PUBLISHED})
WHERE {_THIS_RUN}"""
_ENDED_AT: Final = f"SET ended_at = (SELECT MAX(completed_at) FROM {RUNS} WHERE {_THIS_RUN.replace('RUNNING', 'COMPLETED')});\n"
_FENCE: Final = f"""UPDATE {FENCES} SET updated_at = @loaded_at
WHERE pipeline_logging_id = @pipeline_logging_id AND state = 'OPEN' AND claimed_by = @claimed_by
  AND NOT EXISTS (SELECT 1 FROM {FENCES} AS f WHERE f.pipeline_logging_id = @pipeline_logging_id AND f.state = 'CLOSED')"""
_LOCKED: Final = f"UPDATE {FENCES} SET updated_at = @loaded_at WHERE pipeline_logging_id = '{LOCK}'"
_LOCK_IS_MISSING: Final = f"NOT EXISTS (SELECT 1 FROM {FENCES} WHERE pipeline_logging_id = '{LOCK}')"


class EndOfRun(Enum):
    """When the script records the run's end."""

    LATER = auto()
    """Not at all: other steps follow."""
    WITHIN = auto()
    """In the publishing transaction."""
    AFTER = auto()
    """Behind it."""

    @property
    def params(self) -> dict[str, str]:
        """More query parameters, name to GoogleSQL type."""
        return {} if self is EndOfRun.LATER else {RUN_ROWS: "INT64"}

    @property
    def declared(self) -> str:
        """Its variables."""
        own = "DECLARE lock_is_missing BOOL;\n" if self is EndOfRun.WITHIN else ""
        times = "DECLARE began TIMESTAMP DEFAULT CURRENT_TIMESTAMP();\nDECLARE ended_at TIMESTAMP;\n"
        return "" if self is EndOfRun.LATER else f"{times}{own}"

    @property
    def opened(self) -> str:
        """Before the transaction: the fence row that it changes, and the lock."""
        if self is EndOfRun.WITHIN:
            return ""
        return f"""INSERT INTO {FENCES} (pipeline_logging_id, state, updated_at, claimed_by)
SELECT DISTINCT r.pipeline_logging_id, 'OPEN', @loaded_at, @claimed_by
FROM {RUNS} AS r
WHERE r.{_THIS_RUN.replace(" AND ", " AND r.")}
  AND NOT EXISTS (SELECT 1 FROM {FENCES} AS f WHERE f.pipeline_logging_id = @pipeline_logging_id)
UNION ALL
SELECT '{LOCK}', CAST(NULL AS STRING), @loaded_at, CAST(NULL AS STRING)
FROM (SELECT 1 AS one) AS o
WHERE NOT EXISTS (SELECT 1 FROM {FENCES} AS f WHERE f.pipeline_logging_id = '{LOCK}');
"""

    def guard(self, allowed: str) -> str:
        """The last changes of the transaction. If the last one changes no row, nothing must be published. `allowed` is a condition."""
        if self is EndOfRun.WITHIN:
            return f"{_LOCKED};\n{_COMPLETE}\n  AND @@row_count > 0 AND {allowed};\n"
        # A script that is sent again finds the run ended by itself, and must not publish then.
        is_running = f"\n  AND EXISTS (SELECT 1 FROM {RUNS} WHERE {_THIS_RUN})" if self is EndOfRun.AFTER else ""
        return f"{_FENCE}{is_running}\n  AND {allowed};\n"

    @property
    def committed(self) -> str:
        """After the transaction."""
        return f"  {_COMPLETE};\n  {_ENDED_AT}" if self is EndOfRun.AFTER else ""

    @property
    def rolled_back(self) -> str:
        """After a transaction that has published nothing: this claim may have completed the run before, or there was no lock."""
        missing = f"  SET lock_is_missing = {_LOCK_IS_MISSING};\n" if self is EndOfRun.WITHIN else ""
        return "" if self is EndOfRun.LATER else f"  {_ENDED_AT}{missing}"

    @property
    def ended_at(self) -> str:
        """An expression: when this claim has completed the run; NULL: it has not."""
        return "CAST(NULL AS TIMESTAMP)" if self is EndOfRun.LATER else "ended_at"

    @property
    def lock_is_missing(self) -> str:
        """An expression: nothing was published because the tenant's fences lack the lock. `AFTER` makes it."""
        return "IFNULL(lock_is_missing, FALSE)" if self is EndOfRun.WITHIN else "FALSE"
