"""Executes a run: starts each step as soon as the steps it needs have ended, several at once, and logs each.

Work steps (`when: on_success`) run first, then final steps (`on_failure`, `always`). After a cancel or timeout the final steps get
FINALIZER_SECONDS in total. If a step fails, the steps that need it are SKIPPED, and the others continue. Exception: steps that run
concurrently with a publish are stopped and SKIPPED if the publish does not succeed. Results are combined in the template's order,
independent of the order in which steps end.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog

from services.executor.errors import StepError
from services.executor.metering.meter import StepMeter
from services.executor.records import RunOutcome, StepStatus
from services.executor.run_spans import span_of
from services.executor.runs.last_step import last_step, may_end, steps_left
from services.executor.runs.prepared import PreparedRun
from services.executor.runs.progress import RunProgress, TryEnd, context_of, log_step, staged_by
from services.executor.templates.graph import should_run
from services.executor.templates.step import LastStep, StepContext, StepResult, Toolbox, UsesTables
from services.executor.templates.step_reader import Joining, TemplateStep
from services.platform.backoff import backoff
from services.platform.bigquery import errors as bigquery
from services.platform.errors import ConvergenceError, Unavailable
from services.platform.metrics.runs import STEP_SECONDS

FINALIZER_SECONDS = 30.0
"""For all final steps of a stopped run together; less than the time that the reconciler leaves an executor to record the run's end."""
BESIDE_PART = 0.5
"""The part of what is left of the run's cap that a step may use concurrently with a publish. The rest is left to the publish."""

_log = structlog.get_logger()


async def execute(prepared: PreparedRun, tools: Toolbox, progress: RunProgress | None = None) -> RunOutcome:
    """Runs all steps, and drops their staging tables in any case. A failed step fails the run. All lines of the run are written, or lost,
    when this ends. Raises only CancelledError; `progress`, which is updated on the way, then shows what has been done.
    """
    progress = progress or RunProgress()
    progress.meter = tools.metering.meter(prepared.run, prepared.template.cap, prepared.allowance)
    tables = {table.name: table for step in prepared.template.steps if isinstance(step.action, UsesTables) for table in step.action.tables}
    tools.store.look_ahead(prepared.run.tenant_id, tables.values())
    work = [step for step in prepared.template.steps if step.is_work]
    finalizers = [step for step in prepared.template.steps if not step.is_work]
    try:
        try:
            await _run(prepared, work, progress, tools)
        except asyncio.CancelledError as stop:
            # A cancelled run gets its outcome from the canceller; the step's own timeout says nothing about it.
            progress.stopped = next((outcome for outcome in stop.args if isinstance(outcome, RunOutcome)), prepared.overdue())
            await _run_stopped(prepared, finalizers, progress, tools)
            raise
        await _run(prepared, finalizers, progress, tools)
    finally:
        drop_staging(prepared, progress.results, tools)
        tools.staging.drop_begun(prepared.run.tenant_id, staged_by(prepared, prepared.template.steps))
        await tools.store.flushed(prepared.run.tenant_id, prepared.run.pipeline_logging_id)
    return progress.outcome(prepared.template.steps)


