"""The outermost interceptor: what is logged and counted of a call, and what a caller learns of an exception."""

import asyncio
import math
import time
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

import grpc
import structlog
from grpc_status import rpc_status

from services.platform import log
from services.platform.errors import ConvergenceError, DeadlineExceeded, Internal, Unavailable, to_status
from services.platform.metrics.calls import CALL_SECONDS, CALL_STREAM_SECONDS, CALLS, CALLS_IN_FLIGHT
from services.platform.rpc.calls import DEADLINE_MARGIN, Call, Rpc, Step, request_id
from services.platform.rpc.secret_texts import has_secret
from services.platform.tracing.tracer import annotate, is_on, note_answer

_log = structlog.get_logger()
MAX_REQUEST_ID = 128
# Stops a gRPC client from retrying by its own policy (gRFC A6): our answers have already been retried where that is useful.
NO_RETRY = ("grpc-retry-pushback-ms", "-1")
# Looking up a counter by its labels costs more than counting.
_calls = cache(CALLS.labels)


def report(rpc: Rpc, proceed: Step) -> Step:
    """Gives the call its request id, logs and counts its result, and turns exceptions into a status. An exception's own text never reaches
    the caller.
    """
    is_stream, is_traced = rpc.method is not None and rpc.method.server_streaming, is_on()
    in_flight, seconds_taken = CALLS_IN_FLIGHT.labels(rpc.path), (CALL_STREAM_SECONDS if is_stream else CALL_SECONDS).labels(rpc.path)

    async def reported(call: Call) -> Any:
        identity = id_of(call.metadata)
        request_id.set(identity)
        tenant_id = getattr(call.request, "tenant_id", "") or None
        log.bind(request_id=identity, rpc=rpc.path, tenant_id=tenant_id)
        if is_traced:
            annotate({"convergence.request_id": identity} | ({"convergence.tenant_id": tenant_id} if tenant_id else {}))
        began, code = time.monotonic(), "OK"
        refusal: ConvergenceError | None = None
        left = call.context.time_remaining()
        deadline = asyncio.timeout(max(0.0, left - DEADLINE_MARGIN) if left is not None else None)
        in_flight.inc()
        try:
            async with deadline:
                return await proceed(call)
        except ConvergenceError as error:
            refusal = error
        except (grpc.aio.BaseError, asyncio.CancelledError):
            code = "CANCELLED"
            raise
        except Exception as error:  # noqa: BLE001 - the last line of defence: no exception's text may reach a caller
            if isinstance(error, TimeoutError) and deadline.expired():
                refusal = DeadlineExceeded("SERVICE_TIMEOUT", "This took longer than you wait. What you asked for may have been done.")
            else:
                _log.exception("unexpected_error")
                refusal = Internal("INTERNAL", f"Something broke on our side. Quote request id {identity} when you ask for help.")
        finally:
            code = code if refusal is None else refusal.code.name
            reason, seconds = None if refusal is None else refusal.reason, time.monotonic() - began
            in_flight.dec()
            _calls(rpc.path, code, reason or "").inc()
            seconds_taken.observe(seconds)
            if is_traced:
                note_answer(code, reason)
            _log.info("rpc", code=code, reason=reason, ms=round(seconds * 1000, 1))
        return await _refuse(call, refusal, identity)

    return reported


def id_of(metadata: Mapping[str, str]) -> str:
    """The request id as the caller sent it, for its own search in the logs; a new one if it cannot be logged."""
    sent = metadata.get("x-request-id", "")
    is_usable = 0 < len(sent) <= MAX_REQUEST_ID and sent.isprintable() and not has_secret(sent, metadata)
    return sent if is_usable else str(uuid.uuid4())


async def _refuse(call: Call, refusal: ConvergenceError, identity: str) -> None:
    if isinstance(refusal, Unavailable):
        _log.warning("unavailable", reason=refusal.reason, cause=type(refusal.__cause__).__name__ if refusal.__cause__ else None)
    status: Any = rpc_status.to_status(to_status(refusal, identity))
    trailing = (*status.trailing_metadata, NO_RETRY, *_retry_after(refusal), *call.headers.items())
    await call.context.abort_with_status(status._replace(trailing_metadata=trailing))


def _retry_after(refusal: ConvergenceError) -> tuple[tuple[str, str], ...]:
    """Retry-After for REST clients, whose libraries read this header: the gateway passes it on. Whole seconds, rounded up, at least 1."""
    if refusal.retry_after is None:
        return ()
    return (("retry-after", str(max(1, math.ceil(refusal.retry_after.total_seconds())))),)
