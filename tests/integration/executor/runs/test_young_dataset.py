"""A tenant's first ten minutes: step logs and verdicts are inserted, and none is lost. Streamed ones could be."""

import uuid
from datetime import UTC, datetime

from services.executor.records import DqResult, StepLog
from services.executor.store import Store
from services.platform.bigquery.client import BigQuery
from services.platform.settings import ServiceSettings
from tests.support.counting import jobs
from tests.support.executor.tenant import Tenant
from tests.support.strict_bigquery import StrictBigQuery, strict_bigquery

RUN = "1f0e7a52-3c1e-4b8e-9d53-5f4b7a0c1d2e"
NOW = datetime(2025, 11, 18, 12, 0, 0, 123456, tzinfo=UTC)


def line(tenant_id: str, number: int) -> StepLog:
    return StepLog(
        log_id=str(uuid.uuid4()),
        tenant_id=tenant_id,
        user_id="alice" if number % 2 else None,
        pipeline_logging_id=RUN,
        step_id=f"step_{number}",
        step_type="test",
        step_index=number,
        attempt=1,
        action="STEP_FAILED",
        provider="GCP",
        status="FAILED",
        rows_processed=number,
        error_message='It\'s "broken".',
        metadata={"can_heal": False, "deep": [number, None]},
        timestamp=NOW,
    )


async def test_lines_and_verdicts_come_as_they_were_written(tenant: Tenant, service_settings: ServiceSettings) -> None:
    """Ten at once are a statement; what a column holds is the same whichever way it went."""
    lines = [line(tenant.tenant_id, number) for number in range(10)]
    verdict = DqResult(
        dq_result_id=str(uuid.uuid4()),
        tenant_id=tenant.tenant_id,
        user_id=None,
        pipeline_logging_id=RUN,
        step_id="check",
        table_name="t",
        check_name="c",
        severity="warn",
        status="FAILED",
        observed_value="7",
        threshold=None,
        failing_rows=7,
        executed_at=NOW,
        sample_rows=[{"a": "1"}],
    )
    before = jobs("insert_step_logs"), jobs("insert_dq_results")
    rules = StrictBigQuery(upstream=tenant.host.removeprefix("http://"), young_seconds=3600.0)
    for table in ("x_meta_step_logs", "x_meta_dq_results"):
        rules.table_made(f"{tenant.tenant_id}.{table}")
    with strict_bigquery(rules):
        changes = {"bigquery_emulator_host": rules.url, "stream_after_seconds": 600.0}
        store = Store(
            BigQuery(service_settings.model_copy(update=changes), service="tests"), ddl=service_settings.configs_dir / "bigquery" / "tenant"
        )
        for one in lines:
            store.log_steps(tenant.tenant_id, [one])
        store.record_verdicts(tenant.tenant_id, [verdict])
        await store.flushed(tenant.tenant_id, RUN)

        assert sorted(await store.list_step_logs(tenant.tenant_id, RUN), key=lambda one: one.step_index) == lines
        assert await store.list_dq_results(tenant.tenant_id, RUN) == [verdict]
    assert rules.refused["swallowed"] == 0
    assert jobs("insert_step_logs") - before[0] == 1
    assert jobs("insert_dq_results") - before[1] == 1
