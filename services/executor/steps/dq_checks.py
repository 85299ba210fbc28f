"""`dq.checks`: one query measures all checks of the step; severity `error` fails the run, `warn` is only recorded."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from services.executor.quality import SEVERITIES, Check, Verdict, judge, refuse_errors
from services.executor.runs import DqResult
from services.executor.steps.step import Scope, Step, StepContext, StepPreview, StepResult
from services.executor.yaml_section import Section
from services.platform.sql import Block


@dataclass(frozen=True, kw_only=True, slots=True)
class Checks:
    """The step."""

    FINDS: ClassVar[Mapping[str, str]] = {}
    block: Block
    """Answers a row a check: check_name STRING, failing_rows INT64, observed_value STRING."""
    table: str
    """The table that the checked rows are for."""
    checks: tuple[Check, ...]

    async def run(self, context: StepContext) -> StepResult:
        """See Step. The verdicts are recorded before they are acted upon."""
        tools, run = context.tools, context.run
        answer = await context.query(self.block)
        verdicts = judge(self.checks, answer.rows)
        await tools.store.record_verdicts(run.tenant_id, [self._result(verdict, context) for verdict in verdicts])
        refuse_errors(verdicts)
        failed = [verdict.check.name for verdict in verdicts if not verdict.passed]
        return StepResult(metadata={"passed": len(verdicts) - len(failed), "warnings": failed})

    async def preview(self, context: StepContext) -> StepPreview:
        """See Previewed."""
        return StepPreview(bytes_read=await context.dry_run(self.block))

    def _result(self, verdict: Verdict, context: StepContext) -> DqResult:
        return DqResult(
            dq_result_id=str(uuid.uuid4()),
            tenant_id=context.run.tenant_id,
            user_id=context.run.user_id,
            pipeline_logging_id=context.run.pipeline_logging_id,
            step_id=context.step_id,
            table_name=self.table,
            check_name=verdict.check.name,
            severity=verdict.check.severity,
            status="PASSED" if verdict.passed else "FAILED",
            observed_value=verdict.observed_value,
            threshold=verdict.check.expect,
            failing_rows=verdict.failing_rows,
            executed_at=context.tools.clock.now(),
        )


def parse(section: Section, scope: Scope) -> Step:
    """See StepType."""
    checks = list[Check]()
    for entry in section.sections("checks", "a check"):
        check = Check(name=entry.text("name"), severity=entry.text("severity", "error", among=SEVERITIES), expect=entry.text("expect"))
        if any(check.name == other.name for other in checks):
            raise entry.error(f"the check {check.name} stands twice", "name")
        checks.append(check)
        entry.finish()
    if not checks:
        raise section.error("dq.checks needs at least one check in `checks`")
    scope.table(section)
    return Checks(block=scope.block(section), table=section.text("table"), checks=tuple(checks))
