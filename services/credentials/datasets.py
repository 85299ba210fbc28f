"""The tenant's own dataset: what is there, and making what is not. Only datasets that carry our labels are ever touched."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from google.cloud import bigquery

from services.platform.bigquery import NO_RETRY, BigQuery, NotFound
from services.platform.ddl import create_tables, load_tables
from services.platform.errors import FailedPrecondition

META_TABLES = ("x_meta_pipeline_runs", "x_meta_step_logs", "x_meta_dq_results")
"""What every tenant's dataset holds from the start. The executor makes the tables that its templates fill."""

LOOK_AGAIN_SECONDS = 0.5
LIST_PAGE = 1000
LABEL_LENGTH = 63
"""BigQuery's limit for a label's value; a tenant's id may have one character more."""


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

    @property
    def status(self) -> DatasetStatus:
        """What a caller hears of the dataset, once all of this has been made."""
        return DatasetStatus.CREATED if self.dataset else DatasetStatus.ALREADY_EXISTS


class TenantDatasets:
    """Looks at tenants' datasets and completes them. All methods raise Unavailable if BigQuery does not answer in time."""

    def __init__(self, bq: BigQuery, *, location: str, ddl: Path) -> None:
        """`ddl` is the folder with the tables' DDL. Raises KeyError if one of META_TABLES is not there."""
        self._bq = bq
        self._location = location
        tables = load_tables(ddl)
        self._tables = {name: tables[name] for name in META_TABLES}

    async def look(self, tenant_id: str) -> Missing:
        """What is missing, by metadata calls only. Raises FailedPrecondition for a dataset that is not this tenant's by its labels."""
        name = self._bq.tenant(tenant_id)
        try:
            there = await self._bq.call("get_dataset", lambda left: self._bq.client.get_dataset(name, timeout=left, retry=NO_RETRY))
        except NotFound:
            return Missing(dataset=True, tables=META_TABLES)
        _check_labels(await self._labelled(there), tenant_id)
        tables = await self._bq.call(
            "list_tables",
            lambda left: {table.table_id for table in self._bq.client.list_tables(name, page_size=LIST_PAGE, timeout=left, retry=NO_RETRY)},
        )
        return Missing(dataset=False, tables=tuple(table for table in META_TABLES if table not in tables))

    async def make(self, tenant_id: str, missing: Missing) -> None:
        """Makes what is missing: the dataset by a metadata call, all tables in one job. Replayed, or raced by another process, it changes
        nothing. Raises FailedPrecondition if somebody else has made a dataset of this name meanwhile.
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
        if missing.tables:
            script = create_tables("create_meta_tables", [self._tables[table] for table in missing.tables])
            await self._bq.query(script, {}, dataset=name)

    async def _labelled(self, dataset: bigquery.Dataset) -> bigquery.Dataset:
        """The dataset; looked at again if it has no label at all. The emulator shows one that is just being made before its labels."""
        if dataset.labels:
            return dataset
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
        again: bigquery.Dataset = await self._bq.call(
            "get_dataset", lambda left: self._bq.client.get_dataset(dataset.reference, timeout=left, retry=NO_RETRY)
        )
        return again


def _labels(tenant_id: str) -> dict[str, str]:
    return {"managed-by": "convergence", "tenant": tenant_id[:LABEL_LENGTH]}


def _check_labels(dataset: bigquery.Dataset, tenant_id: str) -> None:
    if not _labels(tenant_id).items() <= dataset.labels.items():
        raise FailedPrecondition(
            "DATASET_NOT_OURS",
            f"There is a dataset {tenant_id} that Convergence did not make for this tenant. Rename or remove it; nothing was stored.",
            metadata={"tenant_id": tenant_id},
        )
