"""What a span says of an error: never its message, which may quote what was sent."""

import asyncio
from typing import Final

from opentelemetry.trace import Span, StatusCode

from services.platform.errors import ConvergenceError

ERROR_TYPE: Final = "error.type"
CODE: Final = "rpc.response.status_code"
REASON: Final = "convergence.reason"
NOT_FOUND: Final = "NotFound"
"""The class of ours, and of Google's clients."""
SERVER_FAULTS: Final = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""Codes of answers that are the server's own failure; the others are the caller's (OpenTelemetry, "Semantic conventions for gRPC")."""


def note_failure(span: Span, error: BaseException) -> None:
    """Code and reason of ours, or else the error's class. Work that was cancelled has not failed, and that there is no such thing is an
    answer to many a look.
    """
    if not span.is_recording():
        return
    if isinstance(error, ConvergenceError):
        span.set_attributes({ERROR_TYPE: error.code.name, CODE: error.code.name, REASON: error.reason})
    else:
        span.set_attribute(ERROR_TYPE, type(error).__name__)
    if not isinstance(error, asyncio.CancelledError | GeneratorExit) and type(error).__name__ != NOT_FOUND:
        span.set_status(StatusCode.ERROR)


def note_answer(span: Span, code: str, reason: str | None) -> None:
    """How a call that we serve was answered: `code` of gRPC by its name, and the reason of a refusal."""
    if not span.is_recording():
        return
    span.set_attribute(CODE, code)
    if code != "OK":
        span.set_attribute(ERROR_TYPE, code)
    if reason is not None:
        span.set_attribute(REASON, reason)
    if code in SERVER_FAULTS:
        span.set_status(StatusCode.ERROR)
