"""The trace context between processes (W3C Trace Context: `traceparent` and `tracestate`)."""

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.trace import SpanContext
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_W3C = TraceContextTextMapPropagator()


def read(metadata: Mapping[str, str]) -> SpanContext | None:
    """The span of the caller; None if it names none, or not as the standard wants it."""
    context = trace.get_current_span(_W3C.extract(metadata)).get_span_context()
    return context if context.is_valid else None


def headers() -> dict[str, str]:
    """What says to the next process in which span we are; empty if in none."""
    written = dict[str, str]()
    if trace.get_current_span().get_span_context().is_valid:
        _W3C.inject(written)
    return written
