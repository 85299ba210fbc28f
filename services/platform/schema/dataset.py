"""The control dataset as it is, by metadata calls only, which are free."""

import asyncio
from collections.abc import Collection
from datetime import timedelta

from google.cloud import bigquery

from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.errors import NotFound
from services.platform.bigquery.jobs import NO_RETRY
from services.platform.schema.release import Found

SECONDS = 60.0


class ControlDataset:
    """All methods raise Unavailable if BigQuery does not answer in time."""

    def __init__(self, bq: BigQuery, *, location: str) -> None:
        self._bq, self._location = bq, location

    async def exists(self) -> bool:
        """Whether there is one. Looked up first: to create it, BigQuery demands the right to create datasets even if it exists."""
        try:
            await self._bq.call(
                "get_dataset", lambda left: self._bq.client.get_dataset(self._bq.control(), timeout=left, retry=NO_RETRY), seconds=SECONDS
            )
        except NotFound:
            return False
        return True

    async def create(self) -> None:
        """Creates it, unless it exists."""
        dataset = bigquery.Dataset(self._bq.control())
        dataset.location = self._location
        dataset.labels = {"managed-by": "convergence"}
        await self._bq.call(
            "create_dataset",
            lambda left: self._bq.client.create_dataset(dataset, exists_ok=True, timeout=left, retry=NO_RETRY),
            seconds=SECONDS,
        )

    async def find(self, names: Collection[str]) -> dict[str, Found]:
        """Those of these tables and views that there are."""
        there = await self._bq.call(
            "list_tables", lambda left: {table.table_id for table in self._bq.client.list_tables(self._bq.control(), timeout=left)}
        )
        wanted = [name for name in names if name in there]
        return dict(zip(wanted, await asyncio.gather(*(self._look(name) for name in wanted)), strict=True))

    async def expire(self, name: str, days: int) -> None:
        """Lets BigQuery delete partitions of a table at this age."""
        table = await self._get(name)
        partitioning = table.time_partitioning
        partitioning.expiration_ms = timedelta(days=days) // timedelta(milliseconds=1)
        table.time_partitioning = partitioning
        await self._bq.call(
            "expire_partitions", lambda left: self._bq.client.update_table(table, ["time_partitioning"], timeout=left, retry=NO_RETRY)
        )

    async def _look(self, name: str) -> Found:
        table = await self._get(name)
        return Found(
            columns=frozenset(field.name.lower() for field in table.schema),
            text_hash=table.labels.get("ddl"),
            expiration_ms=table.time_partitioning.expiration_ms if table.time_partitioning else None,
        )

    async def _get(self, name: str) -> bigquery.Table:
        table: bigquery.Table = await self._bq.call(
            "get_table", lambda left: self._bq.client.get_table(f"{self._bq.control()}.{name}", timeout=left, retry=NO_RETRY)
        )
        return table
