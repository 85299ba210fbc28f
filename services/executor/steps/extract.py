"""The extract steps (`gcp.bigquery_extract`): rows of a tenant's own billing data, read with the tenant's own credentials, into a staging
table of the run.

Source -> Parquet on disk -> one load job. Which cloud it is, only the source knows: see `sources.source`.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from services.executor.sources.source import CheckCancelled, Estimate, Export, ReadRequest, SourceType
from services.executor.sources.spool import Spooled, spool
from services.executor.staging.shape import StagingShape
from services.executor.templates.parameters import ParameterType
from services.executor.templates.period import DAY
from services.executor.templates.section import Section
from services.executor.templates.step import Scope, Step, StepContext, StepDryRun, StepResult, StepType


@dataclass(frozen=True, kw_only=True, slots=True)
class Extract:
    """The step."""

    source_type: SourceType
    shape: StagingShape

    @property
    def OUTPUTS(self) -> Mapping[str, str]:
        """See Step."""
        return self.source_type.outputs

    async def run(self, context: StepContext) -> StepResult:
        """See Step."""
        table = self.shape.table(context.run.pipeline_logging_id, context.run.attempt)

        def read(export: Export, check_cancelled: CheckCancelled) -> tuple[Export, Spooled]:
            schema = self.shape.arrow
            return export, spool(export.read(schema, check_cancelled), schema, folder=context.tools.spool_dir)

        export, spooled = await self._at_source(context, read)
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
            outputs=export.outputs(),
            staging=(table,),
            metadata={**export.origin, "parquet_bytes": spooled.size, **context.days_not_over},
        )

    async def dry_run(self, context: StepContext) -> StepDryRun:
        """See DryRunnable. The export is found as in a run, and not read."""

        def look(export: Export, _: CheckCancelled) -> tuple[Export, Estimate]:
            return export, export.estimate()

        export, estimate = await self._at_source(context, look)
        table = self.shape.table(context.run.pipeline_logging_id, context.run.attempt)
        await context.tools.staging.make(context.run.tenant_id, table)
        return StepDryRun(
            bytes_read=estimate.bytes_read,
            cost_usd=estimate.cost_usd,
            staging=(table,),
            staged_bytes=estimate.staged_bytes,
            metadata={**export.origin, "estimated_rows": estimate.rows, **context.days_not_over},
        )

    async def _at_source[Answer](self, context: StepContext, use: Callable[[Export, CheckCancelled], Answer]) -> Answer:
        """What `use(export, check_cancelled)` answers, in a worker; the source is closed after it. Raises StepError."""
        source = await context.tools.sources.open(context.run.tenant_id, self.source_type)
        request = ReadRequest(parameters={**context.parameters, **context.outputs}, period=context.period)

        def work(check_cancelled: CheckCancelled) -> Answer:
            try:
                return use(source.find(request, check_cancelled), check_cancelled)
            finally:
                source.close()

        return await context.tools.workers.run(work)


def extract_from(step_type: str, load: Callable[[], SourceType]) -> StepType:
    """The step type of this name that reads the source type that `load` answers; it is asked as a template has such a step."""

    def parse(section: Section, scope: Scope) -> Step:
        source_type = load()
        if source_type.reads_days and not scope.covers_days:
            raise section.error(f"{step_type} reads days: the template must declare a parameter `{DAY}` of type {ParameterType.DATE}")
        for name, kind in source_type.parameters.items():
            if name not in scope.parameters or scope.parameters[name].type != kind:
                raise section.error(f"{step_type} needs the template to declare a parameter `{name}` of type {kind}")
        return Extract(source_type=source_type, shape=scope.staging[section.text("staging", among=scope.staging)])

    return parse
