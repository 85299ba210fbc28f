"""The executor's side: one run of gcp/cost/billing with the executor's parts, without the other services. Prints its measurements as
JSON. With `"focus": false` the template is without its last steps, which derive FOCUS.
"""

import asyncio
import json
import resource
import shutil
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from benchmarks.runs.processes import cpu_seconds
from services.clouds.gcp.identity import GcpCredentials
from services.executor.keyed_locks import KeyedLocks
from services.executor.metering.meter import StepMeter
from services.executor.notify.notification import Notification
from services.executor.records import Run, RunStatus
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.sources.gcp.bigquery import GcpBilling
from services.executor.sources.gcp.prices import GcpMeter, GcpPrices
from services.executor.sources.gcp.source import GcpSource
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
from services.platform.settings import ServiceSettings

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
_FOCUS = "  # FOCUS never lags"
_PUBLISHED = """
SELECT COUNT(*) AS published, ROUND(SUM(b.cost), 6) AS cost, ROUND(SUM(b.credits_total), 6) AS credits FROM billing_cost_daily AS b
"""


class OneSource:
    """`sources.source.Sources` for the one tenant, without KMS."""

    def __init__(self, project: str, settings: ServiceSettings) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
        account = {"type": "service_account", "client_email": f"reader@{project}.iam.gserviceaccount.com", "private_key": pem}
        self._credentials, self._settings = GcpCredentials(project_id=project, service_account=account), settings

    async def open(self, tenant_id: str, source_type: SourceType, meter: StepMeter, *, session: str, since: float) -> Source:
        """The source, with the given credentials."""
        return GcpSource(GcpBilling(self._credentials, self._settings, GcpMeter(meter)), GcpPrices(query=0.0, storage_read=0.0))


class NoNotifications:
    """`templates.step.Notifications` for a run without notifications."""

    def accept(self, notification: Notification) -> bool:
        """Never called: the template has no notify step."""
        return False


async def measure(given: dict[str, Any]) -> dict[str, Any]:
    """One run."""
    with tempfile.TemporaryDirectory() as folder:
        return await _measured(given, _configs(Path(folder) / "configs", focus=given.get("focus", True)))


def _configs(copy: Path, *, focus: bool) -> Path:
    shutil.copytree(CONFIGS, copy)
    if not focus:
        template = copy / "gcp" / "cost" / "billing.yml"
        text = template.read_text()
        template.write_text(text[: text.index(_FOCUS)])
    return copy


async def _measured(given: dict[str, Any], configs: Path) -> dict[str, Any]:
    names = ("project", "bigquery_emulator_host", "bigquery_storage_emulator_host")
    values = {name: given[name] for name in names} | {"control_dataset": "bulk_control", "configs_dir": configs}
    settings = ServiceSettings.model_validate(values)
    clock = SystemClock()
    pa.set_memory_pool(pa.system_memory_pool())  # as the executor's service does
    async with BigQuery(settings, service="bench") as bq, Workers(1) as workers:
        dataset = bq.tenant(given["dataset"])
        await bq.call("create_dataset", lambda timeout: bq.client.create_dataset(dataset, exists_ok=True, timeout=timeout))
        for table in load_tables(settings.configs_dir / "bigquery" / "tenant").values():
            await bq.query(table.create, {}, dataset=dataset)
        store = Store(bq, ddl=settings.configs_dir / "bigquery" / "tenant")
        with tempfile.TemporaryDirectory() as spool:
            sources = OneSource(given["source"].split(".")[0], settings)
            tools = Toolbox(
                bq=bq,
                store=store,
                staging=StagingTables(bq, clock),
                sources=sources,
                notifier=NoNotifications(),
                workers=workers,
                clock=clock,
                spool=SpoolRoom(Path(spool)),
                publish_locks=KeyedLocks(),
            )
            job = _job(settings, given)
            await store.insert_run(job.run, seconds=10)
            began, cpu, emulator = time.monotonic(), time.process_time(), cpu_seconds(given["emulator"])
            outcome = await execute(job, tools)
            took, own_cpu = time.monotonic() - began, time.process_time() - cpu
            emulator_cpu = cpu_seconds(given["emulator"]) - emulator
            await tools.staging.dropped()
        if outcome.status is not RunStatus.COMPLETED:
            raise RuntimeError(outcome.error_message)
        logs = await store.list_step_logs(job.run.tenant_id, job.run.pipeline_logging_id)
        [published] = (await bq.query(make_block("published", _PUBLISHED, {}), {}, dataset=dataset)).rows
    steps = {log.step_id: log.duration_ms / 1000 for log in logs if log.duration_ms is not None}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": took,
        "own_cpu": own_cpu,
        "emulator_cpu": emulator_cpu,
        "peak_mb": peak,
        "steps": steps,
        "published": "{published:,} rows, {cost} and {credits}".format(**published),
    }


def _job(settings: ServiceSettings, given: dict[str, Any]) -> PreparedRun:
    template = load_catalog(settings.configs_dir, STEP_TYPES).templates[PipelineName(provider="gcp", domain="cost", template="billing")]
    now = datetime.now(UTC)
    parameters = template.values_of({"date": given["day"]}, now=now)
    run = Run(
        pipeline_logging_id=str(uuid.uuid4()),
        tenant_id=given["dataset"],
        pipeline_id=template.name.pipeline_id(given["dataset"]),
        parameters=to_json(parameters),
        started_at=now,
        deadline_at=now + timedelta(hours=1),
        claimed_by=str(uuid.uuid4()),
    )
    return PreparedRun(run=run, template=template, given={"date": given["day"]}, values=parameters, period=template.period_of(parameters))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(json.loads(sys.argv[1])))))
