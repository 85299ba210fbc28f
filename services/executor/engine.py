"""Executes one run: its steps in the template's order, each logged, until the last has ended."""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from services.executor.failures import StepFailed
from services.executor.parameters import Value
from services.executor.plan import should_run
from services.executor.runs import Run, RunStatus, StepLog, StepStatus
from services.executor.staging import StagingTable
from services.executor.steps.step import StepContext, StepResult, Toolbox
from services.executor.templates import Template, TemplateStep
from services.platform.errors import ConvergenceError, Unavailable
from services.platform.transient import backoff

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A run, and what it executes."""

    run: Run
    template: Template
    parameters: Mapping[str, Value]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a run ended."""

    status: RunStatus
    rows_processed: int | None = None
    error_message: str | None = None


@dataclass(kw_only=True, slots=True)
class _Progress:
    """What has happened so far."""

    ended: dict[str, StepStatus] = field(default_factory=dict)
    found: dict[str, object] = field(default_factory=dict)
    staging: tuple[StagingTable, ...] = ()
    rows_processed: int | None = None
    error_message: str | None = None
    """Of the first step that failed."""


async def execute(job: Job, tools: Toolbox) -> Outcome:
    """Runs all steps, and drops what was staged, whatever happens. A failed step fails the run. Raises CancelledError only."""
    progress = _Progress()
    try:
        for step in job.template.steps:
            if should_run(needs=step.needs, when=step.when, ended=progress.ended):
                await _perform(job, step, progress, tools)
            else:
                progress.ended[step.id] = StepStatus.SKIPPED
                await _log_step(job, step, StepStatus.SKIPPED, tools)
    finally:
        await _drop_staging(job, progress, tools)
    if progress.error_message is not None:
        return Outcome(status=RunStatus.FAILED, error_message=progress.error_message)
    return Outcome(status=RunStatus.COMPLETED, rows_processed=progress.rows_processed)


async def _perform(job: Job, step: TemplateStep, progress: _Progress, tools: Toolbox) -> None:
    waits = backoff(first=1.0, most=30.0)
    for attempt in range(1, step.attempts + 1):
        began = tools.clock.now()
        await _log_step(job, step, StepStatus.RUNNING, tools, attempt=attempt)
        try:
            result = await _attempt(job, step, progress, tools)
        except asyncio.CancelledError:
            stopped = "The run was stopped while this step worked."
            await _log_step(job, step, StepStatus.FAILED, tools, attempt=attempt, error_message=stopped, metadata={"can_heal": True})
            raise
        took = round((tools.clock.now() - began).total_seconds() * 1000)
        if isinstance(result, StepResult):
            progress.ended[step.id] = StepStatus.COMPLETED
            progress.found.update(result.found)
            progress.staging += result.staging
            progress.rows_processed = progress.rows_processed if result.rows_processed is None else result.rows_processed
            told: dict[str, Any] = {"rows_processed": result.rows_processed, "metadata": result.metadata}
            await _log_step(job, step, StepStatus.COMPLETED, tools, attempt=attempt, duration_ms=took, **told)
            return
        why: dict[str, Any] = {"error_message": result.message, "metadata": _healing(result, progress)}
        await _log_step(job, step, StepStatus.FAILED, tools, attempt=attempt, duration_ms=took, **why)
        if attempt < step.attempts and result.can_heal:
            await asyncio.sleep(next(waits))
            continue
        progress.ended[step.id] = StepStatus.FAILED
        progress.error_message = progress.error_message or f"Step {step.id}: {result.message}"
        return


def _healing(failure: StepFailed, progress: _Progress) -> dict[str, Any]:
    """Whether another attempt may work, for whoever decides on one. Said by the failure that fails the run, not by later ones."""
    return {"can_heal": failure.can_heal} if progress.error_message is None else {}


async def _attempt(job: Job, step: TemplateStep, progress: _Progress, tools: Toolbox) -> StepResult | StepFailed:
    """One try. What goes wrong comes back in words for the tenant; what they do not tell is in the log."""
    context = StepContext(
        run=job.run,
        provider=job.template.name.provider,
        step_id=step.id,
        timeout_seconds=step.timeout_seconds,
        parameters=job.parameters,
        found=dict(progress.found),
        staging=progress.staging,
        tools=tools,
    )
    try:
        async with asyncio.timeout(step.timeout_seconds):
            return await step.action.run(context)
    except StepFailed as error:
        _log.info("step_failed", step=step.id, cause=repr(error.__cause__.__class__.__name__))
        return error
    except TimeoutError:
        return StepFailed(f"It took longer than {step.timeout_seconds} s and was stopped.", can_heal=True)
    except Unavailable as error:
        return StepFailed(error.message, can_heal=True)
    except ConvergenceError as error:
        return StepFailed(error.message)
    except Exception:  # noqa: BLE001 - a bug fails its run, not the executor
        _log.exception("step_broke", step=step.id)
        told = f"Something broke on our side. Quote pipeline_logging_id {job.run.pipeline_logging_id} when you ask for help."
        return StepFailed(told, can_heal=True)


async def _drop_staging(job: Job, progress: _Progress, tools: Toolbox) -> None:
    for table in progress.staging:
        try:
            await tools.staging.drop(job.run.tenant_id, table)
        except Exception as error:  # noqa: BLE001 - it expires by itself; the run's outcome does not depend on it
            _log.warning("staging_left", table=table.name, error=type(error).__name__)


async def _log_step(
    job: Job,
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
    line = StepLog(
        log_id=str(uuid.uuid4()),
        tenant_id=job.run.tenant_id,
        user_id=job.run.user_id,
        pipeline_logging_id=job.run.pipeline_logging_id,
        step_id=step.id,
        step_type=step.type,
        step_index=step.index,
        attempt=attempt,
        action=status.action,
        provider=job.template.name.provider.upper(),
        status=status,
        rows_processed=rows_processed,
        duration_ms=duration_ms,
        error_message=error_message,
        metadata=metadata or {},
        timestamp=tools.clock.now(),
    )
    try:
        await tools.store.log_steps(job.run.tenant_id, [line])
    except Exception as error:  # noqa: BLE001 - a line less in the story; the work itself is not undone for it
        _log.warning("step_log_lost", step=step.id, status=status, error=type(error).__name__)
