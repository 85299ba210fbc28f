"""The tracer of this process, and the spans that it makes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from secrets import randbits
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN, Link, NonRecordingSpan, Span, SpanContext, SpanKind, Tracer

from services.platform.tracing import failures

type Attributes = Mapping[str, str | int | float | bool]

SCOPE: Final = "convergence"
root_trace_id: ContextVar[int] = ContextVar("root_trace_id", default=0)
"""The trace id that the next root span is to have; 0: a random one."""


class _Process:
    tracer: Tracer | None = None


def use(tracer: Tracer | None) -> None:
    """From now on spans are made by this tracer; None: none are made. Call it before the server is built."""
    _Process.tracer = tracer


def is_on() -> bool:
    """True if spans may be recorded."""
    return _Process.tracer is not None


def new_trace_id() -> str | None:
    """For a trace that begins later, see `root`: 32 lower-case hex digits. None with tracing off."""
    return trace.format_trace_id(randbits(128) or 1) if is_on() else None


def is_sampled(one: Span) -> bool:
    """True if its trace is recorded, also if the span itself has ended: what works on in its name belongs to it."""
    context = one.get_span_context()
    return context.is_valid and context.trace_flags.sampled


def trace_id() -> str | None:
    """The id of the trace in which the current task works, if it is recorded."""
    current = trace.get_current_span()
    return trace.format_trace_id(current.get_span_context().trace_id) if is_sampled(current) else None


def annotate(attributes: Attributes) -> None:
    """Adds attributes to the current span, if it is recorded."""
    trace.get_current_span().set_attributes(attributes)


def note_answer(code: str, reason: str | None) -> None:
    """Says on the current span, of a call that is served here, how it was answered: gRPC's code by name, and the reason of a refusal."""
    failures.note_answer(trace.get_current_span(), code, reason)


@contextmanager
def span(name: str, attributes: Attributes | None = None, *, kind: SpanKind = SpanKind.INTERNAL) -> Iterator[Span]:
    """A span inside the current one, if that is recorded. An exception that leaves it is noted, as `note_failure` does."""
    tracer = _Process.tracer
    if tracer is None or not is_sampled(trace.get_current_span()):
        yield INVALID_SPAN
        return
    with _current(tracer.start_span(name, kind=kind, attributes=attributes)) as made:
        yield made


def begin(name: str, attributes: Attributes, *, inside: Span, kind: SpanKind = SpanKind.INTERNAL) -> Span:
    """As `span`, inside the span `inside`, and without making it the current one: for work that goes from thread to thread. The caller ends
    it.
    """
    tracer = _Process.tracer
    if tracer is None or not is_sampled(inside):
        return INVALID_SPAN
    return tracer.start_span(name, trace.set_span_in_context(inside), kind=kind, attributes=attributes)


@contextmanager
def root(name: str, attributes: Attributes, *, of_trace: str | None) -> Iterator[Span]:
    """The first span of the trace `of_trace`, recorded always, with a link to the span in which it is made: what has caused it. None: there
    is none.
    """
    tracer = _Process.tracer
    if tracer is None or of_trace is None:
        yield INVALID_SPAN
        return
    cause = trace.get_current_span().get_span_context()
    chosen = root_trace_id.set(int(of_trace, 16))
    try:
        made = tracer.start_span(
            name, trace.set_span_in_context(INVALID_SPAN), attributes=attributes, links=[Link(cause)] if cause.is_valid else ()
        )
    finally:
        root_trace_id.reset(chosen)
    with _current(made):
        yield made


@contextmanager
def within(parent: SpanContext | None, name: str, attributes: Attributes, *, kind: SpanKind) -> Iterator[Span]:
    """A span inside that of another process, if that is recorded; else the other's trace is passed on without a span of ours. An exception
    that leaves it is not noted: `note_answer` says how the call was answered.
    """
    tracer = _Process.tracer
    if tracer is None or parent is None:
        yield INVALID_SPAN
        return
    there = NonRecordingSpan(parent)
    if not is_sampled(there):
        with trace.use_span(there):
            yield there
        return
    made = tracer.start_span(name, trace.set_span_in_context(there), kind=kind, attributes=attributes)
    with trace.use_span(made, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        yield made


@contextmanager
def _current(made: Span) -> Iterator[Span]:
    """Makes it the current span, and ends it."""
    with trace.use_span(made, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield made
        except BaseException as error:
            failures.note_failure(made, error)
            raise
