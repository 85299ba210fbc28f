"""The extract step knows no cloud: here it reads a test source whose exports are files behind a manifest, one a billing month."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest

from services.clouds.access import TenantAccess
from services.executor.errors import StepError
from services.executor.metering.meter import StepMeter
from services.executor.records import Period, RunStatus
from services.executor.runs.dry_run import DryRunner
from services.executor.runs.execute import execute
from services.executor.settings import ExecutorSettings
from services.executor.sources.credentials import SealedCredential
from services.executor.sources.registry import TenantSources
from services.executor.sources.source import CheckCancelled, Estimate, Export, ReadRequest, Source, SourceType
from services.executor.sources.tokens import IdentityTokens
from services.executor.steps import STEP_TYPES
from services.executor.steps.extract import extract_from
from services.executor.store import Store
from services.executor.templates.catalog import Catalog, load_catalog
from services.executor.templates.name import PipelineName
from services.executor.templates.step import Toolbox
from services.platform.settings import ServiceSettings
from tests.support.executor.fakes import Credentials
from tests.support.executor.tenant import Tenant

COSTS = PipelineName(provider="fake", domain="cost", template="costs")
STAGING = "CREATE TABLE IF NOT EXISTS x_staging_fake (\n  cost FLOAT64,\n  currency STRING\n);\n"
TEMPLATE = """
description: A billing month of a cloud of the tests.
parameters:
  month: {type: month, required: true, description: The billing month.}
  location: {type: string, required: true, description: Where the exports lie.}
