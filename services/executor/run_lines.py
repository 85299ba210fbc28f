"""Writes the lines of runs, step logs and verdicts: to their watchers at once, to the tables in the background.

No step waits until its lines are written. Each run has a queue for each of the two tables, which sends what has gathered in one call.
Before a run's end becomes visible, its lines are flushed: a reader that finds a run ended finds its lines, too, except for those of a
step that ends with the run. If the process dies, at most the lines of its last moments are lost, which had not been sent; what such a line
says has happened all the same, and the run's row is what counts.
"""

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Self

import structlog

from services.executor.led_runs import LedRuns
from services.executor.line_queue import LineQueue, Row
from services.executor.records import DqResult, StepLog
from services.executor.tenant_queries import TenantQueries
from services.platform.bigquery.append import AppendOnlyTable
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import Block

CLOSING_SECONDS = 2.0
"""For the lines that are left when the process stops."""

type _Key = tuple[str, str]

_log = structlog.get_logger()


class RunLines:
    """The lines of all runs. Leaving the context writes what is left."""

    def __init__(self, bq: BigQuery, tenants: TenantQueries, led_runs: LedRuns, *, step_logs: Block, dq_results: Block) -> None:
        """`step_logs`, `dq_results`: the INSERTs for tables that cannot be streamed to."""
        self._bq, self._tenants, self._led_runs = bq, tenants, led_runs
        self._step_logs = self._append_only("x_meta_step_logs", key="log_id", insert=step_logs)
        self._dq_results = self._append_only("x_meta_dq_results", key="dq_result_id", insert=dq_results)
        self._queues = dict[AppendOnlyTable, dict[_Key, LineQueue]]()

    def log_steps(self, tenant_id: str, logs: Sequence[StepLog]) -> None:
        """Queues step logs; returns at once. Readers fold rows with the same log_id."""
        logs = self._led_runs.stamped(logs)
        rows = [{**_json_row(log), "metadata": json.dumps(_storable(log.metadata), sort_keys=True)} for log in logs]
        # As readers of the table see it: its JSON holds no NaN and no type that a Struct lacks.
        self._led_runs.add([replace(log, metadata=json.loads(row["metadata"])) for log, row in zip(logs, rows, strict=True)])
        self._put(self._step_logs, tenant_id, rows)

    def record_verdicts(self, tenant_id: str, results: Sequence[DqResult]) -> None:
        """Queues verdicts; returns at once. Readers fold rows with the same dq_result_id."""
        results = self._led_runs.stamped(results)
        rows = [{**_json_row(one), "sample_rows": json.dumps(one.sample_rows) if one.sample_rows else None} for one in results]
        self._led_runs.add(
            [replace(one, sample_rows=json.loads(row["sample_rows"] or "[]")) for one, row in zip(results, rows, strict=True)]
        )
        self._put(self._dq_results, tenant_id, rows)

    async def flushed(self, tenant_id: str, run: str) -> None:
        """Returns when all lines of the run so far are written, or lost: BigQuery has not taken them for as long as a statement may take.
        Without any, at once. Never raises because of lines.
        """
        await asyncio.gather(*(queues[tenant_id, run].flushed() for queues in self._queues.values() if (tenant_id, run) in queues))

    def _put(self, table: AppendOnlyTable, tenant_id: str, rows: Sequence[Row]) -> None:
        queues = self._queues.setdefault(table, {})
        for run in dict.fromkeys(row["pipeline_logging_id"] for row in rows):
            key = tenant_id, run
            if key not in queues:
                queues[key] = LineQueue(partial(table.append, self._bq.tenant(tenant_id)), ended=partial(queues.pop, key))
            queues[key].put([row for row in rows if row["pipeline_logging_id"] == run])

    def _append_only(self, table: str, *, key: str, insert: Block) -> AppendOnlyTable:
        """A log table. If it lacks a column of its DDL, the column is added before a refused row is inserted."""

        async def add_columns(dataset: str) -> None:
            await self._tenants.ensure(dataset.rpartition(".")[2], table)

        return AppendOnlyTable(self._bq, table, key=key, insert=insert, add_columns=add_columns)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        left = [queue.flushed() for queues in self._queues.values() for queue in queues.values()]
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                await asyncio.gather(*left)
        except TimeoutError:
            _log.warning("step_log_lost", queues=len(left), error="the process stops")


def _json_row(row: StepLog | DqResult) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(row).items()}


def _storable(value: Any) -> Any:
    """A JSON value that BigQuery takes: texts for NaN and the infinities, which JSON lacks, and no halves of surrogate pairs."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case str():
            return value.encode(errors="replace").decode()
        case Mapping():
            return {_storable(key): _storable(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_storable(inner) for inner in value]
        case _:
            return value
