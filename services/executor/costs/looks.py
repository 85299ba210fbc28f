"""When a tenant's tables were last changed, from their metadata: no job, no bytes, no cost (BigQuery, "Free operations": tables.get)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.platform.bigquery import errors as bigquery
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.jobs import NO_RETRY
from services.platform.cache import TtlCache

FOCUS, DAYS, CHANGES, INVOICES = "focus_cost_daily", "x_meta_cost_days", "x_meta_cost_changes", "x_meta_invoices"


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What was seen of a table."""

    modified: datetime | None
    """When its rows or columns last changed; None: there is no such table, or no dataset."""

    @property
    def exists(self) -> bool:
        """False: no run, and no earlier call, has made the table yet."""
        return self.modified is not None


class Looks:
    """Looks at tables, at each at most once in `known_seconds`: BigQuery allows an account 100 look-ups of metadata a second."""

    def __init__(self, bq: BigQuery, *, known_seconds: float) -> None:
        self._bq = bq
        self._known: TtlCache[tuple[str, str], Look] = TtlCache(seconds=known_seconds, size=10_000)

    async def at(self, tenant_id: str, tables: Sequence[str]) -> list[Look]:
        """One look a table, in order. Raises Unavailable if BigQuery does not answer, or does not let us see a table."""
        return await asyncio.gather(*(self._known.get((tenant_id, table), self._look) for table in tables))

    def forget(self, tenant_id: str, table: str) -> None:
        """After a change that this process has made."""
        self._known.drop((tenant_id, table))

    async def _look(self, key: tuple[str, str]) -> Look:
        tenant_id, table = key
        name = f"{self._bq.tenant(tenant_id)}.{table}"
        try:
            there = await self._bq.call("get_table", lambda left: self._bq.client.get_table(name, timeout=left, retry=NO_RETRY))
        except bigquery.NotFound:
            return Look(modified=None)
        except bigquery.Forbidden as error:
            # Also what BigQuery answers for a table that may not exist. It is not known that there is nothing.
            raise bigquery.unavailable("get_table", error) from error
        return Look(modified=there.modified)
