"""Decides which step is a run's last. A publish that knows that it is the last step can record the run's end, too.

A step that often has nothing to do (`Foreseeing`) is asked while the first steps run. If only steps with nothing to do are left when a
publish begins, their results are logged first, and the publish is the last step.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from services.executor.records import StepStatus
from services.executor.templates.step import EndsRun, Foreseeing, LastStep, StepContext, StepResult
from services.executor.templates.step_reader import TemplateStep

_log = structlog.get_logger()


def may_end(step: TemplateStep, steps: Sequence[TemplateStep]) -> bool:
    """True if the step can record the run's end at all. A run with final steps ends after them: they may fail, and they learn how the run
    ends before it ends.
    """
    return isinstance(step.action, EndsRun) and all(one.is_work for one in steps)


def steps_left(
    step: TemplateStep, steps: Sequence[TemplateStep], ended: Mapping[str, StepStatus], *, along: TemplateStep | None = None
) -> list[TemplateStep] | None:
    """The other steps that have not ended, without the step that is done along with this one. None if the run has already failed, or if one
    of them works or waits concurrently with this step.
    """
    left = [one for one in steps if one.id not in ended and one not in (step, along)]
    if StepStatus.FAILED in ended.values() or any(step.id not in one.ancestors for one in left):
        return None
    return left


def row_count_before(step: TemplateStep, steps: Sequence[TemplateStep], results: Mapping[str, StepResult]) -> int | None:
    """The run's row count; None if `step` is the step that reports it."""
    for one in in_order_of_counts(steps):
        if one.id == step.id:
            return None
        if one.id in results and (rows := results[one.id].rows_processed) is not None:
            return rows
    return None


def in_order_of_counts(steps: Sequence[TemplateStep]) -> list[TemplateStep]:
    """The steps in the order in which they are asked for the run's row count: the first that reports one decides. The last steps come
    first, and the template's own steps come before the steps that it includes.
    """
    return sorted(steps, key=lambda one: (one.is_included, -one.index))


@dataclass(kw_only=True, slots=True)
class Foresight:
    """What steps have foreseen, of one run."""

    asked: dict[str, asyncio.Task[StepResult | None]] = field(default_factory=dict)

    def begin(self, step: TemplateStep, context: StepContext, group: asyncio.TaskGroup) -> None:
        """Asks the step, if it foresees anything; in `group`, which ends with the run's steps."""
        if isinstance(step.action, Foreseeing):
            self.asked[step.id] = group.create_task(_ask(step.action, step.id, context))

    async def of(self, steps: Sequence[TemplateStep]) -> list[StepResult] | None:
        """The results of these steps if none of them has anything to do, else None."""
        if any(step.id not in self.asked for step in steps):
            return None
        found = [await self.asked[step.id] for step in steps]
        known = [result for result in found if result is not None]
        return known if len(known) == len(found) else None


async def _ask(action: Foreseeing, step_id: str, context: StepContext) -> StepResult | None:
    try:
        return await action.foresee(context)
    except Exception as error:  # noqa: BLE001 - it is not foreseen then: the step runs in its turn, and says what is wrong
        _log.info("not_foreseen", step=step_id, error=type(error).__name__)
        return None


def last_step(step: TemplateStep, steps: Sequence[TemplateStep], results: Mapping[str, StepResult]) -> LastStep:
    """What the last step gets to know."""
    return LastStep(rows_processed=row_count_before(step, steps, results))
