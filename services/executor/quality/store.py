"""Reads verdicts. The only caller of queries.sql."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from services.executor.records import DqResult
from services.executor.tenant_queries import TenantQueries
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import load_blocks

SQL = load_blocks(Path(__file__).with_name("queries.sql"))


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictFilter:
    """Which verdicts to list; None: all."""

    executed_from: datetime
    executed_before: datetime
    pipeline_id: str | None = None
    """`{tenant_id}-gcp-cost-billing`."""
    check_name: str | None = None
    status: str | None = None
    after: tuple[datetime, str] | None = None
    """`executed_at` and id of the previous page's last verdict."""

    @property
    def params(self) -> dict[str, object]:
        """The parameters of the statement."""
        after = self.after or (None, None)
        return {
            "executed_from": self.executed_from,
            "executed_before": self.executed_before,
            "pipeline_id": self.pipeline_id,
            "check_name": self.check_name,
            "status": self.status,
            "after_executed_at": after[0],
            "after_id": after[1],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class RunVerdict:
    """A verdict, and the pipeline of its run."""

    verdict: DqResult
    pipeline_id: str
    """`{tenant_id}-gcp-cost-billing`; empty: the run's row is gone."""


class QualityStore:
    """All methods raise Unavailable if BigQuery does not answer in time."""

    def __init__(self, bq: BigQuery, *, ddl: Path) -> None:
        """`ddl`: the folder with the DDL of tenants' tables."""
        self._tenants = TenantQueries(bq, ddl=ddl)

    async def list_verdicts(self, tenant_id: str, wanted: VerdictFilter, *, limit: int) -> list[RunVerdict]:
        """At most `limit` verdicts, newest first; none for a tenant without a dataset."""
        rows = await self._tenants.rows(SQL["list_quality_results"], wanted.params | {"row_limit": limit}, tenant_id)
        return [RunVerdict(verdict=DqResult.from_row(row), pipeline_id=row["pipeline_id"] or "") for row in rows]
