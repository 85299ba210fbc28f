"""`gcp.bigquery_extract`: the tenant's own service account reads its billing export of the run's days into a staging table.

Storage Read API (Arrow batches) -> Parquet on disk -> one load job. Memory is bounded by a batch; the file has no name, so nothing is left
of it even if the process is killed. The sums are taken on the way, so that the checks can hold the staging table against the source.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.executor.errors import StepError
from services.executor.sources.gcp.bigquery import Estimate, GcpBilling, checked
from services.executor.sources.gcp.export_source import ExportPart, ExportSelection, select_exports
from services.executor.sources.gcp.flatten import exact_sum, flatten, source_credits
from services.executor.staging.shape import StagingShape
from services.executor.templates.parameters import ParameterType
from services.executor.templates.period import DAY
from services.executor.templates.section import Section
from services.executor.templates.step import Reading, Scope, Step, StepContext, StepDryRun, StepResult

ROW_GROUP = 20_000
"""Rows gathered before they are written: BigQuery sends batches of a thousand, which would make poor row groups."""
EXPORT = "export_table"
"""The parameter that names the export, where it is not to be looked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spooled:
    """Some days of a billing export on disk."""

    file: IO[bytes]
    """Unnamed: closing it removes it."""
    size: int
    """Bytes."""
    rows: int
    cost: float
    credits: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Extract:
    """The step."""

    OUTPUTS: ClassVar[Mapping[str, str]] = {"source_rows": "INT64", "source_cost": "FLOAT64", "source_credits": "FLOAT64"}
    shape: StagingShape

    async def run(self, context: StepContext) -> StepResult:
        """See Step."""
        table = self.shape.table(context.run.pipeline_logging_id, context.run.attempt)

        def read(cloud: GcpBilling, source: ExportSelection, check_cancelled: Callable[[], None]) -> tuple[ExportSelection, Spooled]:
            return source, spool(cloud, source.parts, self.shape, folder=context.tools.spool_dir, check_cancelled=check_cancelled)

        source, spooled = await _at_source(context, read)
        with spooled.file:
            within = timedelta(seconds=context.timeout_seconds)
            try:
                await context.tools.staging.fill(context.run.tenant_id, table, spooled.file, spooled.size, within=within)
            except BaseException:
                with contextlib.suppress(Exception):  # it expires by itself
                    await context.tools.staging.drop(context.run.tenant_id, table)
                raise
        return StepResult(
            rows_processed=spooled.rows,
            outputs={"source_rows": spooled.rows, "source_cost": spooled.cost, "source_credits": spooled.credits},
            staging=(table,),
            metadata={**_origin(source), "parquet_bytes": spooled.size, **context.days_not_over},
        )

    async def dry_run(self, context: StepContext) -> StepDryRun:
        """See Previewed. A read session is opened, which says how much it would send, and never read; on a view, a query is run dry. Where
        a standard and a detailed export have to be compared, they are, as in a run.
        """

        def look(cloud: GcpBilling, source: ExportSelection, _: Callable[[], None]) -> tuple[ExportSelection, list[Estimate]]:
            return source, [cloud.estimate(part.table, None, part.period) for part in source.parts]

        source, estimates = await _at_source(context, look)
        size = sum(estimate.size for estimate in estimates)
        table = self.shape.table(context.run.pipeline_logging_id, context.run.attempt)
        await context.tools.staging.make(context.run.tenant_id, table)
        return StepDryRun(
            bytes_read=size + source.compared_bytes,
            reading=Reading.QUERY if any(estimate.by_query for estimate in estimates) else Reading.STORAGE_READ,
            staging=(table,),
            staged_bytes=size,
            metadata={**_origin(source), "estimated_rows": sum(estimate.rows for estimate in estimates), **context.days_not_over},
        )


def _origin(source: ExportSelection) -> dict[str, object]:
    """What was read, and why; of two tables also which days are of which."""
    origin: dict[str, object] = {"source_table": ", ".join(str(table) for table in source.tables), "source_reason": source.reason}
    if len(source.parts) > 1:
        origin["sources"] = [
            {"source_table": str(one.table), "first_day": str(one.period.first), "last_day": str(one.period.last)} for one in source.parts
        ]
    return origin


async def _at_source[Answer](context: StepContext, use: Callable[[GcpBilling, ExportSelection, Callable[[], None]], Answer]) -> Answer:
    """What `use(cloud, source, check_cancelled)` answers, in a worker; the tenant's cloud is closed after it. Raises StepError."""
    period, export = context.period, context.parameters[EXPORT]
    if period is None:
        raise TypeError("the template is run for days")
    cloud = await context.tools.clouds.open(context.run.tenant_id, context.provider.upper())

    def work(check_cancelled: Callable[[], None]) -> Answer:
        try:
            return use(cloud, select_exports(cloud, str(export) if export else None, period, check_cancelled), check_cancelled)
        finally:
            cloud.close()

    return await context.tools.workers.run(work)


def parse(section: Section, scope: Scope) -> Step:
    """See StepType."""
    if not scope.covers_days:
        raise section.error(f"gcp.bigquery_extract reads days: the template must declare a parameter `{DAY}` of type {ParameterType.DATE}")
    if EXPORT not in scope.parameters or scope.parameters[EXPORT].type is not ParameterType.TABLE:
        raise section.error(f"gcp.bigquery_extract needs the template to declare a parameter `{EXPORT}` of type {ParameterType.TABLE}")
    return Extract(shape=scope.staging[section.text("staging", among=scope.staging)])


def spool(
    cloud: GcpBilling, parts: Sequence[ExportPart], shape: StagingShape, *, folder: Path, check_cancelled: Callable[[], None]
) -> Spooled:
    """Reads the parts, one after the other, into one unnamed Parquet file in `folder`. Blocks. Raises StepError; Stopped from
    `check_cancelled`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    staged = shape.arrow
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - handed on open, closed by whoever gets it
    try:
        rows, costs, credit_sums = 0, list[float](), list[float]()
        with pq.ParquetWriter(file, staged, compression="zstd") as writer:
            for part, group in _read(cloud, parts, check_cancelled):
                table = flatten(group, staged, str(part.table))
                writer.write_table(table, row_group_size=ROW_GROUP)
                rows += group.num_rows
                costs.append(_sum(table["cost"]))
                credit_sums.append(source_credits(group))
        return Spooled(file=file, size=file.tell(), rows=rows, cost=exact_sum(costs), credits=exact_sum(credit_sums))
    except OSError as error:
        file.close()
        raise StepError("The executor could not write its spool file. Run it again in a moment.", is_retryable=True) from error
    except BaseException:
        file.close()
        raise


def _read(cloud: GcpBilling, parts: Sequence[ExportPart], check_cancelled: Callable[[], None]) -> Iterator[tuple[ExportPart, pa.Table]]:
    # A group is of one part: two exports have different columns.
    for part in parts:
        for group in _groups(checked(cloud.read(part.table, None, part.period, check_cancelled), check_cancelled)):
            yield part, group


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.Table]:
    gathered = list[pa.RecordBatch]()
    for batch in batches:
        gathered.append(batch)
        if sum(one.num_rows for one in gathered) >= ROW_GROUP:
            yield pa.Table.from_batches(gathered)
            gathered = []
    if gathered:
        yield pa.Table.from_batches(gathered)


def _sum(values: pa.ChunkedArray) -> float:
    return float(pc.sum(values).as_py() or 0.0)
