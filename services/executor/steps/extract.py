"""The extract steps (`gcp.bigquery_extract`, `aws.s3_export`, `azure.blob_export`): read a tenant's own billing data, with the tenant's own
credentials, into a staging table.

Source -> Parquet on disk -> a load job, or several for a large export (`reading.loads`). Or BigQuery does it all (`reading.handover`). Only
the source knows which cloud it is, see `sources.source`.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Final

from services.executor.sources.changed_days import ChangedRequest
from services.executor.sources.exported_months import ExportsRequest
from services.executor.sources.source import CheckCancelled, Estimate, Export, ReadRequest, Source, SourceType, Unchanged
from services.executor.sources.spool import Spooled, spool_parts
from services.executor.staging.shape import StagingShape
from services.executor.steps.reading.at_source import at_source, read_across
from services.executor.steps.reading.handover import Handover
from services.executor.steps.reading.loads import PART_BYTES, PartLoads, Staged
from services.executor.steps.reading.unreadable import record_unreadable
from services.executor.templates.months import MONTHS, month_of
from services.executor.templates.parameters import ParameterType
from services.executor.templates.period import DAY, DAYS, is_changed
from services.executor.templates.section import Section
from services.executor.templates.step import Scope, Step, StepContext, StepDryRun, StepResult, StepType
from services.platform.clock import utc_day

HISTORY: Final = "history_days"
"""The parameter with how many days up to today the first run for changed days reads."""
USUAL_HISTORY: Final = 31
HISTORY_MONTHS: Final = "history_months"
"""The parameter with how many months up to this one the first run for open months loads."""
USUAL_HISTORY_MONTHS: Final = 3


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
        """Reads the export into a file, then loads the file into the staging table, which is made meanwhile. Raises StepError."""
        table = self.shape.table(context.run.pipeline_logging_id, context.run.attempt)
        request = await self._request(context)
        staging, tenant_id = context.tools.staging, context.run.tenant_id
        # The staging tables of later steps are begun, too, so that these steps need not wait for them.
        begin_tables = partial(staging.begin_all, tenant_id, (table, *context.staged_later))
        from_worker = asyncio.get_running_loop().call_soon_threadsafe
        may_be_unchanged = request.changed is not None or request.exports is not None  # as most such runs find
        handover, loads = Handover(context, table), PartLoads(context, table)

        def read(source: Source, check_cancelled: CheckCancelled) -> tuple[Export, Spooled | Staged] | Unchanged:
            export, schema = source.find(request, check_cancelled), self.shape.arrow
            if isinstance(export, Unchanged):
                return export
            check_cancelled()
            if may_be_unchanged:
                from_worker(begin_tables)
            if (copied := handover.take(export, check_cancelled)) is not None:
                return export, copied
            tables, room = export.read(schema, check_cancelled), context.tools.spool
            parts = spool_parts(tables, schema, room=room, tenant_id=tenant_id, most=PART_BYTES)
            return export, loads.take(parts, check_cancelled)

        if not may_be_unchanged:
            begin_tables()
        try:
            # A cancelled run drops the table at once, but its worker may create the table again before it notices the cancellation.
            drop_again = partial(staging.drop_later, tenant_id, [table], once_more=True)
            found = await at_source(context, self.source_type, read, when_ended_early=drop_again)
            if isinstance(found, Unchanged):
                return StepResult(rows_processed=0, is_unchanged=True, metadata=_unchanged(found))
            export, rows = found
            if isinstance(rows, Spooled):
                with rows:
                    within = timedelta(seconds=context.timeout_seconds)
                    await staging.fill(tenant_id, table, rows.file, rows.size, within=within, account=context.meter)
        except BaseException:
            staging.drop_later(tenant_id, [table])
            raise
        record_unreadable(context, export.origin, self.shape.name)
        return StepResult(
            rows_processed=rows.rows,
            outputs=export.outputs(),
            staging=(table,),
            metadata={
                **export.origin,
                **({"handed_over": True} if rows.size is None else {"parquet_bytes": rows.size}),
                **_days(context, export),
                **await read_across(context, export.origin),
            },
            period=export.period,
        )

    async def dry_run(self, context: StepContext) -> StepDryRun:
        """Finds the export as a run does, and estimates it without reading."""
        request = await self._request(context)

        def look(source: Source, check_cancelled: CheckCancelled) -> tuple[Export, Estimate] | Unchanged:
            export = source.find(request, check_cancelled)
            return export if isinstance(export, Unchanged) else (export, export.estimate())

        found = await at_source(context, self.source_type, look)
        if isinstance(found, Unchanged):
            return StepDryRun(bytes_read=0, cost_usd=0.0, is_unchanged=True, metadata=_unchanged(found))
        export, estimate = found
        table = self.shape.table(context.run.pipeline_logging_id, context.run.attempt)
        await context.tools.staging.make(context.run.tenant_id, table)
        return StepDryRun(
            bytes_read=estimate.bytes_read,
            cost_usd=estimate.cost_usd,
            staging=(table,),
            staged_bytes=estimate.staged_bytes,
            metadata={
                **export.origin,
                "estimated_rows": estimate.rows,
                **_days(context, export),
                **await read_across(context, export.origin),
            },
            period=export.period,
        )

    async def _request(self, context: StepContext) -> ReadRequest:
        changed = await self._changed(context) if is_changed(context.parameters) else None
        exports = await self._exports(context) if self.source_type.reads_months else None
        parameters = {**context.parameters, **context.outputs}
        return ReadRequest(parameters=parameters, period=context.period, changed=changed, exports=exports)

    async def _exports(self, context: StepContext) -> ExportsRequest:
        """What is published of the provider's billing periods."""
        provider, now = self.source_type.provider, context.tools.clock.now()
        known = await context.tools.store.ledger.exports(context.run.tenant_id, provider)
        history = _count(context, HISTORY_MONTHS, USUAL_HISTORY_MONTHS)
        return ExportsRequest(month=month_of(context.parameters), known=known, now=now, history_months=history)

    async def _changed(self, context: StepContext) -> ChangedRequest:
        """What is known about the source's days; their states follow the passing of time on the way."""
        tenant_id, source, now = context.run.tenant_id, self.source_type.provider.lower(), context.tools.clock.now()
        history = _count(context, HISTORY, USUAL_HISTORY)
        ledger = await context.tools.store.ledger.read(tenant_id, source)
        await context.tools.store.ledger.move_states(tenant_id, source, ledger, now)
        request = ChangedRequest(ledger=ledger, published={}, today=utc_day(now), history_days=history)
        if ledger.watermarks:
            return request
        # Days may have been published before there was a ledger.
        return replace(request, published=await context.tools.store.ledger.published(tenant_id, request.window))


