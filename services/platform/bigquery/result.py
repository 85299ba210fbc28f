"""The result of a statement."""

from dataclasses import dataclass
from typing import Any

from google.cloud import bigquery
from google.cloud.bigquery.table import RowIterator

from services.platform.bigquery.errors import unavailable
from services.platform.bigquery.jobs import UnconfirmedScript, query_result
from services.platform.bigquery.sql import Block
from services.platform.tracing.bigquery import note_result


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryResult:
    """The result of a block."""

    rows: list[dict[str, Any]]
    """Column name to value; empty for DML."""
    affected: int
    """Rows changed by DML; 0 for a query, and for a script."""

    @property
    def only_row(self) -> dict[str, Any]:
        """The last row of a script. Raises Unavailable if there is none: the script broke off (see `sql`) and may be sent again."""
        if not self.rows:
            raise unavailable("script", None)
        [row] = self.rows
        return row


def read_result(block: Block, rows: RowIterator) -> QueryResult:
    """The result of a block that has ended. Raises UnconfirmedScript if it should have returned a row at its end and has not."""
    note_result(rows)
    result = QueryResult(rows=[dict(row.items()) for row in rows], affected=rows.num_dml_affected_rows or 0)
    if block.is_confirmed and not result.rows:
        raise UnconfirmedScript(f"{block.name} did not come to its end")
    return result


def read_job(block: Block, job: bigquery.QueryJob, timeout: float) -> QueryResult:
    """As `read_result`, for a job that may still run, within `timeout` seconds."""
    return read_result(block, query_result(job, timeout))
