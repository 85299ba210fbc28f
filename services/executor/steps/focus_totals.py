"""`gcp.focus_totals`: the cloud's own FOCUS totals for the run's days, by day and currency, for a check that compares ours with them.

They are read with the tenant's own identity, and only if the run's parameter asks for it. The run does not depend on them: without totals
the step completes, and its metadata says why there are none.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar

import structlog

from services.executor.errors import StepError
from services.executor.records import Period
from services.executor.sources.source import CheckCancelled, Estimate, FocusReport, FocusReporter, Source, SourceType
from services.executor.steps.reading.at_source import at_source
from services.executor.templates.parameters import ParameterType
from services.executor.templates.period import DAY
from services.executor.templates.section import Section
from services.executor.templates.step import Scope, Step, StepContext, StepDryRun, StepResult, StepType
from services.platform.errors import ConvergenceError

SECONDS = 120.0
"""Timeout of the query; at most half of the step's own timeout, so that this step ends the wait before the step fails."""

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class FocusTotals:
    """A step of type `gcp.focus_totals`."""

    OUTPUTS: ClassVar[Mapping[str, str]] = {
        "reported_totals": "ARRAY<STRUCT<day DATE, currency STRING, billed_cost NUMERIC>>",
        "reported_from": "STRING",
        "reported_note": "STRING",
    }
    source_type: SourceType
    only_if: str
    """The boolean parameter that enables it."""

    async def run(self, context: StepContext) -> StepResult:
        """Returns the totals, or a note why there are none. Raises only what cancels the run."""
        report = await self._ask(context, lambda source, period, check_cancelled: source.focus_totals(period, check_cancelled))
        if isinstance(report, str):
            report = FocusReport(table=None, note=report)
        days = context.period.days if context.period else []
        return StepResult(
            outputs={
                "reported_totals": [asdict(total) for total in report.totals if total.day in days],
                "reported_from": report.table,
                "reported_note": report.note,
            },
            metadata={"reported_from": report.table, "note": report.note},
        )

    async def dry_run(self, context: StepContext) -> StepDryRun:
        """Estimates the query; a reason why there would be no totals is a note, as in a run."""
        estimate = await self._ask(context, lambda source, period, check_cancelled: source.estimate_focus_totals(period, check_cancelled))
        if isinstance(estimate, str):
            return StepDryRun(bytes_read=0, cost_usd=0.0, metadata={"note": estimate})
        return StepDryRun(bytes_read=estimate.bytes_read, cost_usd=estimate.cost_usd)

    async def _ask[Answer: (FocusReport, Estimate)](
        self, context: StepContext, ask: Callable[[FocusReporter, Period, CheckCancelled], Answer]
    ) -> Answer | str:
        """The source's result, or a sentence for the tenant that says why there is none."""
        period = context.period
        if period is None:
            raise TypeError("the template must run for days")
        if context.parameters[self.only_if] is not True:
            return f"Nothing was compared: the parameter {self.only_if} was not set to true."

        def use(source: Source, check_cancelled: CheckCancelled) -> Answer | str:
            if not isinstance(source, FocusReporter):
                return f"Nothing was compared: {self.source_type.provider} has no FOCUS data of its own beside what is read."
            return ask(source, period, check_cancelled)

        try:
            async with asyncio.timeout(min(SECONDS, context.timeout_seconds / 2)):
                return await at_source(context, self.source_type, use)
        except TimeoutError:
            return "Nothing was compared: the answer took too long."
        except (StepError, ConvergenceError) as error:
            return f"Nothing was compared: {error.message}"
        except Exception:  # noqa: BLE001 - the comparison is optional: the run must not fail because of it
            _log.exception("focus_totals_broke")
            return "Nothing was compared: something broke on our side."


def focus_totals_from(step_type: str, load: Callable[[], SourceType]) -> StepType:
    """The step type of this name, for sources of the type returned by `load`."""

    def parse(section: Section, scope: Scope) -> Step:
        only_if = section.text("only_if")
        if not scope.covers_days:
            rule = f"{step_type} reads days: the template must declare a parameter `{DAY}` of type {ParameterType.DATE}"
            raise section.error(rule, may_follow=True)
        if only_if not in scope.parameters or scope.parameters[only_if].type is not ParameterType.BOOLEAN:
            raise section.error(f"`{only_if}` is no parameter of type {ParameterType.BOOLEAN} of this template", "only_if", may_follow=True)
        return FocusTotals(source_type=load(), only_if=only_if)

    return parse
