"""Replays a month: time passes, rows arrive, a run starts, and what it has published is judged."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from services.executor.records import Run, RunOutcome, RunStatus
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.store import Store
from services.executor.templates.catalog import Catalog
from services.executor.templates.parameters import to_json
from services.executor.templates.step import Toolbox
from tests.support.executor.billing_export import DETAILED
from tests.support.executor.replay.delivery import Delivery
from tests.support.executor.replay.judge import Judge
from tests.support.executor.replay.metered_cloud import BYTES, MeteredCloud
from tests.support.executor.replay.model import ExportModel
from tests.support.executor.replay.published import Published, read_published
from tests.support.executor.tenant import BILLING, Tenant
from tests.support.set_clock import SetClock

CHANGED = {"days": "changed"}


@dataclass(frozen=True, kw_only=True)
class RunBytes:
    """What a run has read of the export, in bytes."""

    estimated: int
    """As the emulator estimates it: rows after the filter."""
    scanned: int
    """If a filter within a partition saved nothing."""
    received: int
    """Of all rows that the export had ever received until then, in all columns, by the emulator's reckoning."""


@dataclass(kw_only=True)
class Replay:
    """One tenant's month."""

    tenant: Tenant
    tools: Toolbox
    """With `clock`, and with `cloud` as its source."""
    store: Store
    catalog: Catalog
    clock: SetClock
    model: ExportModel
    delivery: Delivery
    cloud: MeteredCloud
    judge: Judge
    reads: list[RunBytes] = field(default_factory=list)
    """One entry a run."""

    async def pass_time(self, moment: datetime) -> None:
        """Until `moment`, rows arrive."""
        self.clock.time = moment
        self.model.advance(moment)
        await self.tenant.bq.call("deliver", lambda _: self.delivery.advance(moment))

    async def prepare(self, **given: Any) -> PreparedRun:
        """A run of gcp/cost/billing that is about to begin, now; without parameters, of the days that have changed."""
        template, now = self.catalog.templates[BILLING], self.clock.now()
        parameters = given or CHANGED
        values = template.values_of(parameters, now=now)
        run = Run(
            pipeline_logging_id=str(uuid.UUID(int=self.tenant.ids.getrandbits(128), version=4)),
            tenant_id=self.tenant.tenant_id,
            pipeline_id=BILLING.pipeline_id(self.tenant.tenant_id),
            user_id="alice",
            parameters=to_json(values),
            started_at=now,
            deadline_at=now + timedelta(seconds=template.timeout_seconds),
            claimed_by=str(uuid.uuid4()),
        )
        await self.store.insert_run(run, seconds=10)
        return PreparedRun(run=run, template=template, given=parameters, values=values, period=template.period_of(values))

    async def execute(self, job: PreparedRun, tools: Toolbox | None = None) -> RunOutcome:
        """Runs it to its end, which is recorded."""
        outcome = await execute(job, tools or self.tools)
        await self.end(job, outcome)
        return outcome

    async def end(self, job: PreparedRun, outcome: RunOutcome) -> None:
        """Records the end of a run: from then on it publishes nothing."""
        await self.store.finish_run(job.run.tenant_id, job.run.pipeline_logging_id, outcome, at=self.clock.now())

    async def run(self, **given: Any) -> RunOutcome:
        """One run, which completes, and what it read is counted."""
        outcome = await self.execute(await self.prepare(**given))
        assert outcome.status is RunStatus.COMPLETED, f"at {self.clock.now()}: {outcome.error_message}"
        self.count_bytes()
        return outcome

    async def run_judged(self) -> RunOutcome:
        """One run of the days that have changed, which completes, and is judged."""
        outcome = await self.run()
        self.judge.after_run(self.clock.now(), await self.published())
        return outcome

    async def fail_refused(self) -> None:
        """Google refuses the service account: the run fails, and nothing changes."""
        self.cloud.refuses = True
        outcome = await self.execute(await self.prepare())
        self.cloud.refuses = False
        assert outcome.status is RunStatus.FAILED
        self.judge.unchanged(await self.published())

    async def published(self) -> Published:
        """What the tenant's dataset holds now."""
        return await read_published(self.tenant)

    def count_bytes(self) -> None:
        """Adds what has been read since the last call."""
        by_partition, reads = self.model.rows_by_partition(), self.cloud.reads
        self.reads.append(
            RunBytes(
                estimated=sum(one.size for one in reads),
                scanned=sum(one.scanned(by_partition) for one in reads),
                received=self.model.received * len(DETAILED.names) * BYTES,
            )
        )
        reads.clear()
