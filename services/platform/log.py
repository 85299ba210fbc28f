"""JSON logs, one object a line, each with the call's request id and tenant. Content of key headers and request bodies is never logged.

`severity`, `time` and what a line says of its trace are as Google Cloud Logging reads them ("Structured logging", special JSON fields).
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from typing import Any

import structlog
from opentelemetry import trace

from services.platform.environment.unknown import of_all_services, unknown

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

type Line = MutableMapping[str, Any]

_bound: ContextVar[Mapping[str, object]] = ContextVar("bound", default={})  # noqa: B039 - never changed, only replaced


def bind(**fields: object) -> None:
    """Adds fields to each further line of the current task, and of the tasks that it begins; a line's own fields go first."""
    _bound.set({**_bound.get(), **fields})


def configure(service: str, level: str, *, project: str = "convergence-local") -> None:
    """Sends logs to standard error, each line naming `service`; traces are those of `project`. Call it once, before the first log line."""
    complete = _complete(service, project)
    structlog.configure(
        processors=[complete, structlog.processors.JSONRenderer(serializer=_to_bytes)],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    # What libraries log, in the same form.
    others = logging.StreamHandler(sys.stderr)
    others.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=_to_json),
            ],
            foreign_pre_chain=[structlog.stdlib.add_logger_name, complete],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[others])


def warn_of_unknown_settings(environment: Mapping[str, str]) -> None:
    """Logs a line for each variable that looks like a setting and is one of no service. After `configure`."""
    for one in unknown(environment, of_all_services()):
        structlog.get_logger().warning(**one.line())


def _complete(service: str, project: str) -> structlog.typing.Processor:
    """Adds all that a line says but its own fields. In one step: each call of an RPC writes a line, a tenth of what a cheap one costs."""

    def complete(_: object, method: str, own: Line) -> Line:
        # structlog's levels are called as Cloud Logging's.
        line = {"service": service, **_bound.get(), **own, "severity": method.upper(), "time": _now()}
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            line["logging.googleapis.com/trace"] = f"projects/{project}/traces/{trace.format_trace_id(context.trace_id)}"
            line["logging.googleapis.com/spanId"] = trace.format_span_id(context.span_id)
            line["logging.googleapis.com/trace_sampled"] = context.trace_flags.sampled
        return structlog.processors.format_exc_info(_, method, line) if "exc_info" in line else line

    return complete


def _now() -> str:
    return f"{datetime.now(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _to_json(event: object, *, default: Callable[[object], object]) -> str:
    return _encoder(default).encode(event)


def _to_bytes(event: object, *, default: Callable[[object], object]) -> bytes:
    return _to_json(event, default=default).encode()


@cache
def _encoder(default: Callable[[object], object]) -> json.JSONEncoder:
    """`json.dumps` makes a new one for each line."""
    return json.JSONEncoder(default=default)
