"""A tenant's dataset and its Google Cloud project, used by one test after the other.

Making a dataset with its three tables costs the emulator more than emptying it, and statements that it has seen before in a dataset cost
half. So a dataset is made again only where a test has taken away or changed what is there from the start.
"""

import uuid
from collections.abc import Sequence
from functools import partial

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import Table
from services.platform.bigquery.sql import make_block
from tests.support.leftovers import KEPT

type Schemas = dict[str, list[bigquery.SchemaField]]


class Room:
    """`tables` are those that a tenant's dataset has from the start."""

    def __init__(self, bq: BigQuery, tables: Sequence[Table], *, project: str) -> None:
        self._bq, self._tables, self._project = bq, tables, project
        self._tenant_id = ""
        self._made: Schemas = {}

    async def emptied(self) -> str:
        """The tenant that the room is for. Its dataset holds the tables from the start, with the rows that their DDL inserts; its
        project holds no dataset.
        """
        await self._bq.call("empty_project", partial(self._empty_project))
        found = await self._bq.call("look", self._found) if self._tenant_id else {}
        if not self._made or {name: found.get(name) for name in self._made} != self._made:
            await self.close()
            await self._make()
        else:
            clean = [f"DELETE FROM {name} WHERE TRUE" for name in self._made]
            clean += [f"DROP TABLE IF EXISTS {name}" for name in found if name not in self._made]
            clean += [table.sql.strip() for table in self._tables if "\nINSERT INTO" in table.sql]
            await self._bq.query(make_block("empty_room", ";\n".join(clean), {}), {}, dataset=self._bq.tenant(self._tenant_id), seconds=60)
        return self._tenant_id

    async def close(self) -> None:
        """Drops the dataset."""
        if self._tenant_id:
            dataset = self._bq.tenant(self._tenant_id)
            await self._bq.call("drop", lambda _: self._bq.client.delete_dataset(dataset, delete_contents=True, not_found_ok=True))

    async def _make(self) -> None:
        self._tenant_id = f"{KEPT}{uuid.uuid4().hex[:12]}"
        dataset = self._bq.tenant(self._tenant_id)
        await self._bq.call("create_dataset", lambda timeout: self._bq.client.create_dataset(dataset, timeout=timeout))
        for table in self._tables:
            await self._bq.query(table.create, {}, dataset=dataset)
        self._made = await self._bq.call("look", self._found)

    def _found(self, timeout: float) -> Schemas:
        """What is there, as BigQuery tells it."""
        client = self._bq.client
        try:
            names = [table.reference for table in client.list_tables(self._bq.tenant(self._tenant_id), timeout=timeout)]
        except NotFound:
            return {}
        return {name.table_id: client.get_table(name, timeout=timeout).schema for name in names}

    def _empty_project(self, timeout: float) -> None:
        for dataset in self._bq.client.list_datasets(self._project, timeout=timeout):
            self._bq.client.delete_dataset(dataset.reference, delete_contents=True, not_found_ok=True, timeout=timeout)
