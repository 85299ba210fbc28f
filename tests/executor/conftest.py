"""A tenant on the run's emulators: its own project with its own service account, and its dataset as credentials makes it."""

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.cloud import bigquery

from services.executor.keyed_locks import KeyedLocks
from services.executor.notify.notification import Notification
from services.executor.records import Run, RunOutcome, RunStatus
from services.executor.runs.active import ActiveRuns
from services.executor.runs.admission import Admission
from services.executor.runs.cancel import Canceller
from services.executor.runs.execute import RunProgress
from services.executor.runs.prepared import PreparedRun, RunPreparer
from services.executor.runs.quota import Reservation
from services.executor.runs.reconcile import Reconciler
from services.executor.runs.start import RunStarter
from services.executor.sources.gcp.bigquery import GcpBilling, GcpCredentials
from services.executor.sources.gcp.prices import GcpPrices
from services.executor.sources.gcp.source import GCP, GcpSource
from services.executor.sources.source import Source, SourceType
from services.executor.staging.tables import StagingTables
from services.executor.steps import STEP_TYPES
from services.executor.store import Store
from services.executor.templates.catalog import Catalog, load_catalog
from services.executor.templates.name import PipelineName
from services.executor.templates.parameters import to_json
from services.executor.templates.step import Toolbox
from services.executor.workers import Workers
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import load_tables
from services.platform.clock import SystemClock
from services.platform.errors import FailedPrecondition
from services.platform.settings import REPOSITORY, ServiceSettings
from tests.executor.room import Room

BILLING = PipelineName(provider="gcp", domain="cost", template="billing")


@dataclass(kw_only=True)
class RecordingLedger:
    """Auth's ledger as far as the executor is concerned: everybody gets a slot, and what happened is written down."""

    reserved: list[str] = field(default_factory=list)
    retries: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    orphans: list[Reservation] = field(default_factory=list)
    settled: list[tuple[str, str]] = field(default_factory=list)
    refusal: Exception | None = None

    async def reserve(self, tenant_id: str, pipeline_logging_id: str, *, is_retry: bool = False) -> Reservation:
        if self.refusal:
            raise self.refusal
        self.reserved.append(pipeline_logging_id)
        self.retries += [pipeline_logging_id] if is_retry else []
        return Reservation(tenant_id=tenant_id, pipeline_logging_id=pipeline_logging_id, usage_date=date(2025, 11, 18))

    async def renew(self, pipeline_logging_ids: list[str]) -> set[str]:
        return await self.held(pipeline_logging_ids)

    async def held(self, pipeline_logging_ids: list[str]) -> set[str]:
        return set(pipeline_logging_ids).intersection(self.reserved) - self.lost - {run for run, _ in self.settled}

    async def settle(self, slot: Reservation, outcome: str) -> None:
        self.settled.append((slot.pipeline_logging_id, str(outcome)))
        self.orphans = [one for one in self.orphans if one != slot]

    async def list_expired(self) -> list[Reservation]:
        return list(self.orphans)


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """A tenant, its own Google Cloud project, and its dataset."""

    tenant_id: str
    project: str
    cloud_credentials: GcpCredentials
    bq: BigQuery
    host: str

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        """What a query in the tenant's dataset answers, asked without our own code."""
        config = bigquery.QueryJobConfig(default_dataset=self.bq.tenant(self.tenant_id))
        return await self.bq.call("test", lambda _: [dict(row) for row in self.bq.client.query_and_wait(sql, job_config=config)])

    def job(self, catalog: Catalog, pipeline: PipelineName = BILLING, /, **parameters: object) -> PreparedRun:
        """A run that has not begun."""
        template = catalog.templates[pipeline]
        values = template.values_of(parameters, now=datetime(2025, 11, 18, tzinfo=UTC))
        now = datetime.now(UTC)
        run = Run(
            pipeline_logging_id=str(uuid.uuid4()),
            tenant_id=self.tenant_id,
            pipeline_id=pipeline.pipeline_id(self.tenant_id),
            user_id="alice",
            parameters=to_json(values),
            started_at=now,
            deadline_at=now + timedelta(seconds=template.timeout_seconds),
            claimed_by=str(uuid.uuid4()),
        )
        return PreparedRun(run=run, template=template, given=parameters, values=values, period=template.period_of(values))


class PlainCall:
    """A call without headers."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()


CALL: Any = PlainCall()


class OwnSource:
    """`sources.source.Sources` for one tenant, without KMS."""

    def __init__(self, tenant: Tenant, settings: ServiceSettings) -> None:
        self._tenant, self._settings = tenant, settings

    async def open(self, tenant_id: str, source_type: SourceType) -> Source:
        assert (tenant_id, source_type) == (self._tenant.tenant_id, GCP)
        return GcpSource(GcpBilling(self._tenant.cloud_credentials, self._settings), GcpPrices(query=6.25, storage_read=1.1))


class Unheard:
    """`templates.step.Notifications` for runs that have nothing to tell."""

    def accept(self, notification: Notification) -> bool:
        raise AssertionError("nobody has asked for a notification")


class Work:
    """What runs do in these tests: wait until they are told how to end."""

    def __init__(self) -> None:
        self.end = asyncio.Event()
        self.working = 0
        self.most = 0

    async def __call__(self, prepared: PreparedRun, progress: RunProgress) -> RunOutcome:
        self.working += 1
        self.most = max(self.most, self.working)
        try:
            await self.end.wait()
        finally:
            self.working -= 1
        return RunOutcome(status=RunStatus.COMPLETED, rows_processed=3)


class Credentials:
    """The credentials service: there are some, or not."""

    missing = False

    async def require(self, tenant_id: str, provider: str) -> None:
        if self.missing:
            raise FailedPrecondition("CREDENTIALS_MISSING", "Set the GCP credentials first.")


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
def configs(tmp_path: Path) -> Path:
    """A copy of what the executor reads."""
    for folder in ("bigquery", "gcp"):
        shutil.copytree(REPOSITORY / "configs" / folder, tmp_path / folder)
    return tmp_path


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    found = load_catalog(ServiceSettings().configs_dir, STEP_TYPES)
    assert found.broken == {}
    return found


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
    async with Workers(2) as workers:
        yield Toolbox(
            bq=tenant.bq,
            store=store,
            staging=StagingTables(tenant.bq, SystemClock()),
            sources=OwnSource(tenant, service_settings),
            notifier=Unheard(),
            workers=workers,
            clock=SystemClock(),
            spool_dir=tmp_path / "spool",
            publish_locks=KeyedLocks(),
        )


@pytest.fixture
def begin(tenant: Tenant, store: Store, catalog: Catalog) -> Callable[..., Awaitable[PreparedRun]]:
    """Writes the row of a run that is about to begin."""

    async def write(pipeline: PipelineName = BILLING, /, **parameters: object) -> PreparedRun:
        job = tenant.job(catalog, pipeline, **parameters)
        await store.insert_run(job.run, seconds=10)
        return job

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
    admission = Admission(store=store, quota=quota, reconciler=reconciler, clock=SystemClock(), lease_seconds=30.0)  # type: ignore[arg-type]
    return lambda active: RunStarter(preparer=preparer, credentials=credentials, admission=admission, active=active)  # type: ignore[arg-type]


@pytest.fixture
def starter(make_starter: Callable[[ActiveRuns], RunStarter], active: ActiveRuns) -> RunStarter:
    return make_starter(active)
