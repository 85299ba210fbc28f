"""Deletes old records once a day, whichever executor comes first: a job's id names the dataset, what is deleted and the day, and BigQuery
accepts an id once. So ten executors cost as much as one, and no table has to say what was done.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from google.api_core import exceptions as google
from google.cloud import bigquery

from services.platform import metrics
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.errors import NotFound
from services.platform.bigquery.jobs import NO_RETRY, end_by_itself
from services.platform.bigquery.query_parameters import to_parameter
from services.platform.bigquery.sql import Block, load_blocks
from services.platform.clock import Clock
from services.platform.periodic import Periodic
from services.platform.settings import FOR_EVER

BLOCKS = load_blocks(Path(__file__).with_name("queries.sql"))
LOGS, RECORDS = ("delete_old_step_logs",), ("delete_old_dq_results", "delete_old_fences", "delete_old_runs")
EVERY_SECONDS = 24 * 3600.0
AT_ONCE = 4
JOB_SECONDS = 600.0

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Dataset:
    name: str
    """`project.dataset`."""
    location: str


class OldRecords:
    """Of all tenants, also of those that run nothing any more, and of offboarded ones whose dataset was kept."""

    def __init__(self, bq: BigQuery, clock: Clock, *, project: str, run_days: int, step_log_days: int) -> None:
        """`project`: that of the datasets. Days may be FOR_EVER; step logs are kept no longer than their runs."""
        self._bq, self._clock, self._project = bq, clock, project
        self._days = dict.fromkeys(RECORDS, run_days) | dict.fromkeys(LOGS, step_log_days or run_days)

    @property
    def is_on(self) -> bool:
        """False: everything is kept for ever."""
        return any(days != FOR_EVER for days in self._days.values())

    async def delete(self) -> int:
        """Begins what is due today; returns the number of jobs that this process has begun. Raises Unavailable: the rest is done tomorrow,
        or by another executor.
        """
        slots, now = asyncio.Semaphore(AT_ONCE), self._clock.now()

        async def begin(dataset: _Dataset) -> int:
            async with slots:
                return sum([await self._begin(dataset, BLOCKS[name], now, days) for name, days in self._days.items() if days != FOR_EVER])

        begun = sum(await asyncio.gather(*(begin(dataset) for dataset in await self._datasets())))
        _log.info("old_records_deleted", jobs=begun)
        return begun

    async def _datasets(self) -> Sequence[_Dataset]:
        def send(left: float) -> list[_Dataset]:
            found = self._bq.client.list_datasets(self._project, filter="labels.managed-by:convergence", timeout=left, retry=NO_RETRY)
            return [
                _Dataset(
                    name=f"{one.project}.{one.dataset_id}",
                    location=one._properties["location"],  # noqa: SLF001 - which has no public property
                )
                for one in found
                if "tenant" in one.labels
            ]

        return await self._bq.call("list_datasets", send)

    async def _begin(self, dataset: _Dataset, block: Block, now: datetime, days: int) -> bool:
        """False: another process has begun it today. A job whose table does not exist yet fails, which changes nothing."""
        config = bigquery.QueryJobConfig(
            default_dataset=dataset.name,
            query_parameters=[to_parameter("before", block.params["before"], now - timedelta(days=days))],
            labels={"service": "executor", "managed-by": "convergence", "statement": block.name},
        )
        end_by_itself(config, JOB_SECONDS)
        job_id = f"{block.name}_{dataset.name.rpartition('.')[2]}_{now:%Y%m%d}"

        def send(left: float) -> bool:
            try:
                self._bq.client.query(
                    block.sql, job_config=config, job_id=job_id, location=dataset.location, timeout=left, retry=NO_RETRY, job_retry=NO_RETRY
                )
            except (google.Conflict, NotFound):
                return False
            metrics.BIGQUERY_JOBS.labels(block.name).inc()
            return True

        return await self._bq.call(block.name, send, written=[f"{dataset.name}.{table}" for table in block.written])


def retention(records: OldRecords) -> Periodic:
    """While its context is open: at once, and once a day. Nothing if everything is kept for ever."""

    async def delete() -> None:
        if records.is_on:
            await records.delete()

    return Periodic("old_records", (delete, EVERY_SECONDS))
