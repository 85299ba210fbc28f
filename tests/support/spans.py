"""Spans of this process, kept in memory."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.platform.trace_export.provider import provider
from services.platform.tracing import tracer

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
"""Trace and span of a caller."""
SAMPLED, UNSAMPLED = (f"00-{CALLER[0]}-{CALLER[1]}-{flags}" for flags in ("01", "00"))


@contextmanager
def kept_spans() -> Iterator[InMemorySpanExporter]:
    """Tracing is on in this process."""
    kept = InMemorySpanExporter()
    tracer.use(provider(SimpleSpanProcessor(kept), "test").get_tracer(tracer.SCOPE))
    try:
        yield kept
    finally:
        tracer.use(None)
