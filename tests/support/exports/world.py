"""A tenant of three clouds: its exports lie in the emulators, behind gates, and its pipelines run as the executor runs them."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.executor.metering.meter import StepMeter
from services.executor.records import Run, RunOutcome, RunStatus
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.sources.source import Source, SourceType
from services.executor.store import Store
from services.executor.templates.catalog import Catalog
from services.executor.templates.name import PipelineName
from services.executor.templates.parameters import to_json
from services.executor.templates.step import Toolbox
from tests.support.executor.fakes import OwnSource
from tests.support.executor.tenant import Tenant
from tests.support.exports.clouds import AWS, AZURE, Clouds
from tests.support.exports.gate import ObjectGate
from tests.support.exports.objects import Delivered, Placed
from tests.support.exports.tables import Published, read_published

__all__ = ["AWS", "AZURE", "CloudSources", "World"]


@dataclass(frozen=True, kw_only=True)
class CloudSources:
    """`sources.source.Sources` for one tenant of three clouds, without KMS."""

    gcp: OwnSource
    clouds: Clouds

    async def open(self, tenant_id: str, source_type: SourceType, meter: StepMeter, *, session: str, since: float) -> Source:
        """The tenant's own source."""
        assert tenant_id == self.clouds.tenant_id
        if source_type.provider == "GCP":
            return await self.gcp.open(tenant_id, source_type, meter, session=session, since=since)
        return self.clouds.open(source_type, meter, session=session)


@dataclass(kw_only=True)
class World:
    """The tenant, and what lies in its clouds."""

    tenant: Tenant
    tools: Toolbox
    store: Store
    catalog: Catalog
    clouds: Clouds
    runs: list[PreparedRun] = field(default_factory=list)

    @property
    def gates(self) -> Mapping[str, ObjectGate]:
        """By cloud: aws, azure."""
        return self.clouds.gates

    @property
    def bucket(self) -> str:
        """The tenant's own in S3."""
        return self.clouds.account.bucket

    def place(self, cloud: str, objects: Iterable[Placed] | Delivered) -> None:
        """Writes objects, in their order."""
        self.clouds.place(cloud, objects)

    def remove(self, cloud: str, keys: Sequence[str]) -> None:
        """Deletes objects."""
        self.clouds.remove(cloud, keys)

    async def begin(self, pipeline: str, /, now: datetime | None = None, **given: Any) -> PreparedRun:
        """A run whose row is written. `pipeline`: e.g. aws/cost/focus."""
        provider, domain, name = pipeline.split("/")
        found = PipelineName(provider=provider, domain=domain, template=name)
        template, now = self.catalog.templates[found], now or datetime.now(UTC)
        values = template.values_of(given, now=now)
        started = datetime.now(UTC)
        run = Run(
            pipeline_logging_id=str(uuid.uuid4()),
            tenant_id=self.tenant.tenant_id,
            pipeline_id=found.pipeline_id(self.tenant.tenant_id),
            user_id="alice",
            parameters=to_json(values),
            started_at=started,
            deadline_at=started + timedelta(seconds=template.timeout_seconds),
            claimed_by=str(uuid.uuid4()),
        )
        await self.store.insert_run(run, seconds=20)
        job = PreparedRun(run=run, template=template, given=given, values=values, period=template.period_of(values))
        self.runs.append(job)
        return job

    async def end(self, job: PreparedRun, outcome: RunOutcome) -> None:
        """Records the end of a run."""
        await self.store.finish_run(self.tenant.tenant_id, job.run.pipeline_logging_id, outcome, at=datetime.now(UTC))

    async def attempt(self, pipeline: str, /, tools: Toolbox | None = None, **given: Any) -> RunOutcome:
        """One run to its end, whatever it is."""
        job = await self.begin(pipeline, **given)
        outcome = await execute(job, tools or self.tools)
        await self.end(job, outcome)
        return outcome

    async def run(self, pipeline: str, /, tools: Toolbox | None = None, **given: Any) -> RunOutcome:
        """One run, which completes."""
        outcome = await self.attempt(pipeline, tools, **given)
        assert outcome.status is RunStatus.COMPLETED, outcome.error_message
        return outcome

    async def fail(self, pipeline: str, /, **given: Any) -> str:
        """One run, which fails: what it says."""
        outcome = await self.attempt(pipeline, **given)
        assert outcome.status is RunStatus.FAILED, outcome
        assert outcome.error_message
        return outcome.error_message

    async def published(self) -> Published:
        """What the tenant's dataset holds now."""
        return await read_published(self.tenant, with_gcp=any(job.template.name.provider == "gcp" for job in self.runs))

    async def warnings(self, name: str) -> list[dict[str, Any]]:
        """Results of a check that does not hold, of all runs."""
        return await self.tenant.rows(f"SELECT * FROM x_meta_dq_results WHERE check_name = '{name}' AND failing_rows > 0")

    def with_tools(self, **changes: Any) -> "World":
        """The same tenant, run by an executor with other tools."""
        return replace(self, tools=replace(self.tools, **changes))
