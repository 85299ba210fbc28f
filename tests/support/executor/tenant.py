"""A tenant for tests: its own Google Cloud project with its own service account, and its dataset."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from google.cloud import bigquery

from services.clouds.gcp.identity import GcpCredentials
from services.executor.records import Run
from services.executor.runs.prepared import USUAL_WAIT, PreparedRun
from services.executor.templates.catalog import Catalog
from services.executor.templates.name import PipelineName
from services.executor.templates.parameters import to_json
from services.platform.bigquery.client import BigQuery

BILLING = PipelineName(provider="gcp", domain="cost", template="billing")


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """A tenant, its own Google Cloud project, and its dataset."""

    tenant_id: str
    project: str
    cloud_credentials: GcpCredentials
    bq: BigQuery
    host: str
    ids: Random = field(default_factory=lambda: Random(0))
    """Where runs have their ids from: the same in every test, so that the emulator knows the statements over their staging tables."""

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
            pipeline_logging_id=str(uuid.UUID(int=self.ids.getrandbits(128), version=4)),
            tenant_id=self.tenant_id,
            pipeline_id=pipeline.pipeline_id(self.tenant_id),
            user_id="alice",
            parameters=to_json(values),
            started_at=now,
            deadline_at=now + USUAL_WAIT + timedelta(seconds=template.timeout_seconds),
            claimed_by=str(uuid.uuid4()),
        )
        return PreparedRun(run=run, template=template, given=parameters, values=values, period=template.period_of(values))
