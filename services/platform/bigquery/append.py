"""Appends rows to an append-only table of the tenants' datasets: by streaming, or by INSERT while the table is young.

Streaming costs no job and waits for no other statement. But for some minutes after a table was created, re-created or altered, BigQuery may
refuse streamed rows, or accept and lose them ("Streaming data into BigQuery", metadata errors for streaming inserts). So the table's age is
read first, and rows that a stream refuses are inserted. No row is lost because it was streamed.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.errors import BadRequest, NotFound, RowsRefused
from services.platform.bigquery.jobs import NO_RETRY
from services.platform.bigquery.sql import Block
from services.platform.cache import TtlCache
from services.platform.clock import Clock, SystemClock
from services.platform.group_commit import GroupCommits

AGE_KNOWN_SECONDS = 60.0
"""Seconds for which a table's age is cached: after that, a table that was dropped and re-created is recognised as young."""
KNOWN_DATASETS = 10_000

type Row = Mapping[str, Any]


class AppendOnlyTable:
    """One append-only table, in all tenants' datasets. Rows are JSON values by column; readers treat two rows with the same `key` as
    one.
    """

    def __init__(
        self,
        bq: BigQuery,
        table: str,
        *,
        key: str,
        insert: Block,
        add_columns: Callable[[str], Awaitable[object]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`insert` takes the rows as its only parameter. `add_columns(dataset)` is called before rows that a stream has refused are
        inserted: the table may lack a newer column.
        """
        self._bq, self._table, self._key, self._insert_block, self._add_columns = bq, table, key, insert, add_columns
        [self._param] = insert.params
        self._clock = clock or SystemClock()
        self._is_old: TtlCache[str, bool] = TtlCache(seconds=AGE_KNOWN_SECONDS, size=KNOWN_DATASETS)
        self._refused: TtlCache[str, bool] = TtlCache(seconds=bq.stream_after_seconds, size=KNOWN_DATASETS)
        self._inserts: GroupCommits[str, Row, None] = GroupCommits(self._insert, before_flush=self._wait_for_budget)

    async def append(self, dataset: str, rows: Sequence[Row], *, is_new: bool = False) -> None:
        """Appends `rows` in `dataset` (`project.dataset`). Concurrent INSERTs into the same dataset share one statement.

        `is_new`: the caller has just created the table. Raises as `BigQuery.query` does, e.g. NotFound if there is no such table.
        """
        if is_new:
            self._is_old.put(dataset, value=False)
        if not self._refused.get_cached(dataset) and await self._is_old.get(dataset, self._look):
            try:
                # NULLs are left out: the table may lack the column.
                filled = [{name: value for name, value in row.items() if value is not None} for row in rows]
                await self._bq.stream(f"{dataset}.{self._table}", filled, [row[self._key] for row in rows])
            except (NotFound, RowsRefused) as refusal:
                self._refused.put(dataset, value=True)
                if self._add_columns and isinstance(refusal, RowsRefused):
                    await self._add_columns(dataset)
            else:
                return
        await self._inserts.submit_all(dataset, rows)

    async def _look(self, dataset: str) -> bool:
        """True if the table is old enough to stream to, by its metadata: no statement, no cost."""
        name = f"{dataset}.{self._table}"
        try:
            there = await self._bq.call("get_table", lambda left: self._bq.client.get_table(name, timeout=left, retry=NO_RETRY))
        except NotFound:
            return False  # if the table does not exist, the INSERT reports it
        return there.created is None or self._clock.now() - there.created >= timedelta(seconds=self._bq.stream_after_seconds)

    async def _wait_for_budget(self, dataset: str) -> None:
        await self._bq.wait_for_budget(self._insert_block, dataset=dataset)

    async def _insert(self, dataset: str, rows: Sequence[Row]) -> Sequence[Exception | None]:
        try:
            await self._bq.query(self._insert_block, {self._param: rows}, dataset=dataset)
        except BadRequest as error:
            # One bad row must not fail the rows beside it.
            return [error] if len(rows) == 1 else [(await self._insert(dataset, [row]))[0] for row in rows]
        return [None] * len(rows)
