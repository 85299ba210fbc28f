"""Runs statements in tenants' datasets, which may not exist yet or may be older than this release."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from services.platform.bigquery import errors as bigquery
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import Table, load_tables
from services.platform.bigquery.jobs import NO_RETRY
from services.platform.bigquery.result import QueryResult
from services.platform.bigquery.sql import Block
from services.platform.bigquery.tenant_tables import DDL_SECONDS, STEP_DDL_SECONDS, TenantTables
from services.platform.bigquery.unbilled.small_tables import KNOWN_SECONDS, Rows, SmallTables
from services.platform.cache import TtlCache
from services.platform.errors import Unavailable

RUNS = "x_meta_pipeline_runs"
ABSENT_KNOWN_SECONDS = 60.0
"""Seconds for which it is cached that a dataset is absent. It is only used after a notFound, so a dataset created meanwhile is not
overlooked.
"""

_log = structlog.get_logger()


class TenantQueries:
    """Runs blocks in a tenant's dataset. All methods raise Unavailable if BigQuery does not answer in time."""

    def __init__(self, bq: BigQuery, *, ddl: Path) -> None:
        """`ddl`: the folder with the DDL of tenants' tables."""
        self._bq = bq
        self._tables, self._ddl = TenantTables(bq), load_tables(ddl)
        self._small: TtlCache[tuple[str, str], SmallTables] = TtlCache(seconds=KNOWN_SECONDS, size=10_000)
        self._absent: TtlCache[str, bool] = TtlCache(seconds=ABSENT_KNOWN_SECONDS, size=10_000)

    async def run(self, block: Block, params: Mapping[str, object], tenant_id: str, *, seconds: float | None = None) -> QueryResult:
        """The block's result, within `seconds`. Raises bigquery.NotFound if the tenant has no dataset."""
        dataset, began = self._bq.tenant(tenant_id), time.monotonic()
        try:
            return await self._bq.query(block, params, dataset=dataset, seconds=seconds)
        except bigquery.BadRequest:
            # The runs table may lack a column that the block names. It is checked only after an error, so that it usually costs nothing.
            # The block is sent again in any case, because another process may just have added the column. A block may be replayed.
            await self.ensure(tenant_id, RUNS)
            left = None if seconds is None else seconds - (time.monotonic() - began)
            return await self._bq.query(block, params, dataset=dataset, seconds=left)

    async def rows(self, block: Block, params: Mapping[str, object], tenant_id: str) -> list[dict[str, Any]]:
        """The block's rows; none for a tenant without a dataset."""
        try:
            return (await self.run(block, params, tenant_id)).rows
        except (bigquery.NotFound, bigquery.Forbidden):
            await self._check_absent(self._bq.tenant(tenant_id))
            return []  # no credentials were ever set, so there is no dataset and no run

    async def listed(self, tenant_id: str, columns: Mapping[str, Sequence[str]], *, spares: str) -> list[Rows] | None:
        """All rows of small tables, as `SmallTables.rows` has them; None if only a statement shows them."""
        key = tenant_id, spares
        if (tables := self._small.get_cached(key)) is None:
            self._small.put(key, tables := SmallTables(self._bq, self._bq.tenant(tenant_id), columns, spares=spares))
        return await tables.rows()

    async def ensure(self, tenant_id: str, table: str | Table, *, seconds: float = DDL_SECONDS) -> None:
        """Brings a table, given by name if it is one of ours, up to its DDL; checks once in ten minutes. Raises bigquery.NotFound if the
        tenant has no dataset.
        """
        await self._tables.ensure(tenant_id, self._ddl[table] if isinstance(table, str) else table, seconds=seconds)

    async def ensure_for_step(self, tenant_id: str, tables: Iterable[str | Table]) -> None:
        """As `ensure`, for the tables that a step needs, all at once; it waits as long as a run can."""
        await asyncio.gather(*(self.ensure(tenant_id, table, seconds=STEP_DDL_SECONDS) for table in tables))

    def look_ahead(self, tenant_id: str, tables: Iterable[Table]) -> None:
        """As `TenantTables.look_ahead`."""
        self._tables.look_ahead(tenant_id, tables)

    async def _check_absent(self, dataset: str) -> None:
        """Raises Unavailable unless the dataset is really absent. BigQuery also answers notFound for a dropped table or a dataset that was
        recreated elsewhere, and accessDenied for what the account may not see. These do not mean that there are no runs: an active run must
        not be treated as one that never began.
        """
        if self._absent.get_cached(dataset):
            return
        location = None
        try:
            there = await self._bq.call("get_dataset", lambda left: self._bq.client.get_dataset(dataset, timeout=left, retry=NO_RETRY))
            location = there.location
        except bigquery.NotFound:
            self._absent.put(dataset, value=True)
            return
        except bigquery.Forbidden:
            pass  # it may exist
        _log.error("run_tables_not_found", dataset=dataset, dataset_location=location)
        raise Unavailable(
            "BIGQUERY_UNAVAILABLE",
            "This tenant's run tables cannot be read, though it may have some. Set the tenant's credentials again, which makes missing "
            "tables; if that changes nothing, the operator finds the cause in the log as run_tables_not_found.",
            retry_after=timedelta(minutes=1),
        )
