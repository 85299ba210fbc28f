"""What spans say of BigQuery's jobs. All of it may be called in the thread that waits for the job."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.trace import Span, SpanKind

from services.platform.tracing import tracer
from services.platform.tracing.calls import JOB_ID, of_bigquery


@contextmanager
def asked(what: str, *, job_id: str | None = None) -> Iterator[Span]:
    """A span around what is asked of BigQuery, also while it waits for its turn."""
    name, attributes = of_bigquery(what)
    with tracer.span(name, {**attributes, JOB_ID: job_id} if job_id else attributes, kind=SpanKind.CLIENT) as span:
        yield span


def note_waited(span: Span, seconds: float) -> None:
    """How long it waited for its table's budget and for a place, before it was sent."""
    span.add_event("sent", {"waited_ms": round(seconds * 1000)})


def note_retry(span: Span, error: Exception) -> None:
    """It will be sent again."""
    span.add_event("failed", {"error.type": type(error).__name__})


def note_job(job: Any) -> None:
    """What a job says of itself, on the current span."""
    if not tracer.is_on():
        return
    tracer.annotate(
        {
            JOB_ID: job.job_id or "",
            "bigquery.bytes_billed": getattr(job, "total_bytes_billed", None) or 0,
            "bigquery.slot_ms": getattr(job, "slot_millis", None) or 0,
        }
    )


def note_result(rows: Any) -> None:
    """The job of a statement whose job id BigQuery has chosen; without one, the id of the query."""
    if tracer.is_on():
        tracer.annotate({JOB_ID: rows.job_id} if rows.job_id else {"bigquery.query_id": rows.query_id or ""})


def trace_label() -> dict[str, str]:
    """The label that says to which trace a job belongs; none outside of a recorded trace."""
    identity = tracer.trace_id()
    return {"trace_id": identity} if identity else {}