async def _run(
    prepared: PreparedRun, steps: Sequence[TemplateStep], progress: RunProgress, tools: Toolbox, *, stopped: bool = False
) -> None:
    """Runs these steps, each after the steps that it needs. If this is cancelled, the steps are cancelled, too, and have ended when it
    raises.
    """
    before = dict(progress.ended)
    tasks = dict[str, asyncio.Task[None]]()

    async def joining(step: TemplateStep) -> TemplateStep | None:
        """The step that is done along with this one, once everything else that it needs has succeeded; None if there is no such step, or if
        something that it needs has not succeeded.
        """
        other = next((one for one in steps if one.joins == step.id), None)
        needs = [need for need in other.needs if need != step.id] if other else []
        if awaited := [tasks[need] for need in needs]:
            await asyncio.wait(awaited)
        return other if all(progress.ended.get(need) is StepStatus.COMPLETED for need in needs) else None

    async def when_due(step: TemplateStep) -> None:
        if awaited := [tasks[need] for need in step.needs if need in tasks]:
            await asyncio.wait(awaited)
        if step.id in progress.ended:  # as foreseen
            return
        ended = before | {need: progress.ended[need] for need in step.needs if need in progress.ended}
        is_due = should_run(needs=step.needs, when=step.when, ended=ended, stopped=stopped)
        if is_due and not progress.has_nothing_for(step) and not progress.is_needless(step):
            await _perform_unless_in_vain(prepared, step, progress, tools, await joining(step))
        else:
            progress.ended[step.id] = StepStatus.SKIPPED
            log_step(prepared, step, StepStatus.SKIPPED, tools)
        progress.stop_needless(steps, tasks)

    async with asyncio.TaskGroup() as group:
        if any(may_end(step, prepared.template.steps) for step in steps):
            for step in steps:
                progress.foresight.begin(step, context_of(prepared, step, {}, tools), group)
        for step in steps:
            tasks[step.id] = group.create_task(when_due(step))


async def _run_stopped(prepared: PreparedRun, finalizers: Sequence[TemplateStep], progress: RunProgress, tools: Toolbox) -> None:
    try:
        async with asyncio.timeout(FINALIZER_SECONDS):
            await _run(prepared, finalizers, progress, tools, stopped=True)
    except TimeoutError:
        _log.warning("final_steps_cut_short", seconds=FINALIZER_SECONDS)


async def _perform_unless_in_vain(
    prepared: PreparedRun, step: TemplateStep, progress: RunProgress, tools: Toolbox, other: TemplateStep | None
) -> None:
    """Performs a step, unless it is stopped because the concurrent publish has not succeeded."""
    progress.working.add(step.id)
    try:
        await _perform(prepared, step, progress, tools, other)
    except asyncio.CancelledError:
        if step.id not in progress.in_vain:
            raise
        progress.ended[step.id] = StepStatus.SKIPPED
        log_step(prepared, step, StepStatus.SKIPPED, tools, error_message=f"Stopped, for the step {step.beside} did not succeed.")
    finally:
        progress.working.discard(step.id)


async def _perform(prepared: PreparedRun, step: TemplateStep, progress: RunProgress, tools: Toolbox, other: TemplateStep | None) -> None:
    """`other` is done along with it, if it is not None and can be."""
    waits = backoff(first=1.0, most=30.0)
    last = await _if_last(prepared, step, progress, tools, other)
    # Only the first failure decides whether the run may be retried.
    says_retryable = step.is_work or not progress.failures
    for attempt in range(1, step.attempts + 1):
        part = BESIDE_PART if step.beside and step.beside not in progress.ended else 1.0
        began, meter = tools.clock.now(), progress.meter.step(step.id, attempt, part=part)
        log_step(prepared, step, StepStatus.RUNNING, tools, attempt=attempt)
        if last is not None:
            await tools.store.flushed(prepared.run.tenant_id, prepared.run.pipeline_logging_id)
        try:
            result = await _attempt(prepared, step, progress, tools, _Attempt(meter=meter, last=last, other=other))
        except asyncio.CancelledError:
            if step.id in progress.in_vain:
                raise
            progress.ended[step.id] = StepStatus.FAILED
            stopped = "The run was stopped while this step worked."
            metadata = {"can_heal": True, **_cost_of(meter)}
            log_step(prepared, step, StepStatus.FAILED, tools, attempt=attempt, error_message=stopped, metadata=metadata)
            raise
        seconds = (tools.clock.now() - began).total_seconds()
        took = round(seconds * 1000)
        STEP_SECONDS.labels(step.type, StepStatus.COMPLETED if isinstance(result, tuple) else StepStatus.FAILED).observe(seconds)
        end = TryEnd(prepared=prepared, progress=progress, tools=tools, attempt=attempt, duration_ms=took, cost=_cost_of(meter))
        if isinstance(result, tuple):
            first, second = result
            end.complete(step, first)
            if other and second:
                log_step(prepared, other, StepStatus.RUNNING, tools)
                # Both are in one statement, so the first step's cost covers both.
                end = replace(end, attempt=1, cost={})
                if isinstance(second, StepError):
                    end.fail(other, second)
                else:
                    end.complete(other, second)
            return
        if attempt < step.attempts and result.is_retryable:
            end.fail(step, result, is_last=False, says_retryable=says_retryable)
            await asyncio.sleep(next(waits))
            continue
        end.fail(step, result, says_retryable=says_retryable)
        return


