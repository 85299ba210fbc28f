"""Exports a dataset by extract jobs, which cost nothing. Every call goes on where the one before has stopped: each job has an id that
follows from what it does, so it is found again, and runs once.
"""

import asyncio
import itertools
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

import structlog
from google.api_core import exceptions as google
from google.cloud import bigquery

from services.credentials.datasets import TenantDatasets
from services.credentials.exports.plan import Exported, Table, exported, is_exported, job_id, uri_of
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.jobs import NO_RETRY
from services.platform.bigquery.transient import is_transient
from services.platform.errors import FailedPrecondition, Unavailable

WAIT_SECONDS: Final = 12.0
"""How long one call waits for jobs. The scheduler waits for the call's answer for 25 s at most."""
LOOK_SECONDS: Final = 1.0
AGAIN: Final = timedelta(seconds=15)
SETTLING_AGAIN: Final = timedelta(minutes=10)
"""BigQuery moves streamed rows into the table within 90 minutes, usually in much less."""
DONE: Final = "DONE"
LABELS: Final = {"service": "credentials", "managed-by": "convergence", "statement": "export_table"}

_log = structlog.get_logger()


class DatasetExports:
    """ExportTenantData. Raises Unavailable if BigQuery does not answer, or if not all is exported yet: what is done stays done."""

    def __init__(self, bq: BigQuery, datasets: TenantDatasets, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._bq, self._datasets, self._wait_seconds = bq, datasets, wait_seconds

    async def export(self, tenant_id: str, prefix: str) -> list[Exported]:
        """Writes each table to files below `prefix` (`gs://bucket/folder`), as lines of JSON, compressed; returns which. Nothing, if the
        tenant has no dataset. Nothing may write to it any more. Raises FailedPrecondition: DATASET_NOT_OURS; EXPORT_REFUSED if BigQuery may
        not write there.
        """
        if not await self._datasets.is_there(tenant_id):
            return []
        until, dataset = time.monotonic() + self._wait_seconds, self._bq.tenant(tenant_id)
        location = await self._bq.locations.of(dataset)
        tables = await self._tables(dataset)
        if settling := [table.name for table in tables if table.is_settling]:
            raise Unavailable(
                "SERVICE_UNAVAILABLE",
                f"Rows of {', '.join(settling)} were written a short time ago, and BigQuery cannot export them yet. Repeat the call in some"
                " minutes; after 90 at most it can.",
                retry_after=SETTLING_AGAIN,
            )
        jobs = await asyncio.gather(*(self._job(dataset, table, prefix, location) for table in tables))
        while any(job.state != DONE for job in jobs) and time.monotonic() < until:
            await asyncio.sleep(LOOK_SECONDS)
            jobs = await asyncio.gather(*(self._look(job, location) for job in jobs))
        judge(jobs, tables)
        _log.info("dataset_exported", tenant_id=tenant_id, tables=len(tables))
        return exported(prefix, tables)

    async def _tables(self, dataset: str) -> list[Table]:
        listed = await self._bq.call(
            "list_tables", lambda left: list(self._bq.client.list_tables(dataset, timeout=left, retry=NO_RETRY, page_size=1000))
        )
        names = sorted(one.table_id for one in listed if is_exported(one.table_id, one.table_type))
        return list(await asyncio.gather(*(self._table(dataset, name) for name in names)))

    async def _table(self, dataset: str, name: str) -> Table:
        get = partial(self._bq.client.get_table, f"{dataset}.{name}", retry=NO_RETRY)
        there = await self._bq.call("get_table", lambda left: get(timeout=left))
        return Table(name=name, rows=int(there.num_rows or 0), modified=there.modified, is_settling=there.streaming_buffer is not None)

    async def _job(self, dataset: str, table: Table, prefix: str, location: str) -> Any:
        """The table's job: the one that runs or has ended well, else a new one."""
        uri = uri_of(prefix, table)
        for number in itertools.count(1):
            identity = job_id(dataset, uri, number)
            job = await self._find(identity, location)
            if job is None:
                return await self._begin(identity, f"{dataset}.{table.name}", uri, location)
            if job.state != DONE or not job.error_result:
                return job
        raise AssertionError("the count never ends")

    async def _begin(self, identity: str, source: str, uri: str, location: str) -> Any:
        config = bigquery.ExtractJobConfig(  # type: ignore[no-untyped-call]
            destination_format=bigquery.DestinationFormat.NEWLINE_DELIMITED_JSON, compression=bigquery.Compression.GZIP, labels=LABELS
        )
        begin = partial(self._bq.client.extract_table, source, uri, job_id=identity, location=location, job_config=config, retry=NO_RETRY)
        try:
            return await self._bq.call("export_table", lambda left: begin(timeout=left))
        except google.Conflict:
            # Begun by this call, whose answer was lost, or by another one at the same moment.
            if (job := await self._find(identity, location)) is not None:
                return job
            raise Unavailable("BIGQUERY_UNAVAILABLE", "BigQuery does not show a job yet. Repeat the call.", retry_after=AGAIN) from None

    async def _find(self, identity: str, location: str) -> Any:
        find = partial(self._bq.client.get_job, identity, location=location, retry=NO_RETRY)
        try:
            return await self._bq.call("get_job", lambda left: find(timeout=left))
        except google.NotFound:
            return None

    async def _look(self, job: Any, location: str) -> Any:
        return job if job.state == DONE else await self._find(job.job_id, location) or job


def judge(jobs: Sequence[Any], tables: Sequence[Table]) -> None:
    """Raises Unavailable unless all jobs have ended well; FailedPrecondition if one has ended with an error that would come again."""
    for job, table in zip(jobs, tables, strict=True):
        if job.state == DONE and job.error_result and (error := job.exception()) is not None and not is_transient(error):
            raise FailedPrecondition(
                "EXPORT_REFUSED",
                f"BigQuery does not export {table.name} to {', '.join(job.destination_uris)}: {job.error_result.get('message', '')} The"
                " bucket must be where the dataset is, and the credentials service's account must be allowed to write objects in it.",
            )
    done = sum(job.state == DONE and not job.error_result for job in jobs)
    if done < len(jobs):
        raise Unavailable(
            "SERVICE_UNAVAILABLE",
            f"{done} of {len(jobs)} tables are exported, the others are under way. Repeat the call to complete it.",
            retry_after=AGAIN,
        )
