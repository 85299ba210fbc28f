"""The trace of a run: its own, with a link to the call that has started it, which has been answered long before the run ends."""

from contextlib import AbstractContextManager

from opentelemetry.trace import Span, StatusCode, get_current_span

from services.executor.records import Run, RunStatus
from services.platform.tracing import tracer


def trace_of(run: Run) -> AbstractContextManager[Span]:
    """Around the execution of a run. The span's name says which pipeline; there are as few as templates."""
    attributes: tracer.Attributes = {
        "convergence.tenant_id": run.tenant_id,
        "convergence.pipeline_logging_id": run.pipeline_logging_id,
        "convergence.run_id": run.run_id or "",
        "convergence.attempt": run.attempt,
        "convergence.trigger": run.trigger_type,
    }
    return tracer.root(f"run {run.pipeline_id.removeprefix(f'{run.tenant_id}-')}", attributes, of_trace=run.trace_id)


def note_end(status: RunStatus) -> None:
    """How the run has ended, on its span."""
    span = get_current_span()
    span.set_attribute("convergence.status", status.value)
    if status is RunStatus.FAILED:
        span.set_status(StatusCode.ERROR)


def span_of(step_type: str, step_id: str, attempt: str) -> AbstractContextManager[Span]:
    """Around one try of a step."""
    return tracer.span(f"step {step_type}", {"convergence.step": step_id, "convergence.attempt": attempt})
