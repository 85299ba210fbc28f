"""aws/cost/cur and azure/cost/actual from files to focus_cost_daily: only the cloud's own storage is a local folder."""

import csv
import gzip
import io
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from services.executor.metering.meter import StepMeter
from services.executor.records import RunOutcome, RunStatus
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.settings import ExecutorSettings
from services.executor.sources.files.files_source import FilesSource
from services.executor.sources.files.manifest import Dataset
from services.executor.sources.source import Source, SourceType
from services.executor.templates.name import PipelineName
from services.executor.templates.step import Toolbox
from tests.support.executor.azure_rows import with_commitments
from tests.support.executor.cur_lines import every_type
from tests.support.executor.exported_rows import MONTH
from tests.support.executor.local_files import LocalFiles, deliver
from tests.support.executor.tenant import Tenant

type Begin = Callable[..., Awaitable[PreparedRun]]
OURS = {"dataset", "source_id", "billing_period", "manifest_id"}
GROUPS = {
    "identity": "identity",
    "bill": "bill",
    "line_item": "lineItem",
    "pricing": "pricing",
    "product": "product",
    "reservation": "reservation",
    "savings_plan": "savingsPlan",
    "discount": "discount",
    "capacity_reservation": "capacityReservation",
}


@dataclass(frozen=True)
class LocalSources:
    """`sources.source.Sources`."""

    folder: Path
    settings: ExecutorSettings

    async def open(self, tenant_id: str, source_type: SourceType, meter: StepMeter, *, session: str, since: float) -> Source:
        files = LocalFiles(self.folder, f"{source_type.provider}/bills/all")
        return FilesSource(files, source_type.provider, self.settings, meter)


def legacy(name: str) -> str:
    """A column of a legacy Cost and Usage Report: lineItem/UsageAccountId."""
    group = max((one for one in GROUPS if name.startswith(f"{one}_")), key=len)
    return f"{GROUPS[group]}/{''.join(part.title() for part in name.removeprefix(f'{group}_').split('_'))}"


def as_csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows as the clouds write them, compressed."""
    text, listed = io.StringIO(), list(rows)
    columns = list(dict.fromkeys(name for row in listed for name in row))
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows({name: value.isoformat() if isinstance(value, date) else value for name, value in row.items()} for row in listed)
    return gzip.compress(text.getvalue().encode())


def cur_file(lines: Iterable[Mapping[str, Any]]) -> bytes:
    rows = []
    for line in lines:
        row = {legacy(name): value for name, value in line.items() if name not in {*OURS, "product", "resource_tags"}}
        row |= {f"product/{key}": value for key, value in json.loads(line["product"] or "{}").items()}
        row |= {
            f"resourceTags/{key.replace('_', ':', 1)}": json.dumps(value) if isinstance(value, list) else value
            for key, value in json.loads(line["resource_tags"] or "{}").items()
        }
        rows.append(row)
    return as_csv(rows)


def azure_file(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return as_csv({name.replace("_", ""): value for name, value in row.items() if name not in OURS} for row in rows)


async def load(tools: Toolbox, begin: Begin, folder: Path, settings: ExecutorSettings, name: str) -> RunOutcome:
    provider, _, template = name.split("/")
    export = {"aws": "s3://bills/all/name", "azure": "bills/exports/all/name"}[provider]
    job = await begin(PipelineName(provider=provider, domain="cost", template=template), month=f"{MONTH:%Y-%m}", export=export)
    return await execute(job, replace(tools, sources=LocalSources(folder, settings)))


async def test_from_files_to_the_table(tenant: Tenant, tools: Toolbox, begin: Begin, tmp_path: Path) -> None:
    """Exports of two clouds, one after the other: each leaves the other's rows alone."""
    written, settings = datetime(2026, 6, 3, tzinfo=UTC), ExecutorSettings(spool_dir=tmp_path / "spool")
    lines, rows = every_type(), with_commitments()
    deliver(tmp_path / "cur", MONTH, {"cur-1.csv.gz": cur_file(lines.values())}, dataset=Dataset.CUR, exported_at=written)
    parts = {name: azure_file(row for row in rows.values() if row["dataset"] == name) for name in ("ACTUAL", "AMORTIZED")}
    manifest = deliver(tmp_path / "actual", MONTH, {f"{name}.csv.gz": part for name, part in parts.items()}, exported_at=written)
    listed = json.loads(manifest.read_text())
    for file in listed["files"]:
        file["dataset"] = "AMORTIZED" if "AMORTIZED" in file["key"] else "ACTUAL"
    manifest.write_text(json.dumps(listed))

    for name, kept in (("azure/cost/actual", 7), ("aws/cost/cur", len(lines) + 1)):
        outcome = await load(tools, begin, tmp_path / name.rsplit("/", 1)[1], settings, name)
        assert (outcome.status, outcome.error_message, outcome.rows_processed) == (RunStatus.COMPLETED, None, kept)
    paid = sum(line["line_item_unblended_cost"] for line in lines.values())
    [aws, azure] = await tenant.rows(
        "SELECT COUNT(*) AS n, SUM(BilledCost) AS b, SUM(EffectiveCost) AS e FROM focus_cost_daily GROUP BY x_Provider ORDER BY x_Provider"
    )
    assert (aws["n"], aws["b"]) == (len(lines) + 1, paid)
    assert azure == {"n": 7, "b": Decimal("94.64"), "e": Decimal("6.64")}
    [tagged] = await tenant.rows("SELECT Tags FROM focus_cost_daily WHERE ResourceType = 's3'")
    assert tagged["Tags"] == {"list": ["a", "b"], "team": "data"}
