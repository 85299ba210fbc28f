"""Rows of schedules and of the queue, put in with SQL: no API would create so many."""

from datetime import UTC, datetime, timedelta
from typing import Final

from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.settings import ServiceSettings

SCHEDULES: Final = 10_000
QUEUED: Final = 1_000
PRIORITY: Final = 100
SECONDS: Final = 120.0
_KINDS: Final = {"tenant": "STRING", "schedules": "INT64", "queued": "INT64", "priority": "INT64", "now": "TIMESTAMP", "due": "TIMESTAMP"}
_GREED: Final = """
INSERT INTO tenant_pipeline_configs
  (config_id, tenant_id, provider, domain, pipeline_template, schedule_cron, timezone, is_active, priority, next_run_time)
SELECT
  CONCAT(@tenant, '-', CAST(i AS STRING)), @tenant, 'gcp', 'cost', 'tiny', '0 0 29 2 *', 'Pacific/Auckland', TRUE, @priority, @due
FROM UNNEST(GENERATE_ARRAY(1, @schedules)) AS i;
INSERT INTO scheduled_pipeline_runs
  (run_id, config_id, tenant_id, pipeline_id, state, scheduled_time, priority, retry_count, max_retries, created_at)
SELECT
  CONCAT(@tenant, '-run-', CAST(i AS STRING)), CONCAT(@tenant, '-', CAST(i AS STRING)), @tenant, 'gcp-cost-tiny', 'PENDING', @due,
  @priority, 0, 1, @now
FROM UNNEST(GENERATE_ARRAY(1, @queued)) AS i;
INSERT INTO pipeline_execution_queue (run_id, config_id, tenant_id, pipeline_id, state, priority, scheduled_time, added_at)
SELECT
  CONCAT(@tenant, '-run-', CAST(i AS STRING)), CONCAT(@tenant, '-', CAST(i AS STRING)), @tenant, 'gcp-cost-tiny', 'QUEUED', @priority,
  @due, @now
FROM UNNEST(GENERATE_ARRAY(1, @queued)) AS i;
"""
_NO_GREED: Final = """
DELETE FROM tenant_pipeline_configs WHERE tenant_id = @tenant;
DELETE FROM pipeline_execution_queue WHERE tenant_id = @tenant AND state = 'QUEUED';
"""


async def add_greed(tenant_id: str, settings: ServiceSettings) -> None:
    """`SCHEDULES` schedules that are all due for an hour, and `QUEUED` runs that are ready, all with the priority `PRIORITY`."""
    now = datetime.now(UTC)
    values = {
        "tenant": tenant_id,
        "schedules": SCHEDULES,
        "queued": QUEUED,
        "priority": PRIORITY,
        "now": now,
        "due": now - timedelta(hours=1),
    }
    async with BigQuery(settings, service="greed") as bq:
        await bq.query(make_block("greed", _GREED, _KINDS), values, dataset=bq.control(), seconds=SECONDS)


async def remove_greed(tenant_id: str, settings: ServiceSettings) -> None:
    """Removes them again; runs that are claimed end as they do."""
    async with BigQuery(settings, service="greed") as bq:
        block = make_block("no_greed", _NO_GREED, {"tenant": "STRING"})
        await bq.query(block, {"tenant": tenant_id}, dataset=bq.control(), seconds=SECONDS)
