"""Turns tracing on for the time of a process, if a collector is set."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from services.platform.settings import ServiceSettings
from services.platform.tracing import tracer

SEND_SECONDS: Final = 3.0
"""How long a batch is tried, again and again if need be; then its spans are lost, and counted as failed."""
LAST_SECONDS: Final = 2.0
"""How long a process that stops tries to send its last spans."""

_log = structlog.get_logger()


@asynccontextmanager
async def traced(settings: ServiceSettings, service: str) -> AsyncIterator[None]:
    """Records spans of `service` and sends them to the collector while the context is open; does nothing without `otlp_endpoint`. Leaving
    it sends what is left within LAST_SECONDS. Make it the outermost: what ends later leaves no spans.
    """
    if not settings.otlp_endpoint:
        yield
        return
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - 10 MB that only tracing needs

    from services.platform.trace_export.bounded import BoundedQueue  # noqa: PLC0415 - the same
    from services.platform.trace_export.provider import provider  # noqa: PLC0415 - the same
    from services.platform.trace_export.quiet import quiet  # noqa: PLC0415 - the same

    quiet()
    headers = {name.lower(): value.get_secret_value() for name, value in settings.otlp_headers.items()}
    exporter = OTLPSpanExporter(endpoint=settings.otlp_endpoint, headers=headers, timeout=SEND_SECONDS)
    queue = BoundedQueue(exporter)
    tracer.use(provider(queue, service).get_tracer(tracer.SCOPE))
    _log.info("traces_are_sent", endpoint=settings.otlp_endpoint)
    try:
        yield
    finally:
        tracer.use(None)
        sent = asyncio.Event()
        loop = asyncio.get_running_loop()

        def send() -> None:
            queue.shutdown()
            with contextlib.suppress(RuntimeError):  # too late: the loop has ended
                loop.call_soon_threadsafe(sent.set)

        # A daemon: a collector that does not answer must not keep the process.
        threading.Thread(target=send, name="last-spans", daemon=True).start()
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await sent.wait()
        except TimeoutError:
            exporter.shutdown()  # it would go on trying
            _log.warning("last_spans_lost", endpoint=settings.otlp_endpoint)
