"""A tenant on the run's emulators: its own project with its own service account, and its dataset as credentials makes it."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from services.clouds.gcp.identity import GcpCredentials
from services.executor.keyed_locks import KeyedLocks
from services.executor.runs.active import ActiveRuns
from services.executor.runs.admission import Admission
from services.executor.runs.cancel import Canceller
from services.executor.runs.prepared import PreparedRun, RunPreparer
from services.executor.runs.reconcile import Reconciler
from services.executor.runs.start import RunStarter
from services.executor.sources.spool import SpoolRoom
from services.executor.staging.tables import StagingTables
from services.executor.store import Store
from services.executor.templates.catalog import Catalog
from services.executor.templates.name import PipelineName
from services.executor.templates.step import Toolbox
from services.executor.workers import Workers
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import load_tables
from services.platform.clock import SystemClock
from services.platform.settings import ServiceSettings
from tests.support.executor.fakes import Credentials, OwnSource, RecordingLedger, Unheard, Work
from tests.support.executor.room import Room
from tests.support.executor.templates import catalog, configs
from tests.support.executor.tenant import BILLING, Tenant

__all__ = ["catalog", "configs"]


@pytest.fixture(scope="session")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


@pytest.fixture(scope="session")
def project() -> str:
    """The tenants' own project. One for all tests of a worker, emptied for each: every project slows all statements of the emulator."""
    return f"p-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
async def room(bq: BigQuery, service_settings: ServiceSettings, project: str) -> AsyncIterator[Room]:
    tables = load_tables(service_settings.configs_dir / "bigquery" / "tenant").values()
    room = Room(bq, [table for table in tables if table.name.startswith("x_meta")], project=project)
    yield room
    await room.close()


@pytest.fixture
async def tenant(room: Room, bq: BigQuery, service_settings: ServiceSettings, project: str, private_key: str) -> Tenant:
    """A tenant whose dataset and project are as new."""
    account = {"type": "service_account", "client_email": f"reader@{project}.iam.gserviceaccount.com", "private_key": private_key}
    assert service_settings.bigquery_emulator_host
    return Tenant(
        tenant_id=await room.emptied(),
        project=project,
        cloud_credentials=GcpCredentials(project_id=project, service_account=account),
        bq=bq,
        host=service_settings.bigquery_emulator_host,
    )


@pytest.fixture
def store(bq: BigQuery, service_settings: ServiceSettings) -> Store:
    return Store(bq, ddl=service_settings.configs_dir / "bigquery" / "tenant")


@pytest.fixture
async def tools(tenant: Tenant, store: Store, service_settings: ServiceSettings, tmp_path: Path) -> AsyncIterator[Toolbox]:
    staging = StagingTables(tenant.bq, SystemClock())
    async with Workers(2) as workers:
        yield Toolbox(
            bq=tenant.bq,
            store=store,
            staging=staging,
            sources=OwnSource(tenant, service_settings),
            notifier=Unheard(),
            workers=workers,
            clock=SystemClock(),
            spool=SpoolRoom(tmp_path / "spool"),
            publish_locks=KeyedLocks(),
        )
    await staging.dropped()


@pytest.fixture
def begin_whole(tenant: Tenant, store: Store, catalog: Catalog) -> Callable[..., Awaitable[PreparedRun]]:
    """Writes the row of a run that is about to begin."""

    async def write(pipeline: PipelineName = BILLING, /, **parameters: object) -> PreparedRun:
        job = tenant.job(catalog, pipeline, **parameters)
        await store.insert_run(job.run, seconds=10)
        return job

    return write


@pytest.fixture
def begin(begin_whole: Callable[..., Awaitable[PreparedRun]]) -> Callable[..., Awaitable[PreparedRun]]:
    """As begin_whole, without the steps that the template includes from another one: FOCUS takes longer than all the others."""

    async def write(pipeline: PipelineName = BILLING, /, **parameters: object) -> PreparedRun:
        job = await begin_whole(pipeline, **parameters)
        own = tuple(step for step in job.template.steps if not step.is_included)
        return replace(job, template=replace(job.template, steps=own))

    return write


@pytest.fixture
def quota() -> RecordingLedger:
    return RecordingLedger()


@pytest.fixture
async def work() -> Work:
    return Work()


@pytest.fixture
async def active(work: Work, store: Store, quota: RecordingLedger) -> AsyncIterator[ActiveRuns]:
    runs = ActiveRuns(execute=work, store=store, quota=quota, clock=SystemClock(), max_concurrent=2, grace_seconds=5.0)  # type: ignore[arg-type]
    async with runs:
        yield runs
        work.end.set()


@pytest.fixture
def credentials() -> Credentials:
    return Credentials()


@pytest.fixture
def reconciler(store: Store, quota: RecordingLedger) -> Reconciler:
    return Reconciler(store, quota, SystemClock())  # type: ignore[arg-type]


@pytest.fixture
def canceller(active: ActiveRuns, store: Store, quota: RecordingLedger) -> Canceller:
    return Canceller(store=store, quota=quota, active=active, clock=SystemClock())  # type: ignore[arg-type]


@pytest.fixture
def preparer(catalog: Catalog) -> RunPreparer:
    return RunPreparer(catalog, SystemClock())


@pytest.fixture
def make_starter(
    preparer: RunPreparer, credentials: Credentials, quota: RecordingLedger, store: Store, reconciler: Reconciler
) -> Callable[[ActiveRuns], RunStarter]:
    """The way in of one executor process; several share the ledger and the store."""
    parts: Any = {"quota": quota, "credentials": credentials}
    admission = Admission(store=store, reconciler=reconciler, clock=SystemClock(), lease_seconds=30.0, **parts)
    return lambda active: RunStarter(preparer=preparer, admission=admission, active=active)


@pytest.fixture
def starter(make_starter: Callable[[ActiveRuns], RunStarter], active: ActiveRuns) -> RunStarter:
    return make_starter(active)
