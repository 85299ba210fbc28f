"""What stands for the rest of the suite where the executor is tested."""

import asyncio
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from services.executor.metering.cap import RunAllowance
from services.executor.metering.meter import StepMeter
from services.executor.notify.notification import Notification
from services.executor.records import Run, RunCost, RunOutcome, RunStatus
from services.executor.runs.prepared import PreparedRun
from services.executor.runs.progress import RunProgress
from services.executor.runs.quota import Reservation
from services.executor.sources.gcp.bigquery import GcpBilling
from services.executor.sources.gcp.prices import GcpMeter, GcpPrices
from services.executor.sources.gcp.source import GCP, GcpSource
from services.executor.sources.source import Source, SourceType
from services.platform.errors import FailedPrecondition, Unavailable
from services.platform.settings import ServiceSettings
from tests.support.executor.tenant import Tenant


@dataclass(kw_only=True)
class RecordingLedger:
    """Auth's ledger as far as the executor is concerned: everybody gets a slot, and what happened is written down."""

    reserved: list[str] = field(default_factory=list)
    retries: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    orphans: list[Reservation] = field(default_factory=list)
    settled: list[tuple[str, str]] = field(default_factory=list)
    renewed: list[list[str]] = field(default_factory=list)
    is_away: bool = False
    costs: list[tuple[str, RunCost]] = field(default_factory=list)
    month_left_usd: float | None = None
    max_export_bytes: int | None = None
    refusal: Exception | None = None

    async def reserve(self, run: Run) -> Reservation:
        if self.refusal:
            raise self.refusal
        self.reserved.append(run.pipeline_logging_id)
        self.retries += [run.pipeline_logging_id] if run.attempt > 1 else []
        return Reservation(
            tenant_id=run.tenant_id,
            pipeline_logging_id=run.pipeline_logging_id,
            usage_date=date(2025, 11, 18),
            allowance=RunAllowance(month_left_usd=self.month_left_usd, max_export_bytes=self.max_export_bytes),
        )

    async def renew(self, pipeline_logging_ids: list[str]) -> set[str]:
        if self.is_away:
            raise Unavailable("SERVICE_UNAVAILABLE", "auth does not answer")
        self.renewed.append(sorted(pipeline_logging_ids))
        return await self.held(pipeline_logging_ids)

    async def held(self, pipeline_logging_ids: list[str]) -> set[str]:
        return set(pipeline_logging_ids).intersection(self.reserved) - self.lost - {run for run, _ in self.settled}

    async def settle(self, slot: Reservation, outcome: str, cost: RunCost | None = None, *, only_if_expired: bool = False) -> None:
        self.settled.append((slot.pipeline_logging_id, str(outcome)))
        self.costs += [(slot.pipeline_logging_id, cost)] if cost else []
        self.orphans = [one for one in self.orphans if one != slot]

    async def list_expired(self) -> list[Reservation]:
        return list(self.orphans)


class PlainCall:
    """A call without headers."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()


CALL: Any = PlainCall()


class OwnSource:
    """`sources.source.Sources` for one tenant, without KMS."""

    def __init__(self, tenant: Tenant, settings: ServiceSettings) -> None:
        self._tenant, self._settings = tenant, settings

    async def open(self, tenant_id: str, source_type: SourceType, meter: StepMeter, *, session: str, since: float) -> Source:
        assert (tenant_id, source_type) == (self._tenant.tenant_id, GCP)
        prices = GcpPrices(query=6.25, storage_read=1.1)
        return GcpSource(GcpBilling(self._tenant.cloud_credentials, self._settings, GcpMeter(meter, prices)), prices)


class Unheard:
    """`templates.step.Notifications` for runs that have nothing to tell."""

    def accept(self, notification: Notification) -> bool:
        raise AssertionError("no notification was asked for")


class Work:
    """What runs do in these tests: wait until the test ends them."""

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

    def prefetch(self, tenant_id: str, provider: str, *, since: float) -> None:
        """No source is opened with them."""