async def _if_last(
    prepared: PreparedRun, step: TemplateStep, progress: RunProgress, tools: Toolbox, other: TemplateStep | None
) -> LastStep | None:
    """What the run's last step is given; None if anything but `other` is left to do after `step`. Steps that have nothing to do are ended
    first.
    """
    steps = prepared.template.steps
    if not may_end(step, steps) or (left := steps_left(step, steps, progress.ended, along=other)) is None:
        return None
    if (results := await progress.foresight.of(left)) is None:
        return None
    for one, result in zip(left, results, strict=True):
        log_step(prepared, one, StepStatus.RUNNING, tools)
        TryEnd(prepared=prepared, progress=progress, tools=tools).complete(one, result)
    return last_step(step, steps, progress.results)


def _cost_of(meter: StepMeter) -> dict[str, Any]:
    """For the log line of a try that has ended."""
    return {"cost": asdict(meter.cost)}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Attempt:
    meter: StepMeter
    last: LastStep | None
    other: TemplateStep | None
    """Done along with the step."""


async def _attempt(
    prepared: PreparedRun, step: TemplateStep, progress: RunProgress, tools: Toolbox, how: _Attempt
) -> tuple[StepResult, StepResult | StepError | None] | StepError:
    """One try: the result or error of the step, and of the other step if that is done, too. Errors are returned, worded for the tenant;
    details are logged.
    """
    outcome = progress.seen_by(step, prepared.template.steps)
    context = replace(context_of(prepared, step, progress.results, tools, outcome=outcome), meter=how.meter, last=how.last)
    try:
        with span_of(step.type, step.id, how.meter.labels.get("attempt", "1")):
            async with asyncio.timeout(step.timeout_seconds):
                return await _done(prepared, step, progress, tools, context, how.other)
    except StepError as error:
        _log.info("step_failed", step=step.id, cause=type(error.__cause__).__name__ if error.__cause__ else None)
        return error
    except TimeoutError:
        return StepError(f"It took longer than {step.timeout_seconds} s and was stopped.", is_retryable=True)
    except ConvergenceError as error:
        return StepError(error.message, is_retryable=isinstance(error, Unavailable))
    except bigquery.BadRequest:
        _log.exception("step_sql_refused", step=step.id)
        message = "BigQuery refuses this step's SQL, or its result for these rows. Tell the operator of this service."
        return StepError(message)
    except Exception:  # noqa: BLE001 - a bug fails its run, not the executor
        _log.exception("step_broke", step=step.id)
        message = f"Something broke on our side. Quote pipeline_logging_id {prepared.run.pipeline_logging_id} when you ask for help."
        return StepError(message, is_retryable=True)


async def _done(
    prepared: PreparedRun, step: TemplateStep, progress: RunProgress, tools: Toolbox, context: StepContext, other: TemplateStep | None
) -> tuple[StepResult, StepResult | StepError | None]:
    if other and isinstance(other.action, Joining):
        return await other.action.run_both(context, context_of(prepared, other, progress.results, tools))
    return await step.action.run(context), None


def drop_staging(prepared: PreparedRun, results: Mapping[str, StepResult], tools: Toolbox) -> None:
    """Drops the steps' staging tables, in the background."""
    tools.staging.drop_later(prepared.run.tenant_id, [table for result in results.values() for table in result.staging])
