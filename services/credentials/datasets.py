"""The tenant's own dataset: what is there, and making what is not. Only datasets that carry our labels are ever touched."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import structlog
from google.api_core import exceptions as google
from google.cloud import bigquery

from services.credentials.dataset_access import DatasetAccess
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import create_tables, load_tables
from services.platform.bigquery.errors import NotFound
from services.platform.bigquery.jobs import NO_RETRY
from services.platform.errors import FailedPrecondition, Unavailable

META_TABLES = ("x_meta_pipeline_runs", "x_meta_step_logs", "x_meta_dq_results")
"""What every tenant's dataset holds from the start. The executor makes the tables that its templates fill."""

LOOK_AGAIN_SECONDS = 0.5
LIST_PAGE = 1000
GRANT_TRIES = 3
LABEL_LENGTH = 63
"""BigQuery's limit for a label's value; a tenant's id may have one character more."""

_log = structlog.get_logger()


class DatasetStatus(StrEnum):
    """Whether the dataset was made now."""

    CREATED = "CREATED"
    ALREADY_EXISTS = "ALREADY_EXISTS"


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """What a tenant's dataset lacks."""

    dataset: bool
    tables: tuple[str, ...]
    """Of META_TABLES, in that order."""
    access: bool
    """Some account has not the rights that it is to have there."""

    @property
    def status(self) -> DatasetStatus:
        """What a caller hears of the dataset, once all of this has been made."""
        return DatasetStatus.CREATED if self.dataset else DatasetStatus.ALREADY_EXISTS


class TenantDatasets:
    """Looks at tenants' datasets and completes them. All methods raise Unavailable if BigQuery does not answer in time."""

    def __init__(self, bq: BigQuery, *, location: str, ddl: Path, access: DatasetAccess) -> None:
        """`ddl` is the folder with the tables' DDL. Raises KeyError if one of META_TABLES is not there."""
        self._bq = bq
        self._location = location
        self._access = access
        tables = load_tables(ddl)
        self._tables = {name: tables[name] for name in META_TABLES}

    async def look(self, tenant_id: str) -> Missing:
        """What is missing, by metadata calls only. Raises FailedPrecondition for a dataset that is not this tenant's by its labels."""
        name = self._bq.tenant(tenant_id)
        try:
            there = await self._get(name)
        except NotFound:
            return Missing(dataset=True, tables=META_TABLES, access=True)
        _check_labels(await self._labelled(there), tenant_id)
        tables = await self._bq.call(
            "list_tables",
            lambda left: {table.table_id for table in self._bq.client.list_tables(name, page_size=LIST_PAGE, timeout=left, retry=NO_RETRY)},
        )
        return Missing(
            dataset=False,
            tables=tuple(table for table in META_TABLES if table not in tables),
            access=bool(self._access.lacking(there.access_entries)),
        )

    async def make(self, tenant_id: str, missing: Missing) -> None:
        """Makes what is missing: the dataset and rights in it by metadata calls, all tables in one job. Replayed, or raced by another
        process, it changes nothing. Raises FailedPrecondition if somebody else has made a dataset of this name meanwhile.
        """
        name = self._bq.tenant(tenant_id)
        if missing.dataset:
            dataset = bigquery.Dataset(name)
            dataset.location = self._location
            dataset.labels = _labels(tenant_id)
            there = await self._bq.call(
                "create_dataset",
                lambda left: self._bq.client.create_dataset(dataset, exists_ok=True, timeout=left, retry=NO_RETRY),
            )
            _check_labels(await self._labelled(there), tenant_id)
        if missing.access:
            await self._grant(name)
        if missing.tables:
            script = create_tables("create_meta_tables", [self._tables[table] for table in missing.tables])
            await self._bq.query(script, {}, dataset=name)

    async def _grant(self, name: str) -> None:
        """Adds the rights that are lacking to the ones that are there, the creator's among them: BigQuery takes the list as a whole, so it
        is read anew and sent with its etag.
        """
        for _ in range(GRANT_TRIES):
            dataset = await self._get(name)
            lacking = self._access.lacking(dataset.access_entries)
            if not lacking:
                return
            dataset.access_entries = [*dataset.access_entries, *lacking]
            try:
                await self._bq.call("grant_access", partial(self._update_access, dataset))
            except google.PreconditionFailed:
                continue  # somebody has changed it meanwhile
            except google.Forbidden:
                # Of an older dataset, which another account made: what is lacking may come from the project.
                accounts = [str(entry.entity_id) for entry in lacking]
                _log.error("dataset_access_not_granted", dataset=name, accounts=accounts, next="Make this service's account its OWNER.")
                return
            return
        raise Unavailable("BIGQUERY_UNAVAILABLE", "Others are changing this tenant's dataset right now. Try again in a moment.")

    def _update_access(self, dataset: bigquery.Dataset, left: float) -> None:
        self._bq.client.update_dataset(dataset, ["access_entries"], timeout=left, retry=NO_RETRY)

    async def _get(self, name: bigquery.DatasetReference | str) -> bigquery.Dataset:
        there: bigquery.Dataset = await self._bq.call(
            "get_dataset", lambda left: self._bq.client.get_dataset(name, timeout=left, retry=NO_RETRY)
        )
        return there

    async def _labelled(self, dataset: bigquery.Dataset) -> bigquery.Dataset:
        """The dataset; looked at again if it has no label at all. The emulator shows one that is just being made before its labels."""
        if dataset.labels:
            return dataset
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return await self._get(dataset.reference)


def _labels(tenant_id: str) -> dict[str, str]:
    return {"managed-by": "convergence", "tenant": tenant_id[:LABEL_LENGTH]}


def _check_labels(dataset: bigquery.Dataset, tenant_id: str) -> None:
    if not _labels(tenant_id).items() <= dataset.labels.items():
        raise FailedPrecondition(
            "DATASET_NOT_OURS",
            f"There is a dataset {tenant_id} that Convergence did not make for this tenant. Rename or remove it; nothing was stored.",
            metadata={"tenant_id": tenant_id},
        )
