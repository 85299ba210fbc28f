"""Old records of runs are deleted from every tenant's dataset, by whichever executor comes first; nothing that is not settled is."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from google.cloud.bigquery import QueryJobConfig

from services.executor.retention.old_records import OldRecords
from services.platform.bigquery.client import BigQuery
from services.platform.settings import ServiceSettings
from tests.support.set_clock import SetClock
from tests.support.upgrade.old_tables import make_tenant

NOW = datetime(2026, 11, 26, 3, tzinfo=UTC)
FENCES = """
CREATE TABLE x_meta_publish_fences (pipeline_logging_id STRING NOT NULL, state STRING, updated_at TIMESTAMP, claimed_by STRING);
INSERT INTO x_meta_publish_fences (pipeline_logging_id, state, updated_at)
SELECT r.pipeline_logging_id, 'OPEN', r.started_at FROM x_meta_pipeline_runs AS r
"""
ROWS = """
INSERT INTO x_meta_pipeline_runs (pipeline_logging_id, tenant_id, status, started_at, completed_at)
SELECT r.id, 't', r.status, r.at, IF(r.status = 'RUNNING', NULL, r.at)
FROM UNNEST([
  STRUCT('old' AS id, 'COMPLETED' AS status, TIMESTAMP '2026-10-01 00:00:00+00' AS at),
  STRUCT('old_failed', 'FAILED', TIMESTAMP '2026-10-01 00:00:00+00'),
  STRUCT('old_running', 'RUNNING', TIMESTAMP '2026-01-01 00:00:00+00'),
  STRUCT('young', 'COMPLETED', TIMESTAMP '2026-11-01 00:00:00+00')
]) AS r;
INSERT INTO x_meta_step_logs (log_id, tenant_id, pipeline_logging_id, action, timestamp)
SELECT r.pipeline_logging_id, 't', r.pipeline_logging_id, 'STEP_STARTED', r.started_at FROM x_meta_pipeline_runs AS r;
INSERT INTO x_meta_step_logs (log_id, tenant_id, action, timestamp)
VALUES ('set', 't', 'CREDENTIAL_ADDED', TIMESTAMP '2026-01-01 00:00:00+00');
INSERT INTO x_meta_dq_results (dq_result_id, tenant_id, pipeline_logging_id, executed_at)
SELECT r.pipeline_logging_id, 't', r.pipeline_logging_id, r.started_at FROM x_meta_pipeline_runs AS r;
INSERT INTO billing_cost_daily (usage_date, cost, pipeline_logging_id) VALUES (DATE '2025-01-01', 1.5, 'old')
"""


@pytest.fixture
def own(service_settings: ServiceSettings, tenant_id: str) -> ServiceSettings:
    """A project with no other tenants."""
    return service_settings.model_copy(update={"tenant_project": f"p-{tenant_id[2:]}"})


@pytest.fixture
def datasets(own: ServiceSettings, bq: BigQuery) -> Iterator[list[str]]:
    """One as of commit 4153373, without fences, one with; and one that is not a tenant's."""
    names = [f"{own.datasets_project}.{name}" for name in ("first", "second", "other")]
    for name in names:
        make_tenant(bq.client, name)
        bq.client.query_and_wait(ROWS, job_config=QueryJobConfig(default_dataset=name))
    bq.client.query_and_wait(FENCES, job_config=QueryJobConfig(default_dataset=names[1]))
    other = bq.client.get_dataset(names[2])
    other.labels = {"managed-by": "somebody"}
    bq.client.update_dataset(other, ["labels"])
    yield names
    for name in names:
        bq.client.delete_dataset(name, delete_contents=True)


def kept(bq: BigQuery, dataset: str, table: str, column: str = "pipeline_logging_id") -> set[str | None]:
    return {row[0] for row in bq.client.query_and_wait(f"SELECT {column} FROM `{dataset}`.{table}")}


async def test_what_has_ended_long_ago_goes_and_nothing_else(own: ServiceSettings, datasets: list[str]) -> None:
    clock = SetClock()
    clock.time = NOW
    async with BigQuery(own, service="tests") as bq:
        first, second, other = datasets
        off = OldRecords(bq, clock, project=own.datasets_project, run_days=0, step_log_days=0)
        logs = OldRecords(bq, clock, project=own.datasets_project, run_days=0, step_log_days=40)
        both = OldRecords(bq, clock, project=own.datasets_project, run_days=40, step_log_days=0)
        assert (off.is_on, logs.is_on) == (False, True)

        assert await logs.delete() == 2

        for dataset in (first, second):
            assert kept(bq, dataset, "x_meta_step_logs") == {"old_running", "young", None}
            assert len(kept(bq, dataset, "x_meta_pipeline_runs")) == 4

        # Another day: each is begun once, however many executors there are. The first dataset has no fences: that job fails alone.
        clock.time += timedelta(days=1)
        assert [await both.delete(), await both.delete()] == [8, 0]
        for dataset in (first, second):
            for table in ("x_meta_pipeline_runs", "x_meta_dq_results"):
                assert kept(bq, dataset, table) == {"old_running", "young"}, table
            assert kept(bq, dataset, "x_meta_step_logs", "log_id") == {"old_running", "young", "set"}
            assert kept(bq, dataset, "billing_cost_daily") == {"old"}
        assert kept(bq, second, "x_meta_publish_fences") == {"old_running", "young"}
        assert len(kept(bq, other, "x_meta_pipeline_runs")) == 4
