"""Work that is done once for several callers, each with a trace of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN, Span

from services.platform.tracing.tracer import is_on, is_sampled, span


def callers_span() -> Span:
    """The span of a caller whose work joins a batch."""
    return trace.get_current_span() if is_on() else INVALID_SPAN


@contextmanager
def together(callers: Sequence[Span], what: str) -> Iterator[None]:
    """Does the work inside in the trace of the one caller whose trace is recorded. With several of them, a span `what` in the first one's
    trace has links to the others, and theirs to it. With none it belongs to no trace.
    """
    if not is_on():
        yield
        return
    recorded = list({one.get_span_context().span_id: one for one in callers if is_sampled(one)}.values())
    first = recorded[0] if recorded else INVALID_SPAN
    with trace.use_span(first, record_exception=False, set_status_on_exception=False):
        if len(recorded) <= 1:
            yield
            return
        with span(what, {"convergence.batch_size": len(callers)}) as shared:
            for other in recorded[1:]:
                shared.add_link(other.get_span_context())
                if other.is_recording():
                    other.add_link(shared.get_span_context())
            yield
