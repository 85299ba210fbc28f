"""The extract steps (`gcp.bigquery_extract`): read a tenant's own billing data, with the tenant's own credentials, into a staging table.

Source -> Parquet on disk -> one load job. Only the source knows which cloud it is, see `sources.source`.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from services.executor.sources.source import CheckCancelled, Estimate, Export, ReadRequest, Source, SourceType
from services.executor.sources.spool import Spooled, spool
from services.executor.staging.shape import StagingShape
from services.executor.steps.at_source import at_source
from services.executor.templates.parameters import ParameterType
from services.executor.templates.period import DAY
from services.executor.templates.section import Section
from services.executor.templates.step import Scope, Step, StepContext, StepDryRun, StepResult, StepType


@dataclass(frozen=True, kw_only=True, slots=True)
class Extract:
    """A step that reads a source."""

    source_type: SourceType
    shape: StagingShape

    @property
    def OUTPUTS(self) -> Mapping[str, str]:
        """The outputs of the source type."""
        return self.source_type.outputs

    async def run(self, context: StepContext) -> StepResult:
        """Reads the export into a file, then loads the file into the staging table. Raises StepError."""
        table = self.shape.table(context.run.pipeline_logging_id, context.run.attempt)

        def read(source: Source, check_cancelled: CheckCancelled) -> tuple[Export, Spooled]:
            export, schema = source.find(_request(context), check_cancelled), self.shape.arrow
            return export, spool(export.read(schema, check_cancelled), schema, folder=context.tools.spool_dir)

        export, spooled = await at_source(context, self.source_type, read)
        with spooled.file:
            within = timedelta(seconds=context.timeout_seconds)
            try:
                await context.tools.staging.fill(
                    context.run.tenant_id, table, spooled.file, spooled.size, within=within, account=context.meter
                )
            except BaseException:
                with contextlib.suppress(Exception):  # it expires by itself
                    await context.tools.staging.drop(context.run.tenant_id, table)
                raise
        return StepResult(
            rows_processed=spooled.rows,
            outputs=export.outputs(),
            staging=(table,),
            metadata={**export.origin, "parquet_bytes": spooled.size, **context.days_not_over},
        )

    async def dry_run(self, context: StepContext) -> StepDryRun:
        """Finds the export as a run does, and estimates it without reading."""

        def look(source: Source, check_cancelled: CheckCancelled) -> tuple[Export, Estimate]:
            export = source.find(_request(context), check_cancelled)
            return export, export.estimate()

        export, estimate = await at_source(context, self.source_type, look)
        table = self.shape.table(context.run.pipeline_logging_id, context.run.attempt)
        await context.tools.staging.make(context.run.tenant_id, table)
        return StepDryRun(
            bytes_read=estimate.bytes_read,
            cost_usd=estimate.cost_usd,
            staging=(table,),
            staged_bytes=estimate.staged_bytes,
            metadata={**export.origin, "estimated_rows": estimate.rows, **context.days_not_over},
        )


def _request(context: StepContext) -> ReadRequest:
    return ReadRequest(parameters={**context.parameters, **context.outputs}, period=context.period)


def extract_from(step_type: str, load: Callable[[], SourceType]) -> StepType:
    """The step type of this name, for the source type returned by `load`, which is called when a template has such a step."""

    def parse(section: Section, scope: Scope) -> Step:
        source_type = load()
        if source_type.reads_days and not scope.covers_days:
            raise section.error(f"{step_type} reads days: the template must declare a parameter `{DAY}` of type {ParameterType.DATE}")
        for name, kind in source_type.parameters.items():
            if name not in scope.parameters or scope.parameters[name].type != kind:
                raise section.error(f"{step_type} needs the template to declare a parameter `{name}` of type {kind}")
        return Extract(source_type=source_type, shape=scope.staging[section.text("staging", among=scope.staging)])

    return parse
