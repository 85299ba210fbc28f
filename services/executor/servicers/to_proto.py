"""Domain types to proto messages."""

from collections.abc import Mapping, Sequence
from typing import Any

from convergence.executor.v1 import pipeline_service_pb2 as messages
from convergence.executor.v1 import run_pb2, template_pb2
from google.protobuf import struct_pb2

from services.executor.records import DqResult, Run, StepLog
from services.executor.runs.dry_run import DryRun
from services.executor.runs.prepared import PreparedRun
from services.executor.templates.body_schema import body_schema
from services.executor.templates.declared import CALENDAR
from services.executor.templates.period import days_not_over
from services.executor.templates.template import Template
from services.platform.timestamps import to_timestamp


def to_run(run: Run, steps: Sequence[StepLog] = (), results: Sequence[DqResult] = ()) -> run_pb2.Run:
    """A run; `steps` and `results` are what GetRun adds."""
    return run_pb2.Run(
        pipeline_logging_id=run.pipeline_logging_id,
        tenant_id=run.tenant_id,
        pipeline_id=run.pipeline_id,
        user_id=run.user_id,
        status=run.status,
        trigger_type=run.trigger_type,
        trigger_by=run.trigger_by,
        run_id=run.run_id,
        attempt=run.attempt,
        parameters=_struct(run.parameters),
        started_at=to_timestamp(run.started_at),
        deadline_at=to_timestamp(run.deadline_at),
        completed_at=to_timestamp(run.completed_at),
        duration_ms=run.duration_ms,
        rows_processed=run.rows_processed,
        error_message=run.error_message,
        steps=[to_step_log(step) for step in steps],
        dq_results=[to_dq_result(result) for result in results],
        days_not_over=_days_not_over(run, steps),
        bytes_billed=run.bytes_billed,
        slot_ms=run.slot_ms,
        bytes_read=run.bytes_read,
        cost_usd=run.cost_usd,
        trace_id=run.trace_id,
    )


def _days_not_over(run: Run, steps: Sequence[StepLog]) -> list[str]:
    """By the run's parameters; of a run whose days are found by a step, by what this step has logged."""
    asked = {day.isoformat() for day in days_not_over(run.parameters, run.started_at)}
    found = {str(day) for step in steps for day in step.metadata.get("days_not_over", ())}
    return sorted(asked | found)


def to_template(template: Template) -> template_pb2.Template:
    """A template with its parameters."""
    parameters = [
        template_pb2.TemplateParameter(
            name=spec.name,
            type=spec.type,
            required=spec.required,
            default=_value(spec.default),
            description=spec.description,
            choices=spec.choices,
            timezone=str(spec.zone) if spec.type in CALENDAR else "",
            scheduled=_value(spec.scheduled),
        )
        for spec in template.parameters
    ]
    return template_pb2.Template(
        provider=template.name.provider,
        domain=template.name.domain,
        template=template.name.template,
        description=template.description,
        parameters=parameters,
        steps=[template_pb2.TemplateStep(id=step.id, type=step.type, needs=step.needs) for step in template.steps],
        timeout_seconds=template.timeout_seconds,
        overlap=template.overlap,
        most_days=template.most_days,
        body_schema=_struct(body_schema(template)),
    )


def to_step_log(step: StepLog) -> run_pb2.StepLog:
    """One step log."""
    return run_pb2.StepLog(
        step_id=step.step_id,
        step_type=step.step_type,
        step_index=step.step_index,
        attempt=step.attempt,
        action=step.action,
        status=step.status,
        rows_processed=step.rows_processed,
        duration_ms=step.duration_ms,
        error_message=step.error_message,
        metadata=_struct(step.metadata),
        timestamp=to_timestamp(step.timestamp),
    )


def to_dq_result(result: DqResult) -> run_pb2.DqResult:
    """One verdict."""
    return run_pb2.DqResult(
        step_id=result.step_id,
        table_name=result.table_name,
        check_name=result.check_name,
        severity=result.severity,
        status=result.status,
        observed_value=result.observed_value,
        threshold=result.threshold,
        failing_rows=result.failing_rows,
        executed_at=to_timestamp(result.executed_at),
        sample_rows=[_struct(row) for row in result.sample_rows],
    )


def to_dry_run(prepared: PreparedRun, dry_run: DryRun) -> messages.ValidatePipelineResponse:
    """The result of a dry run."""
    run, period = prepared.run, prepared.period or dry_run.period
    return messages.ValidatePipelineResponse(
        valid=not dry_run.problems,
        problems=[messages.PipelineProblem(step_id=step_id, message=message) for step_id, message in dry_run.problems.items()],
        parameters=_struct(run.parameters),
        first_day=period.first.isoformat() if period else "",
        last_day=period.last.isoformat() if period else "",
        days_not_over=[day.isoformat() for day in (period.not_over(run.started_at) if period else [])],
        steps=[
            messages.StepPreview(
                step_id=step.step_id,
                step_type=step.step_type,
                bytes_read=step.bytes_read,
                cost_usd=step.cost_usd,
                metadata=_struct(step.metadata),
            )
            for step in dry_run.steps
        ],
        bytes_read=sum(step.bytes_read for step in dry_run.steps),
        cost_usd=sum(step.cost_usd for step in dry_run.steps),
        tenant_cost_usd=sum(step.cost_usd for step in dry_run.steps if step.is_paid_by_tenant),
    )


def _struct(value: Mapping[str, Any]) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    message.update(value)
    return message


def _value(value: object) -> struct_pb2.Value:
    return _struct({"it": value}).fields["it"]
