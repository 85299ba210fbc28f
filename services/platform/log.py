"""JSON logs, one object a line, each with the call's request id and tenant. Content of key headers and request bodies is never logged.

`severity`, `time` and what a line says of its trace are as Google Cloud Logging reads them ("Structured logging", special JSON fields).
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from functools import cache
from typing import Any

import structlog
from opentelemetry import trace

from services.platform.environment.unknown import of_all_services, unknown

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

type Line = MutableMapping[str, Any]


def configure(service: str, level: str, *, project: str = "convergence-local") -> None:
    """Sends logs to standard error, each line naming `service`; traces are those of `project`. Call it once, before the first log line."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _severity,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _trace_of(project),
        structlog.processors.format_exc_info,
    ]
    renderer = structlog.processors.JSONRenderer(serializer=_to_json)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    # What libraries log, in the same form.
    others = logging.StreamHandler(sys.stderr)
    others.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[others])


def warn_of_unknown_settings(environment: Mapping[str, str]) -> None:
    """Logs a line for each variable that looks like a setting and is one of no service. After `configure`."""
    for one in unknown(environment, of_all_services()):
        structlog.get_logger().warning(**one.line())


def _severity(_: object, method: str, line: Line) -> Line:
    line["severity"] = method.upper()  # structlog's levels are called as Cloud Logging's
    return line


def _trace_of(project: str) -> structlog.typing.Processor:
    def add(_: object, __: str, line: Line) -> Line:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            line["logging.googleapis.com/trace"] = f"projects/{project}/traces/{trace.format_trace_id(context.trace_id)}"
            line["logging.googleapis.com/spanId"] = trace.format_span_id(context.span_id)
            line["logging.googleapis.com/trace_sampled"] = context.trace_flags.sampled
        return line

    return add


def _to_json(event: object, *, default: Callable[[object], object]) -> str:
    return _encoder(default).encode(event)


@cache
def _encoder(default: Callable[[object], object]) -> json.JSONEncoder:
    """`json.dumps` makes a new one for each line."""
    return json.JSONEncoder(default=default)
