"""Writes `tenant_runs` in the background, and reads it."""

from pathlib import Path
from types import TracebackType
from typing import Self

from services.executor.all_runs.tenant_run import AllRunsFilter, TenantRun
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import load_blocks
from services.platform.clock import Clock
from services.platform.reporting.background import BackgroundRows

SQL = load_blocks(Path(__file__).with_name("queries.sql"))


class AllRuns:
    """While its context is open, runs that were recorded are written every `every_seconds`; leaving it writes what is left."""

    def __init__(self, bq: BigQuery, clock: Clock, *, every_seconds: float) -> None:
        self._bq, self._clock = bq, clock
        self._rows = BackgroundRows(bq, "tenant_runs", key="entry_id", insert=SQL["insert_tenant_runs"], every_seconds=every_seconds)

    def record(self, run: TenantRun) -> None:
        """Keeps the run, as it is now, to be written. Returns at once, and never raises."""
        self._rows.add(run.entry(self._clock.now()))

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return len(self._rows)

    async def send(self) -> None:
        """Writes what waits now. Raises as AppendOnlyTable.append does; the rows stay then."""
        await self._rows.send()

    async def list_runs(self, wanted: AllRunsFilter, *, limit: int) -> list[TenantRun]:
        """At most `limit` runs, newest first. Raises Unavailable if BigQuery does not answer."""
        params = wanted.params | {"row_limit": limit}
        rows = (await self._bq.query(SQL["list_all_runs"], params, dataset=self._bq.control())).rows
        return [TenantRun.from_row(row["tenant_id"], row) for row in rows]

    async def __aenter__(self) -> Self:
        await self._rows.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._rows.__aexit__(kind, error, trace)
