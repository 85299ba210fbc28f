"""`bigquery.publish`: one transaction puts what was staged and checked into its table, if the run still holds its fence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from services.executor.failures import RunLost
from services.executor.steps.step import Scope, Step, StepContext, StepResult
from services.executor.yaml_section import Section
from services.platform.sql import Block


@dataclass(frozen=True, kw_only=True, slots=True)
class Publish:
    """The step."""

    FINDS: ClassVar[Mapping[str, str]] = {}
    block: Block
    """A script whose last statement answers `published BOOL, rows_published INT64`."""
    table: str
    create: Block
    """Makes `table`."""

    async def run(self, context: StepContext) -> StepResult:
        """See Step. Raises RunLost if the fence refused."""
        tools, run = context.tools, context.run
        await tools.store.ensure_table(run.tenant_id, self.table, self.create)
        answer = await context.query(self.block)
        outcome = answer.rows[0]
        if not outcome["published"]:
            raise RunLost
        return StepResult(rows_processed=outcome["rows_published"], metadata={"table": self.table})


def parse(section: Section, scope: Scope) -> Step:
    """See StepType."""
    return Publish(block=scope.block(section), table=section.text("table"), create=scope.table(section))
