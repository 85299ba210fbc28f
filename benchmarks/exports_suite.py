"""The executor's side: one run of aws/cost/focus with the executor's parts, without the other services. Prints its measurements as JSON."""

import asyncio
import json
import os
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.bulk_suite import NoNotifications
from benchmarks.memory import peak_memory
from services.clouds.access import AccessRefused, CloudEndpoints, TenantAccess
from services.executor.keyed_locks import KeyedLocks
from services.executor.metering.meter import StepMeter
from services.executor.records import Run, RunStatus
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.settings import ExecutorSettings
from services.executor.sources.source import Source, SourceType
from services.executor.sources.spool import SpoolRoom
from services.executor.staging.tables import StagingTables
from services.executor.steps import STEP_TYPES
from services.executor.store import Store
from services.executor.templates.catalog import load_catalog
from services.executor.templates.name import PipelineName
from services.executor.templates.parameters import to_json
from services.executor.templates.step import Toolbox
from services.executor.workers import Workers
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import load_tables
from services.platform.bigquery.sql import make_block
from services.platform.clock import SystemClock

TENANT = "exports"
_PUBLISHED = "SELECT COUNT(*) AS published, ROUND(SUM(f.BilledCost), 6) AS billed FROM focus_cost_daily AS f"


class OneSource:
    """`sources.source.Sources` for the one tenant, without KMS."""

    def __init__(self, given: dict[str, str], settings: ExecutorSettings) -> None:
        self._settings, self._endpoint = settings, given["aws_emulator_host"]
        self._plaintext = json.dumps({name: given[name] for name in ("access_key_id", "secret_access_key")}).encode()

    async def open(self, tenant_id: str, source_type: SourceType, meter: StepMeter, *, session: str, since: float) -> Source:
        """The source, with the given credentials."""
        access = TenantAccess(
            tenant_id=tenant_id,
            provider=source_type.provider,
            plaintext=self._plaintext,
            session=session,
            endpoints=CloudEndpoints(aws=self._endpoint),
            token_of=_no_token,
        )
        return source_type.open(access, self._settings, meter)


async def measure(given: dict[str, str]) -> dict[str, Any]:
    """One run."""
    with tempfile.TemporaryDirectory() as spool:
        names = ("project", "bigquery_emulator_host")
        mine = {name: given[name] for name in names} | {"control_dataset": "exports_control", "spool_dir": spool}
        settings, clock = ExecutorSettings.model_validate(mine), SystemClock()
        async with BigQuery(settings, service="bench") as bq, Workers(1) as workers:
            dataset = bq.tenant(TENANT)
            await bq.call(
                "drop", lambda timeout: bq.client.delete_dataset(dataset, delete_contents=True, not_found_ok=True, timeout=timeout)
            )
            await bq.call("create_dataset", lambda timeout: bq.client.create_dataset(dataset, timeout=timeout))
            for table in load_tables(settings.configs_dir / "bigquery" / "tenant").values():
                await bq.query(table.create, {}, dataset=dataset)
            store = Store(bq, ddl=settings.configs_dir / "bigquery" / "tenant")
            tools = Toolbox(
                bq=bq,
                store=store,
                staging=StagingTables(bq, clock),
                sources=OneSource(given, settings),
                notifier=NoNotifications(),
                workers=workers,
                clock=clock,
                spool=SpoolRoom(Path(spool)),
                publish_locks=KeyedLocks(),
            )
            job = _job(settings, given)
            await store.insert_run(job.run, seconds=10)
            began = time.monotonic()
            with peak_memory(os.getpid()) as peak:
                outcome = await execute(job, tools)
            took = time.monotonic() - began
            await tools.staging.dropped()
            if outcome.status is not RunStatus.COMPLETED:
                raise RuntimeError(outcome.error_message)
            logs = await store.list_step_logs(TENANT, job.run.pipeline_logging_id)
            [published] = (await bq.query(make_block("published", _PUBLISHED, {}), {}, dataset=dataset)).rows
    return {
        "seconds": took,
        "peak_mb": peak.own,
        "peak_with_children_mb": peak.with_children,
        "steps": {log.step_id: log.duration_ms / 1000 for log in logs if log.duration_ms is not None},
        "published": "{published:,} rows and {billed}".format(**published),
    }


def _job(settings: ExecutorSettings, given: dict[str, str]) -> PreparedRun:
    template = load_catalog(settings.configs_dir, STEP_TYPES).templates[PipelineName(provider="aws", domain="cost", template="focus")]
    now, parameters = datetime.now(UTC), {name: given[name] for name in ("export", "month")}
    values = template.values_of(parameters, now=now)
    run = Run(
        pipeline_logging_id=str(uuid.uuid4()),
        tenant_id=TENANT,
        pipeline_id=template.name.pipeline_id(TENANT),
        parameters=to_json(values),
        started_at=now,
        deadline_at=now + timedelta(hours=1),
        claimed_by=str(uuid.uuid4()),
    )
    return PreparedRun(run=run, template=template, given=parameters, values=values, period=template.period_of(values))


def _no_token(_: str) -> str:
    raise AccessRefused("A key is stored.")


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(json.loads(sys.argv[1])))))