steps:
  - {id: read, type: fake.month_extract, staging: x_staging_fake}
  - id: checks
    type: dq.checks
    needs: [read]
    staging: x_staging_fake
    table: billing_cost_daily
    checks:
      - {name: rows_agree, kind: row_count, source: source_rows, expect: the manifest's rows}
      - {name: cost_agrees, kind: sum_agrees, column: cost, source: source_cost, expect: the manifest's cost}
"""


@dataclass
class Bucket:
    """What lies at the tenant's cloud."""

    manifests: dict[str, list[str]]
    files: dict[str, list[float]]
    asked_with: list[object] = field(default_factory=list)
    is_rewritten: bool = False
    closed: int = 0


BUCKETS: dict[str, Bucket] = {}


@dataclass
class MonthExport:
    """A month's files."""

    bucket: Bucket
    month: str
    costs: list[float] = field(default_factory=list)

    @property
    def period(self) -> Period | None:
        return None

    @property
    def origin(self) -> Mapping[str, Any]:
        return {"manifest": self.month, "files": self.bucket.manifests[self.month]}

    def estimate(self) -> Estimate:
        rows = sum(len(self.bucket.files[name]) for name in self.bucket.manifests[self.month])
        return Estimate(bytes_read=rows * 8, staged_bytes=rows * 8, rows=rows, cost_usd=0.25)

    def read(self, staged: pa.Schema, check_cancelled: CheckCancelled) -> Iterator[pa.Table]:
        for name in self.bucket.manifests[self.month]:
            check_cancelled()
            self.costs += self.bucket.files[name]
            yield pa.Table.from_pylist([{"cost": cost, "currency": "EUR"} for cost in self.bucket.files[name]], schema=staged)
        if self.bucket.is_rewritten:
            raise StepError("The export was written anew while it was read.", is_retryable=True)

    def outputs(self) -> Mapping[str, object]:
        return {"source_rows": len(self.costs), "source_cost": sum(self.costs), "manifest": self.month}


@dataclass
class MonthSource:
    bucket: Bucket

    def find(self, request: ReadRequest, check_cancelled: CheckCancelled) -> Export:
        assert request.period is None
        month = str(request.parameters["month"])
        if month not in self.bucket.manifests:
            raise StepError(f"Nothing was exported for {month} yet.")
        return MonthExport(self.bucket, month)

    def close(self) -> None:
        self.bucket.closed += 1


def open_fake(access: TenantAccess, settings: ExecutorSettings, meter: StepMeter) -> Source:
    credentials = json.loads(access.plaintext)
    bucket = BUCKETS[credentials["bucket"]]
    bucket.asked_with.append(credentials["key"])
    return MonthSource(bucket)


FAKE = SourceType(
    provider="FAKE",
    parameters={"location": "string"},
    reads_days=False,
    outputs={"source_rows": "INT64", "source_cost": "FLOAT64", "manifest": "STRING"},
    open=open_fake,
)


class Sealed:
    """The credentials service and KMS: what is sealed is in the clear."""

    async def get(self, tenant_id: str, provider: str, *, since: float | None = None) -> SealedCredential:
        plaintext = json.dumps({"bucket": tenant_id, "key": f"{provider} of {tenant_id}"}).encode()
        return SealedCredential(tenant_id=tenant_id, provider=provider, credential_id="one", ciphertext=plaintext)

    async def decrypt(self, ciphertext: bytes, name: bytes, *, key_version: str | None = None) -> bytes:
        return ciphertext


@pytest.fixture
def bucket(tenant: Tenant) -> Iterator[Bucket]:
    files = {"a.parquet": [1.5, 2.0], "b.csv.gz": [4.0], "left over.parquet": [1e6]}
    BUCKETS[tenant.tenant_id] = Bucket(manifests={"2025-11": ["a.parquet", "b.csv.gz"]}, files=files)
    yield BUCKETS[tenant.tenant_id]
    del BUCKETS[tenant.tenant_id]


def configs_with(folder: Path, template: str) -> Path:
    shutil.copytree(ServiceSettings().configs_dir / "bigquery", folder / "bigquery")
    (folder / "bigquery" / "staging" / "x_staging_fake.sql").write_text(STAGING)
    (folder / "fake" / "cost").mkdir(parents=True)
    (folder / "fake" / "cost" / "costs.yml").write_text(template)
    return folder


def load(folder: Path, template: str = TEMPLATE) -> Catalog:
    step_types = {**STEP_TYPES, "fake.month_extract": extract_from("fake.month_extract", lambda: FAKE)}
    return load_catalog(configs_with(folder, template), step_types)


@pytest.fixture
async def tools(tools: Toolbox) -> Toolbox:
    """Async, since a channel belongs to the loop that runs while it is made."""
    sealed: Any = Sealed()
    settings = ExecutorSettings.model_construct()
    tokens = IdentityTokens(grpc.aio.insecure_channel("nowhere"))
    return replace(tools, sources=TenantSources(sealed, sealed, tokens, settings))


async def test_another_clouds_month_is_staged_checked_and_reported(
    tenant: Tenant, tools: Toolbox, store: Store, bucket: Bucket, tmp_path: Path
) -> None:
    """The manifest says what is read; its figures reach the checks, its origin the step's line; dry runs cost what this cloud says."""
    catalog = load(tmp_path / "configs")
    assert catalog.broken == {}
    job = tenant.job(catalog, COSTS, month="2025-11", location="anywhere")
    await store.insert_run(job.run, seconds=10)

    dry = await DryRunner(tools, Credentials(), query_usd_per_tib=6.25).dry_run(job)  # type: ignore[arg-type]
    outcome = await execute(job, tools)

    assert dry.problems == {}
    assert (dry.steps[0].bytes_read, dry.steps[0].cost_usd, dry.steps[0].metadata["estimated_rows"]) == (24, 0.25, 3)
    assert (outcome.status, outcome.error_message) == (RunStatus.COMPLETED, None)
    lines = await store.list_step_logs(tenant.tenant_id, job.run.pipeline_logging_id)
    [read] = [line for line in lines if line.step_id == "read" and line.status == "COMPLETED"]
    assert (read.rows_processed, read.metadata["manifest"], read.metadata["files"]) == (3, "2025-11", ["a.parquet", "b.csv.gz"])
    observed = await tenant.rows("SELECT check_name, observed_value, status FROM x_meta_dq_results ORDER BY check_name")
    assert [(one["check_name"], one["status"]) for one in observed] == [("cost_agrees", "PASSED"), ("rows_agree", "PASSED")]
    assert "7.5" in observed[0]["observed_value"]
    assert (bucket.asked_with, bucket.closed) == ([f"FAKE of {tenant.tenant_id}"] * 2, 2)


@pytest.mark.parametrize(
    ("month", "message"),
    [("2025-10", "Nothing was exported for 2025-10 yet."), ("2025-11", "The export was written anew while it was read.")],
)
async def test_what_a_source_refuses_fails_the_step_and_leaves_nothing(
    tenant: Tenant, tools: Toolbox, store: Store, bucket: Bucket, tmp_path: Path, month: str, message: str
) -> None:
    bucket.is_rewritten = True
    job = tenant.job(load(tmp_path / "configs"), COSTS, month=month, location="anywhere")
    await store.insert_run(job.run, seconds=10)
    outcome = await execute(job, tools)
    assert (outcome.status, outcome.error_message) == (RunStatus.FAILED, f"Step read: {message}")
    assert list(tools.spool.folder.glob("*")) == []
    await tools.staging.dropped()
    assert await tenant.rows("SELECT table_name FROM INFORMATION_SCHEMA.TABLES WHERE table_name LIKE 'x_staging%'") == []
    assert bucket.closed == 1


def test_a_template_must_declare_what_its_source_asks_for(tmp_path: Path) -> None:
    catalog = load(tmp_path / "configs", TEMPLATE.replace("location: {type: string", "location: {type: boolean"))
    wanted = "fake.month_extract needs the template to declare a parameter `location` of type string"
    assert [str(error).endswith(wanted) for error in catalog.broken.values()] == [True]


def test_no_cloud_is_imported_before_a_template_reads_it() -> None:
    program = "import sys, services.executor.service; print(sorted(name for name in sys.modules if '.executor.sources.' in name))"
    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout
    shared = ("changed_days", "credentials", "exported_months", "overlap", "registry", "row_groups", "source", "spool", "tokens")
    names = [f"services.executor.sources.{name}" for name in shared]
    assert imported.strip() == str(names)
