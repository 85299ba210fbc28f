"""A staging table of the tests' own, and a step that checks it."""

import io
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from services.executor.records import DqResult, Run, RunOutcome, RunStatus
from services.executor.staging.shape import StagingShape
from services.executor.steps import dq_checks
from services.executor.steps.dq_checks import Checks
from services.executor.templates.parameters import ParameterSpec, ParameterType, Value
from services.executor.templates.period import period_of
from services.executor.templates.section import Section
from services.executor.templates.step import Scope, StepContext, StepResult, Toolbox
from services.platform.bigquery.ddl import load_tables
from services.platform.settings import REPOSITORY

DAY = date(2025, 11, 17)
NOON = datetime(2025, 11, 17, 12, tzinfo=UTC)
SHAPE = StagingShape(
    name="x_staging_sale",
    columns={
        "id": "STRING",
        "price": "FLOAT64",
        "pieces": "INT64",
        "sold_at": "TIMESTAMP",
        "shop": "STRUCT<id STRING, owner STRUCT<name STRING>>",
        "parts": "ARRAY<STRUCT<amount FLOAT64>>",
        "labels": "ARRAY<STRUCT<key STRING, value STRING>>",
    },
)
FOUND = {"source_rows": "INT64", "source_price": "FLOAT64", "source_pieces": "INT64", "source_parts": "FLOAT64"}
HEAD = "type: dq.checks\nstaging: x_staging_sale\ntable: billing_cost_daily\n"
BLOCKS = """
-- name: odd
-- param: source_rows INT64
SELECT 'odd' AS check_name, COUNTIF(MOD(s.pieces, 2) = 1) AS failing_rows, CAST(@source_rows AS STRING) AS observed_value
FROM x_staging_sale AS s;

-- name: two
WITH n AS (SELECT COUNT(*) AS rows_there FROM x_staging_sale)
SELECT 'first' AS check_name, 0 AS failing_rows, CAST(n.rows_there AS STRING) AS observed_value FROM n
UNION ALL
SELECT 'second' AS check_name, n.rows_there AS failing_rows, CAST(NULL AS STRING) AS observed_value FROM n -- the last line
"""


def sale(**changes: object) -> dict[str, Any]:
    """A row that breaks no rule."""
    labels = [{"key": "password", "value": "hunter2"}]
    usual = {"id": str(uuid.uuid4()), "price": 1.5, "pieces": 2, "sold_at": NOON, "shop": {"id": "s1", "owner": {"name": "Ann"}}}
    return {**usual, "parts": [], "labels": labels, **changes}


def step(folder: Path, checks: str, *, head: str = HEAD, parameters: Mapping[str, ParameterType] | None = None) -> Checks:
    """The step that a template with this text has. Raises TemplateError."""
    (folder / "sale.sql").write_text(BLOCKS)
    (folder / "sale.yml").write_text(head + checks)
    section = Section.read(folder / "sale.yml", "sale.yml", "a step")
    section.text("type")
    kinds = {"date": ParameterType.DATE} if parameters is None else parameters
    specs = {name: ParameterSpec(name=name, type=kind, required=False, default=None, description="") for name, kind in kinds.items()}
    tables = load_tables(REPOSITORY / "configs/bigquery/tenant")
    made = dq_checks.parse(
        section,
        Scope(folder=folder, parameters=specs, covers_days="date" in specs, outputs=FOUND, staging={SHAPE.name: SHAPE}, tables=tables),
    )
    section.finish()
    assert isinstance(made, Checks)
    return made


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a step made of some rows."""

    result: StepResult
    verdicts: dict[str, DqResult]

    @property
    def failing(self) -> dict[str, int]:
        """Rows by check, of those that failed."""
        return {name: one.failing_rows for name, one in self.verdicts.items() if one.status == "FAILED"}


async def run_checks(
    checks: Checks,
    tools: Toolbox,
    tenant_id: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    parameters: Mapping[str, Value] | None = None,
    found: Mapping[str, object] | None = None,
) -> Checked:
    """Stages the rows as a run does, and checks them. Source values that are not given are computed from the rows. Raises StepError."""
    values: Mapping[str, Value] = {"date": DAY} if parameters is None else parameters
    now = datetime.now(UTC)
    run = Run(
        pipeline_logging_id=str(uuid.uuid4()), tenant_id=tenant_id, pipeline_id="x", started_at=now, deadline_at=now + timedelta(hours=1)
    )
    table, file = SHAPE.table(run.pipeline_logging_id, 1), io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=SHAPE.arrow), file)
    await tools.staging.fill(tenant_id, table, file, file.tell(), within=timedelta(seconds=60))
    context = StepContext(
        run=run,
        provider="gcp",
        step_id="checks",
        timeout_seconds=60,
        parameters=values,
        period=period_of(values),
        outputs={
            "source_rows": len(rows),
            "source_price": float(sum(row["price"] or 0 for row in rows)),
            "source_pieces": sum(row["pieces"] or 0 for row in rows),
            "source_parts": float(sum(part["amount"] or 0 for row in rows for part in row["parts"])),
            **(found or {}),
        },
        staging=(table,),
        outcome=RunOutcome(status=RunStatus.RUNNING),
        tools=tools,
    )
    try:
        result = await checks.run(context)
    finally:
        await tools.store.flushed(tenant_id, run.pipeline_logging_id)
    verdicts = await tools.store.list_dq_results(tenant_id, run.pipeline_logging_id)
    return Checked(result=result, verdicts={one.check_name: one for one in verdicts})
