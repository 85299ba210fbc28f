"""Rows of small tables, listed instead of queried: a listing costs nothing, a query at least 10 MiB for each table that it names.

A listing (`tabledata.list`) shows what was committed before it began, as a query does; of several tables, each at a moment of its own. A
table with more than MOST_ROWS rows is queried: its rows would take longer to arrive than a query takes.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from google.api_core import exceptions as google
from google.cloud.bigquery import SchemaField, Table

from services.platform import metrics
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.jobs import NO_RETRY
from services.platform.cache import TtlCache
from services.platform.errors import ConvergenceError

MOST_ROWS: Final = 1_000
KNOWN_SECONDS: Final = 600.0
"""How long it is remembered which columns a table has, or that it is too large."""
LIST_SECONDS: Final = 2.0
"""Deadline of a listing: the statement that it spares takes about as long."""

type Rows = list[dict[str, Any]]
type _Known = tuple[Table | None, Sequence[SchemaField]]

_log = structlog.get_logger()


class SmallTables:
    """Some columns of some tables of one dataset."""

    def __init__(self, bq: BigQuery, dataset: str, columns: Mapping[str, Sequence[str]], *, spares: str) -> None:
        """`dataset`: `project.dataset`. `columns`: by table. `spares`: the statement that is sent if they cannot be listed."""
        self._bq, self._dataset, self._columns, self._spares = bq, dataset, columns, spares
        self._known: TtlCache[str, _Known] = TtlCache(seconds=KNOWN_SECONDS, size=len(columns))

    async def rows(self) -> list[Rows] | None:
        """All rows of each table, in the order of `columns`; None if one is too large, older than its DDL, or cannot be listed now."""
        try:
            known = await asyncio.gather(*(self._known.get(table, self._look) for table in self._columns))
            tables = [(table, fields) for table, fields in known if table is not None]
            if len(tables) < len(known):
                return None
            metrics.BIGQUERY_LISTINGS.labels(self._spares).inc()
            found = await asyncio.gather(*(self._list(*table) for table in tables))
        except (ConvergenceError, google.GoogleAPICallError) as error:
            for table in self._columns:
                self._known.drop(table)
            _log.warning("tables_not_listed", tables=list(self._columns), error=type(error).__name__)
            return None
        for table, rows in zip(self._columns, found, strict=True):
            if len(rows) > MOST_ROWS:
                self._known.put(table, (None, ()))
                return None
        return found

    async def _look(self, name: str) -> _Known:
        def send(timeout: float) -> Table:
            return self._bq.client.get_table(f"{self._dataset}.{name}", timeout=timeout, retry=NO_RETRY)

        table, columns = await self._bq.call("get_table", send, seconds=LIST_SECONDS), set(self._columns[name])
        # BigQuery answers in the table's order, whatever the order of the question.
        fields = [field for field in table.schema if field.name in columns]
        return (table if len(fields) == len(columns) and (table.num_rows or 0) <= MOST_ROWS else None), fields

    async def _list(self, table: Table, fields: Sequence[SchemaField]) -> Rows:
        def send(timeout: float) -> Rows:
            rows = self._bq.client.list_rows(table, selected_fields=fields, max_results=MOST_ROWS + 1, timeout=timeout, retry=NO_RETRY)
            return [dict(row.items()) for row in rows]

        return await self._bq.call("list_rows", send, seconds=LIST_SECONDS)
