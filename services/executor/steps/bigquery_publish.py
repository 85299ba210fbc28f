"""`bigquery.publish`: one transaction puts what was staged and checked into its table, if the run still holds its fence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from services.executor.failures import RunLost
from services.executor.steps.step import Scope, Step, StepContext, StepPreview, StepResult
from services.executor.yaml_section import Section
from services.platform.sql import Block

DIGITS: Final = 6
"""After the point, of money in a run's story: what a sum of FLOAT64 has beyond them is noise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Publish:
    """The step."""

    FINDS: ClassVar[Mapping[str, str]] = {}
    block: Block
    """A script whose last statement answers `published BOOL, rows_published INT64`, and may answer what became of days that were there
    before: `moved ARRAY<STRUCT<usage_date DATE, currency STRING, cost_before FLOAT64, cost_after FLOAT64>>`.
    """
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
        return StepResult(rows_processed=outcome["rows_published"], metadata={"table": self.table} | _moved(outcome))

    async def preview(self, context: StepContext) -> StepPreview:
        """See Previewed."""
        await context.tools.store.ensure_table(context.run.tenant_id, self.table, self.create)
        return StepPreview(bytes_read=await context.dry_run(self.block))


def _moved(outcome: Mapping[str, Any]) -> dict[str, object]:
    if "moved" not in outcome:
        return {}
    days = [
        {
            "usage_date": day["usage_date"].isoformat(),
            "currency": day["currency"],
            "cost_before": round(day["cost_before"], DIGITS),
            "cost_after": round(day["cost_after"], DIGITS),
            "cost_moved": round(day["cost_after"] - day["cost_before"], DIGITS),
        }
        for day in outcome["moved"]
    ]
    return {"moved": days}


def parse(section: Section, scope: Scope) -> Step:
    """See StepType."""
    return Publish(block=scope.block(section), table=section.text("table"), create=scope.table(section))
