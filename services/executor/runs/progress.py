"""What a run that is being executed has done so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.executor.metering.meter import RunMeter
from services.executor.records import RunOutcome, RunStatus, StepStatus
from services.executor.runs.last_step import Foresight, in_order_of_counts
from services.executor.templates.step import StepResult
from services.executor.templates.step_reader import TemplateStep

RUNNING = RunOutcome(status=RunStatus.RUNNING)
"""The outcome passed to work steps: the run has not ended yet."""


@dataclass(kw_only=True, slots=True)
class RunProgress:
    """The results so far, by step."""

    ended: dict[str, StepStatus] = field(default_factory=dict)
    results: dict[str, StepResult] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    stopped: RunOutcome | None = None
    final: set[str] = field(default_factory=set)
    """The steps that failed with an error that another attempt would get, too."""
    in_vain: set[str] = field(default_factory=set)
    """The steps that were stopped, for the publish beside them did not succeed."""
    meter: RunMeter = field(default_factory=RunMeter)
    """What the run has used; `execute` puts the run's own here."""
    foresight: Foresight = field(default_factory=Foresight)

    @property
    def is_final(self) -> bool:
        """True if another attempt would fail, too, as far as is known by now."""
        return bool(self.final)

    def is_needless(self, step: TemplateStep) -> bool:
        """True if the publish beside it has not succeeded."""
        return step.beside is not None and self.ended.get(step.beside, StepStatus.COMPLETED) is not StepStatus.COMPLETED

    def needless(self, working: Mapping[str, TemplateStep]) -> list[TemplateStep]:
        """Those of the working steps that are to be stopped, by id; from now on they have worked in vain."""
        found = [step for step in working.values() if step.id not in self.ended and self.is_needless(step)]
        self.in_vain.update(step.id for step in found)
        return found

    def has_nothing_for(self, step: TemplateStep) -> bool:
        """True for a work step that needs one which has found nothing to do."""
        return step.is_work and any(self.results[need].is_unchanged for need in step.ancestors if need in self.results)

    def seen_by(self, step: TemplateStep, steps: tuple[TemplateStep, ...]) -> RunOutcome:
        """The outcome that a step sees: for final steps the run's outcome so far, for work steps RUNNING."""
        if step.is_work:
            return RUNNING
        return self.stopped or self.outcome(steps)

    def outcome(self, steps: tuple[TemplateStep, ...]) -> RunOutcome:
        """The first failure in the template's order, work steps before final ones; without a failure, the row count reported by the last
        step of the template itself, or, if none reports one, of those that it includes.
        """
        for step in sorted(steps, key=lambda one: not one.is_work):
            if step.id in self.failures:
                why = f"Step {step.id}: {self.failures[step.id]}"
                return RunOutcome(status=RunStatus.FAILED, error_message=why, is_final=step.id in self.final)
        results = [self.results[step.id] for step in in_order_of_counts(steps) if step.id in self.results]
        rows = next((result.rows_processed for result in results if result.rows_processed is not None), None)
        ended_at = next((result.ended_at for result in results if result.ended_at is not None), None)
        return RunOutcome(status=RunStatus.COMPLETED, rows_processed=rows, ended_at=ended_at)
