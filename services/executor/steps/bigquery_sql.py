"""`bigquery.sql`: a script of the template fills the run's staging table from tables of the tenant's dataset, with the platform's
identity.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from services.executor.checks.compose import Composed
from services.executor.errors import StepError
from services.executor.records import Run
from services.executor.staging.shape import StagingShape, StagingTable
from services.executor.staging.table_after import reads_whole_days
from services.executor.steps.beside.checked_script import checked_script
from services.executor.templates.faults import Faults, TemplateError
from services.executor.templates.section import Section
from services.executor.templates.step import Scope, Step, StepContext, StepDryRun, StepResult
from services.platform.bigquery.ddl import Table
from services.platform.bigquery.sql import Block

ROWS, MISSING = "rows_staged", "missing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sql:
    """A step of type `bigquery.sql`."""

    OUTPUTS: Mapping[str, str]
    block: Block
    """A script whose last statement returns one row: `rows_staged INT64`, `missing STRING` (NULL, or why the run must wait, worded for the
    tenant), and one column for each entry of OUTPUTS.
    """
    block_of_whole_days: Block
    """The same for a run that has read each of its days as a whole: what is published by now is not read."""
    shape: StagingShape
    reads: tuple[Table, ...]
    """The tenant's tables that the script reads. One that no run has created yet counts as empty."""

    async def run(self, context: StepContext) -> StepResult:
        """If data is `missing`, raises a retryable StepError: it may exist when another attempt runs."""
        result, _ = await self.staged(context, {})
        return result

    async def staged(self, context: StepContext, own: Mapping[str, object]) -> tuple[StepResult, Mapping[str, Any]]:
        """The result, and the whole answer of the script. `own`: values of parameters that `with_checks` has added. Raises as `run`."""
        async with self._staging(context) as (table, there):
            [answer] = (await there.query(self._block(there), own)).rows
            if answer[MISSING] is not None:
                raise StepError(answer[MISSING], is_retryable=True)
        result = StepResult(
            rows_processed=answer[ROWS],
            outputs={name: answer[name] for name in self.OUTPUTS},
            staging=(table,),
            metadata={"staged_from": [one.name for one in self.reads], **context.days_not_over},
        )
        return result, answer

    def with_checks(self, checks: Composed) -> "Sql | None":
        """This step, whose script measures these checks, too (`CHECKS`); None if it cannot."""
        block, whole = (checked_script(one, (ROWS, MISSING, *self.OUTPUTS), checks) for one in (self.block, self.block_of_whole_days))
        return replace(self, block=block, block_of_whole_days=whole) if block and whole else None

    async def dry_run(self, context: StepContext) -> StepDryRun:
        """Assumes that the step stages as many bytes as it reads."""
        async with self._staging(context) as (table, there):
            estimate = await there.dry_run(self._block(there))
        return replace(
            estimate,
            staging=(table,),
            staged_bytes=estimate.bytes_read,
            metadata={"staged_from": [one.name for one in self.reads], **context.days_not_over},
        )

    def staged_in(self, run: Run) -> StagingTable:
        """The run's staging table."""
        return self.shape.table(run.pipeline_logging_id, run.attempt)

    def _block(self, context: StepContext) -> Block:
        return self.block_of_whole_days if reads_whole_days(context.outputs) else self.block

    @property
    def tables(self) -> tuple[Table, ...]:
        """Those that the script reads."""
        return self.reads

    @asynccontextmanager
    async def _staging(self, context: StepContext) -> AsyncIterator[tuple[StagingTable, StepContext]]:
        """The run's staging table, empty, and the context that includes it; dropped again on an error."""
        tools, tenant_id = context.tools, context.run.tenant_id
        table = self.staged_in(context.run)
        await tools.store.ensure_tables(tenant_id, self.reads)
        try:
            await tools.staging.made(tenant_id, table)
            yield table, replace(context, staging=(*context.staging, table))
        except BaseException:
            with suppress(Exception):  # it expires by itself
                await tools.staging.drop(tenant_id, table)
            raise


def parse(section: Section, scope: Scope) -> Step:
    """Reads `sql`, `staging`, `reads` and `finds`. Raises TemplateError."""
    faults = Faults()
    finds = faults.attempt(lambda: _finds(section), {})
    reads = faults.attempt(lambda: _reads(section, scope), ())
    block = faults.attempt(lambda: scope.block(section), None)
    whole = replace(scope, tables_after=tuple(one.whole() for one in scope.tables_after))
    shape = faults.attempt(lambda: scope.staging[section.text("staging", among=scope.staging)], None)
    if block is None or shape is None or faults.found:
        raise TemplateError(*faults.found)
    return Sql(OUTPUTS=finds, block=block, block_of_whole_days=whole.block(section), shape=shape, reads=reads)


def _finds(section: Section) -> dict[str, str]:
    if "finds" not in section.keys:
        raise section.error("bigquery.sql needs `finds`: the columns of its last row for later steps, name to type; `finds: {}` for none")
    finds = section.section("finds", "finds")
    return {name: finds.text(name) for name in finds.keys}


def _reads(section: Section, scope: Scope) -> tuple[Table, ...]:
    names = section.texts("reads")
    for name in names:
        if name not in scope.tables:
            raise section.error(f"it reads `{name}`, which is no table of a tenant's dataset", "reads")
    return tuple(scope.tables[name] for name in names)
