"""The environment of a benchmark: BigQuery with a control dataset of its own, and rows in it."""

import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from localcloud.processes.environment import emulator_environment
from localcloud.settings import LocalSettings
from localcloud.stack import Stack
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.bootstrap import bootstrap
from services.scheduler.settings import SchedulerSettings

REPOSITORY = Path(__file__).resolve().parents[1]
TENANTS = 20
POLL_SECONDS = 1.0
_EMPTY = """
DELETE FROM tenant_profiles WHERE TRUE;
DELETE FROM tenant_subscriptions WHERE TRUE;
DELETE FROM tenant_usage_quotas WHERE TRUE;
DELETE FROM tenant_pipeline_configs WHERE TRUE;
DELETE FROM pipeline_execution_queue WHERE TRUE;
DELETE FROM scheduled_pipeline_runs WHERE TRUE;
"""
_TENANTS = """
INSERT INTO tenant_profiles (tenant_id, status) SELECT t, 'ACTIVE' FROM UNNEST(@tenants) AS t;
INSERT INTO tenant_subscriptions (subscription_id, tenant_id, status) SELECT t, t, 'ACTIVE' FROM UNNEST(@tenants) AS t;
"""
_DUE = """
INSERT INTO tenant_pipeline_configs
  (config_id, tenant_id, provider, domain, pipeline_template, schedule_cron, timezone, is_active, next_run_time)
SELECT GENERATE_UUID(), @tenants[OFFSET(MOD(i, ARRAY_LENGTH(@tenants)))], 'gcp', 'cost', 'billing', '0 * * * *', 'UTC', TRUE,
  TIMESTAMP_TRUNC(CURRENT_TIMESTAMP(), HOUR)
FROM UNNEST(GENERATE_ARRAY(1, @schedules)) AS i
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A control dataset with nothing else in it."""

    settings: SchedulerSettings
    bq: BigQuery

    async def tenants(self) -> list[str]:
        """Empties the tables; returns new tenants without limits."""
        await self.run("empty", _EMPTY)
        tenants = [f"t_{uuid.uuid4().hex[:12]}" for _ in range(TENANTS)]
        await self.run("tenants", _TENANTS, tenants=("ARRAY<STRING>", tenants))
        return tenants

    async def due(self, tenants: list[str], schedules: int) -> None:
        """Creates `schedules` schedules that were due at the last full hour."""
        await self.run("due", _DUE, tenants=("ARRAY<STRING>", tenants), schedules=("INT64", schedules))

    async def run(self, name: str, sql: str, **params: tuple[str, object]) -> None:
        """A statement of the benchmark's own."""
        block = make_block(f"bench_{name}", sql, {name: kind for name, (kind, _) in params.items()})
        await self.bq.query(block, {name: value for name, (_, value) in params.items()}, dataset=self.bq.control(), seconds=60)


@asynccontextmanager
async def place_on(local: LocalSettings) -> AsyncIterator[Place]:
    """A place on running emulators."""
    host = emulator_environment(local)
    settings = SchedulerSettings.model_validate(
        {
            "project": local.project,
            "control_dataset": f"bench_{uuid.uuid4().hex[:8]}",
            "bigquery_emulator_host": host["BIGQUERY_EMULATOR_HOST"],
            "bigquery_storage_emulator_host": host["BIGQUERY_STORAGE_EMULATOR_HOST"],
            "bigquery_deadline_seconds": 30.0,
            "poll_seconds": POLL_SECONDS,
            # Statements are counted here, not waited for.
            "dml_statements_per_10_seconds": 10_000,
        }
    )
    async with BigQuery(settings, service="bench") as bq:
        await bootstrap(settings, bq)
        yield Place(settings=settings, bq=bq)


@contextmanager
def emulators() -> Iterator[LocalSettings]:
    """BigQuery only, on free ports and in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="convergence-bench-") as state:
        local = LocalSettings.on_free_ports(Path(state) / "state", cache_dir=REPOSITORY / ".cache", cloud_scheduler=False)
        with Stack(local, only=("bigquery",), auto_restart=False):
            yield local