def _count(context: StepContext, name: str, usual: int) -> int:
    value = context.parameters[name]
    if value is not None and not isinstance(value, int):
        raise TypeError(f"{name} is an integer")
    return usual if value is None else value


def _unchanged(found: Unchanged) -> Mapping[str, object]:
    return {"unchanged_as_of": found.as_of.isoformat() if found.as_of else None, **({"notes": list(found.notes)} if found.notes else {})}


def _days(context: StepContext, export: Export) -> Mapping[str, object]:
    period = context.period or export.period
    if period is None:
        return {}
    not_over = [day.isoformat() for day in period.not_over(context.run.started_at)]
    days = {"days": [day.isoformat() for day in period.days]} if context.period is None else {}
    return {**days, **({"days_not_over": not_over} if not_over else {})}


def extract_from(step_type: str, load: Callable[[], SourceType]) -> StepType:
    """The step type of this name, for the source type returned by `load`, which is called when a template has such a step."""
    return lambda section, scope: _extract(step_type, load(), section, scope)


def extract_dataset_from(step_type: str, load: Mapping[str, Callable[[], SourceType]]) -> StepType:
    """The same for a cloud whose exports have several datasets, with a source type each: the step's key `dataset` names one."""
    return lambda section, scope: _extract(step_type, load[section.text("dataset", among=load)](), section, scope)


def _extract(step_type: str, source_type: SourceType, section: Section, scope: Scope) -> Step:
    for reads, name in ((source_type.reads_days, DAY), (source_type.reads_months, MONTHS)):
        if reads and name not in scope.parameters:
            rule = f"{step_type} reads {'days' if name == DAY else 'months'}: the template must declare a parameter `{name}`"
            raise section.error(rule, may_follow=True)
    needed = dict(source_type.parameters)
    needed |= {HISTORY: ParameterType.INTEGER} if DAYS in scope.parameters else {}
    needed |= {HISTORY_MONTHS: ParameterType.INTEGER} if MONTHS in scope.parameters else {}
    for name, kind in needed.items():
        if name not in scope.parameters or scope.parameters[name].type != kind:
            raise section.error(f"{step_type} needs the template to declare a parameter `{name}` of type {kind}", may_follow=True)
    return Extract(source_type=source_type, shape=scope.staging[section.text("staging", among=scope.staging)])
