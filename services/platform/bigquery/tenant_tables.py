"""Brings tenants' tables up to their DDL before use: creates missing tables and adds columns that the DDL has gained.

A tenant's dataset may be older than the release that reads it. Rows that were there before a column have NULL in it.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from services.platform.background import note_end
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import Table
from services.platform.bigquery.errors import NotFound
from services.platform.bigquery.jobs import NO_RETRY
from services.platform.cache import TtlCache

KNOWN_SECONDS = 600.0
"""Seconds for which a table that was found up to date is not checked again."""
DDL_SECONDS = 20.0
STEP_DDL_SECONDS = 120.0
"""For a step of a run. The first run after an upgrade adds columns, beside statements of other runs, which may hold that up. A run that a
call started must not FAIL for it: only its caller can start it again.
"""

type _Key = tuple[str, str]
"""The tenant, and the text of the table's DDL."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    missing: list[str] | None
    """The columns that the table lacks; None if the table does not exist."""


class TenantTables:
    """All tables of all tenants' datasets. A table costs one metadata call every KNOWN_SECONDS, and a statement only if it is behind the
    DDL.
    """

    def __init__(self, bq: BigQuery, *, known_seconds: float = KNOWN_SECONDS) -> None:
        self._bq = bq
        # Keyed by the DDL's text: new DDL is checked again.
        self._known: TtlCache[_Key, bool] = TtlCache(seconds=known_seconds, size=10_000)
        self._looks: TtlCache[_Key, _Look] = TtlCache(seconds=known_seconds, size=10_000)

    def look_ahead(self, tenant_id: str, tables: Iterable[Table]) -> None:
        """Begins to look at tables that will be brought up soon, all at once; returns at once. `ensure` then waits for no look of its own.
        Changes nothing.
        """
        for table in tables:
            if not self._known.get_cached((tenant_id, table.sql)):
                asyncio.create_task(self._look(tenant_id, table)).add_done_callback(note_end)

    async def ensure(self, tenant_id: str, table: Table, *, seconds: float = DDL_SECONDS) -> None:
        """Returns once the tenant's table has all columns of its DDL. Changes nothing else about it. Raises Unavailable if that takes more
        than so many seconds (concurrent callers share the first one's), NotFound if the tenant has no dataset.
        """

        async def bring_up(key: _Key) -> bool:
            missing = (await self._look(tenant_id, table)).missing
            statement = table.create if missing is None else table.add_columns(missing)
            if missing is None or missing:
                await self._bq.query(statement, {}, dataset=self._bq.tenant(tenant_id), seconds=seconds)
                self._looks.drop(key)
            return True

        await self._known.get((tenant_id, table.sql), bring_up)

    async def _look(self, tenant_id: str, table: Table) -> _Look:
        async def look(_: _Key) -> _Look:
            return _Look(missing=await self._missing(tenant_id, table))

        return await self._looks.get((tenant_id, table.sql), look)

    async def _missing(self, tenant_id: str, table: Table) -> list[str] | None:
        """The columns that the table lacks; None if the table does not exist."""
        name = f"{self._bq.tenant(tenant_id)}.{table.name}"
        try:
            found = await self._bq.call("get_table", lambda left: self._bq.client.get_table(name, timeout=left, retry=NO_RETRY))
        except NotFound:
            return None
        # BigQuery's column names are case-insensitive.
        there = {column.name.lower() for column in found.schema}
        return [column for column in table.columns if column.lower() not in there]
