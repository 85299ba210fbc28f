"""How far a run has come: which of its steps have ended, and how, what that makes of the run, and the lines that say so."""

import asyncio
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from services.executor.errors import StepError
from services.executor.metering.meter import RunMeter
from services.executor.records import RunOutcome, RunStatus, StepLog, StepStatus
from services.executor.runs.last_step import Foresight, in_order_of_counts
from services.executor.runs.prepared import PreparedRun
from services.executor.staging.shape import Stages, StagingTable
from services.executor.templates.step import StepContext, StepResult, Toolbox
from services.executor.templates.step_reader import TemplateStep

RUNNING = RunOutcome(status=RunStatus.RUNNING)
"""The outcome passed to work steps: the run has not ended yet."""

_log = structlog.get_logger()


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
    """The steps that were stopped because the concurrent publish did not succeed."""
    working: set[str] = field(default_factory=set)
    """The steps that are at work."""
    meter: RunMeter = field(default_factory=RunMeter)
    """What the run has used; `execute` puts the run's own here."""
    foresight: Foresight = field(default_factory=Foresight)

    @property
    def is_final(self) -> bool:
        """True if another attempt would fail, too, as far as is known by now."""
        return bool(self.final)

    def is_needless(self, step: TemplateStep) -> bool:
        """True if the concurrent publish has not succeeded."""
        return step.beside is not None and self.ended.get(step.beside, StepStatus.COMPLETED) is not StepStatus.COMPLETED

    def stop_needless(self, steps: Iterable[TemplateStep], tasks: Mapping[str, asyncio.Task[None]]) -> None:
        """Cancels the tasks of the steps whose work can no longer be published."""
        for step in steps:
            if step.id in self.working - self.ended.keys() and self.is_needless(step):
                self.in_vain.add(step.id)
                tasks[step.id].cancel()

    def has_nothing_for(self, step: TemplateStep) -> bool:
        """True for a work step that needs a step which has found nothing to do."""
        return step.is_work and any(self.results[need].is_unchanged for need in step.ancestors if need in self.results)

    def seen_by(self, step: TemplateStep, steps: tuple[TemplateStep, ...]) -> RunOutcome:
        """The outcome that a step sees: for final steps the run's outcome so far, for work steps RUNNING."""
        if step.is_work:
            return RUNNING
        return self.stopped or self.outcome(steps)

    def outcome(self, steps: tuple[TemplateStep, ...]) -> RunOutcome:
        """The first failure in the template's order, work steps before final ones. Without a failure: COMPLETED, with the row count of the
        last step that reports one. The template's own steps come before the steps that it includes.
        """
        for step in sorted(steps, key=lambda one: not one.is_work):
            if step.id in self.failures:
                why = f"Step {step.id}: {self.failures[step.id]}"
                return RunOutcome(status=RunStatus.FAILED, error_message=why, is_final=step.id in self.final)
        results = [self.results[step.id] for step in in_order_of_counts(steps) if step.id in self.results]
        rows = next((result.rows_processed for result in results if result.rows_processed is not None), None)
        ended_at = next((result.ended_at for result in results if result.ended_at is not None), None)
        return RunOutcome(status=RunStatus.COMPLETED, rows_processed=rows, ended_at=ended_at)


def context_of(
    prepared: PreparedRun, step: TemplateStep, results: Mapping[str, StepResult], tools: Toolbox, *, outcome: RunOutcome = RUNNING
) -> StepContext:
    """What a step sees of the results of earlier steps."""
    known = [results[one.id] for one in prepared.template.steps if one.id in step.ancestors and one.id in results]
    return StepContext(
        run=prepared.run,
        provider=prepared.template.name.provider,
        step_id=step.id,
        timeout_seconds=step.timeout_seconds,
        parameters=prepared.values,
        period=prepared.period or next((result.period for result in known if result.period), None),
        outputs={name: value for result in known for name, value in result.outputs.items()},
        staging=tuple(table for result in known for table in result.staging),
        outcome=outcome,
        tools=tools,
        staged_later=staged_by(prepared, [one for one in prepared.template.steps if step.id in one.ancestors]),
        requested_at=prepared.requested_at,
    )


def staged_by(prepared: PreparedRun, steps: Iterable[TemplateStep]) -> tuple[StagingTable, ...]:
    """The staging tables that these steps fill from others."""
    return tuple(step.action.staged_in(prepared.run) for step in steps if isinstance(step.action, Stages))


@dataclass(frozen=True, kw_only=True, slots=True)
class TryEnd:
    """Notes how a try of a step has ended, and logs it."""

    prepared: PreparedRun
    progress: RunProgress
    tools: Toolbox
    attempt: int = 1
    duration_ms: int = 0
    cost: Mapping[str, Any] = field(default_factory=dict)
    """For the line's metadata."""

    def complete(self, step: TemplateStep, result: StepResult) -> None:
        """It has succeeded."""
        self.progress.ended[step.id], self.progress.results[step.id] = StepStatus.COMPLETED, result
        self._log(step, StepStatus.COMPLETED, rows_processed=result.rows_processed, metadata={**result.metadata, **self.cost})

    def fail(self, step: TemplateStep, error: StepError, *, is_last: bool = True, says_retryable: bool = True) -> None:
        """It has failed. `is_last`: it is not tried again. `says_retryable`: its error says whether the run may be retried."""
        can_heal = {"can_heal": error.is_retryable} if says_retryable else {}
        self._log(step, StepStatus.FAILED, error_message=error.message, metadata={**error.metadata, **can_heal, **self.cost})
        if is_last:
            self.progress.ended[step.id] = StepStatus.FAILED
            self.progress.failures[step.id] = error.message
            if says_retryable and not error.is_retryable:
                self.progress.final.add(step.id)

    def _log(self, step: TemplateStep, status: StepStatus, **columns: Any) -> None:
        log_step(self.prepared, step, status, self.tools, attempt=self.attempt, duration_ms=self.duration_ms, **columns)


def log_step(  # noqa: PLR0913 - the columns of a line
    prepared: PreparedRun,
    step: TemplateStep,
    status: StepStatus,
    tools: Toolbox,
    *,
    attempt: int = 1,
    rows_processed: int | None = None,
    duration_ms: int | None = None,
    error_message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """A line of x_meta_step_logs. It is lost if it cannot be written: the work itself is not undone for it."""
    line = StepLog(
        log_id=str(uuid.uuid4()),
        tenant_id=prepared.run.tenant_id,
        user_id=prepared.run.user_id,
        pipeline_logging_id=prepared.run.pipeline_logging_id,
        step_id=step.id,
        step_type=step.type,
        step_index=step.index,
        attempt=attempt,
        action=status.action,
        provider=prepared.credentials_provider,
        status=status,
        rows_processed=rows_processed,
        duration_ms=duration_ms,
        error_message=error_message,
        metadata=metadata or {},
        timestamp=tools.clock.now(),
    )
    try:
        tools.store.log_steps(prepared.run.tenant_id, [line])
    except Exception as error:  # noqa: BLE001
        _log.warning("step_log_lost", step=step.id, status=status, error=type(error).__name__)
