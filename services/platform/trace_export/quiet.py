"""What OpenTelemetry's exporter logs while the collector is away: one line a minute, with what to do."""

import logging
import time
from typing import Final, override

EXPORTER: Final = "opentelemetry.exporter.otlp.proto.grpc.exporter"
EVERY_SECONDS: Final = 60.0
NEXT: Final = (
    "Calls and runs go on, their spans are lost (convergence_spans_total). Start the collector, or correct CONVERGENCE_OTLP_ENDPOINT and"
    " CONVERGENCE_OTLP_HEADERS; an empty endpoint turns traces off."
)


class OnceAMinute(logging.Filter):
    """Of the lines about batches that were not taken, lets one a minute through, as a warning; none about single tries."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.ERROR or time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + EVERY_SECONDS
        record.msg, record.args, record.exc_info = f"{record.getMessage()}. {NEXT}", (), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


def quiet() -> None:
    """Once a process, before the first batch."""
    logger = logging.getLogger(EXPORTER)
    if not any(isinstance(one, OnceAMinute) for one in logger.filters):
        logger.addFilter(OnceAMinute())
