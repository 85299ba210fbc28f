"""The queue between spans that have ended and the collector: bounded, and what it cannot hold is dropped and counted."""

import threading
from collections.abc import Sequence
from typing import Final, Protocol, override

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from services.platform.metrics.process import SPANS

MAX_WAITING: Final = 4096
"""Spans of a process that wait to be sent or are being sent; some 2 KiB each."""
BATCH: Final = 512
EVERY_SECONDS: Final = 2.0
"""How long a span waits for others to be sent with."""


class _Ended(Protocol):
    """Called once a batch."""

    def __call__(self, number: int, *, is_taken: bool) -> None:
        """So many spans were sent; whether the collector took them."""


class BoundedQueue(SpanProcessor):
    """Passes ended spans to the exporter in batches, in a thread of its own. Never blocks: while MAX_WAITING spans wait, further ones are
    dropped.
    """

    def __init__(self, exporter: SpanExporter, *, max_waiting: int = MAX_WAITING, every_seconds: float = EVERY_SECONDS) -> None:
        self._lock, self._waiting, self._max_waiting = threading.Lock(), 0, max_waiting
        counted = _Counted(exporter, self._sent)
        self._batches = BatchSpanProcessor(
            counted,
            # Its own queue is never full: it would drop without a word to us.
            max_queue_size=max(max_waiting, BATCH),
            schedule_delay_millis=every_seconds * 1000,
            max_export_batch_size=min(max_waiting, BATCH),
        )

    @override
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        pass

    @override
    def on_end(self, span: ReadableSpan) -> None:
        with self._lock:
            is_full = self._waiting >= self._max_waiting
            self._waiting += not is_full
        if is_full:
            SPANS.labels("dropped").inc()
        else:
            self._batches.on_end(span)

    @override
    def shutdown(self) -> None:
        """Sends what waits. Blocks until that has been sent or has failed."""
        self._batches.shutdown()  # type: ignore[no-untyped-call]

    @override
    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._batches.force_flush(timeout_millis)

    def _sent(self, number: int, *, is_taken: bool) -> None:
        SPANS.labels("sent" if is_taken else "failed").inc(number)
        with self._lock:
            self._waiting -= number


class _Counted(SpanExporter):
    """Says how each batch ended."""

    def __init__(self, exporter: SpanExporter, ended: _Ended) -> None:
        self._exporter, self._ended = exporter, ended

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self._ended(len(spans), is_taken=result is SpanExportResult.SUCCESS)
        return result

    @override
    def shutdown(self) -> None:
        self._exporter.shutdown()
