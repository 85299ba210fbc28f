"""Tenants' datasets: checks what exists and creates what is missing. Only datasets with our labels are ever changed."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Protocol

import grpc
import structlog
from convergence.auth.v1.location_service_pb2 import FixLocationRequest
from convergence.auth.v1.location_service_pb2_grpc import LocationServiceStub
from google.api_core import exceptions as google
from google.cloud import bigquery

from services.credentials.dataset_access import DatasetAccess
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import create_tables, load_tables
from services.platform.bigquery.errors import NotFound
from services.platform.bigquery.jobs import NO_RETRY
from services.platform.errors import FailedPrecondition, Internal, Unavailable

META_TABLES = ("x_meta_pipeline_runs", "x_meta_step_logs", "x_meta_dq_results")
"""The tables that every tenant's dataset has from the start. The executor creates the tables that its templates fill."""

LOOK_AGAIN_SECONDS = 0.5
LIST_PAGE = 1000
GRANT_TRIES = 3
LABEL_LENGTH = 63
"""BigQuery's limit for the value of a label; a tenant's id may be one character longer."""

_log = structlog.get_logger()


class DatasetStatus(StrEnum):
    """Whether the dataset was created now."""

    CREATED = "CREATED"
    ALREADY_EXISTS = "ALREADY_EXISTS"


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """What a tenant's dataset lacks."""

    dataset: bool
    tables: tuple[str, ...]
    """Missing ones of META_TABLES, in that order."""
    access: bool
    """True if an account lacks its rights in the dataset."""
    location: str | None = None
    """The dataset's location; None: there is no dataset."""

    @property
    def status(self) -> DatasetStatus:
        """The status to report, once everything has been created."""
        return DatasetStatus.CREATED if self.dataset else DatasetStatus.ALREADY_EXISTS


class DatasetFate(StrEnum):
    """What has become of an offboarded tenant's dataset."""

    KEPT = "KEPT"
    DELETED = "DELETED"
    ABSENT = "ABSENT"
    """There is none, or none of ours."""


class Locations(Protocol):
    """Where tenants' datasets are to be made."""

    async def fix(self, tenant_id: str) -> str:
        """The tenant's location, which no call changes afterwards. Raises NotFound, Unavailable."""
        ...


class AuthLocations:
    """A client of auth's LocationService."""

    def __init__(self, channel: grpc.aio.Channel, *, usual: str) -> None:
        """`usual`: the installation's location."""
        self._stub, self._usual = LocationServiceStub(channel), usual

    async def fix(self, tenant_id: str) -> str:
        """As in `Locations`."""
        try:
            answer = await self._stub.FixLocation(FixLocationRequest(tenant_id=tenant_id))
        except Internal as error:
            cause = error.__cause__
            if isinstance(cause, grpc.aio.AioRpcError) and cause.code() is grpc.StatusCode.UNIMPLEMENTED:
                return self._usual  # an auth of the release before, during an upgrade: no tenant of its has another one
            raise
        return str(answer.location)


class TenantDatasets:
    """Checks and completes tenants' datasets. All methods raise Unavailable if BigQuery does not answer in time."""

    def __init__(self, bq: BigQuery, *, locations: Locations, ddl: Path, access: DatasetAccess) -> None:
        """`ddl`: the folder with the tables' DDL. Raises KeyError if one of META_TABLES has no DDL."""
        self._bq = bq
        self._locations, self._access = locations, access
        tables = load_tables(ddl)
        self._tables = {name: tables[name] for name in META_TABLES}

    async def look(self, tenant_id: str) -> Missing:
        """What is missing, by metadata calls only. Raises FailedPrecondition for a dataset whose labels are not this tenant's."""
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
            location=there.location,
        )

    async def location(self, tenant_id: str, missing: Missing) -> str:
        """Where the dataset is, or has to be made; then no call changes that any more. Raises NotFound for an unknown tenant."""
        return missing.location or await self._locations.fix(tenant_id)

    async def make(self, tenant_id: str, missing: Missing, *, location: str) -> None:
        """Creates what is missing: the dataset, in `location`, and its rights by metadata calls, all tables in one job. A replay, or a
        concurrent process, changes nothing. Raises FailedPrecondition if another owner has created a dataset of this name meanwhile.
        """
        name = self._bq.tenant(tenant_id)
        if missing.dataset:
            dataset = bigquery.Dataset(name)
            dataset.location = location
            dataset.labels = _labels(tenant_id)
            there = await self._bq.call(
                "create_dataset",
                lambda left: self._bq.client.create_dataset(dataset, exists_ok=True, timeout=left, retry=NO_RETRY),
            )
            _check_labels(await self._labelled(there), tenant_id)
            self._bq.locations.put(name, there.location)
        if missing.access:
            await self._grant(name)
        if missing.tables:
            script = create_tables("create_meta_tables", [self._tables[table] for table in missing.tables])
            await self._bq.query(script, {}, dataset=name)

    async def is_there(self, tenant_id: str) -> bool:
        """True if the tenant has a dataset. Raises FailedPrecondition for a dataset of its name whose labels are not this tenant's."""
        try:
            there = await self._get(self._bq.tenant(tenant_id))
        except NotFound:
            return False
        _check_labels(await self._labelled(there), tenant_id)
        return True

    async def drop(self, tenant_id: str) -> bool:
        """Deletes the tenant's dataset with all its tables; False if there is none. Raises as `is_there` does; nothing is deleted then."""
        if not await self.is_there(tenant_id):
            return False
        name = self._bq.tenant(tenant_id)
        await self._bq.call(
            "delete_dataset",
            lambda left: self._bq.client.delete_dataset(name, delete_contents=True, not_found_ok=True, timeout=left, retry=NO_RETRY),
        )
        return True

    async def _grant(self, name: str) -> None:
        """Adds missing rights to the existing ones, the creator's among them. BigQuery replaces the whole list, so it is read anew and sent
        with its etag.
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
                continue  # changed meanwhile by another writer
            except google.Forbidden:
                # For an older dataset created by another account: the project may grant what is missing.
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
        """The dataset; read again if it has no labels, because the emulator shows a dataset that is being created before its labels."""
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
            f"There is a dataset {tenant_id} that Convergence did not make for this tenant. Copy or remove it; nothing was done.",
            metadata={"tenant_id": tenant_id},
        )
