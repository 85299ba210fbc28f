"""The interceptors around every RPC: async context managers over the call, entered in order before the servicer runs."""

import asyncio
import math
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, override

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from grpc_status import rpc_status

from services.platform import metrics
from services.platform.errors import ConvergenceError, DeadlineExceeded, Internal, InvalidArgument, Unavailable, to_status
from services.platform.rpc.rules import OPEN_TO_PEERS, find_method
from services.platform.rpc.secret_texts import has_secret

_log = structlog.get_logger()
MAX_REQUEST_ID = 128
# Seconds by which we give up before the caller's deadline, so that our error, which says more than gRPC's own, still arrives.
DEADLINE_MARGIN = 0.25
# Stops a gRPC client from retrying by its own policy (gRFC A6): our answers have already been retried where that is useful.
NO_RETRY = ("grpc-retry-pushback-ms", "-1")
request_id: ContextVar[str] = ContextVar("request_id", default="")


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One RPC."""

    path: str
    """`/package.Service/Method`."""
    method: MethodDescriptor | None
    """None if no proto describes it."""
    request: Message
    context: grpc.aio.ServicerContext[Any, Any]
    metadata: dict[str, str] = field(repr=False)
    """Lower-case names; of a repeated name the last value."""
    headers: dict[str, str] = field(default_factory=dict)
    """Response metadata, which the gateway passes on as HTTP headers. Sent before the answer, or with the refusal."""
    before_answer: list[Callable[[Any], None]] = field(default_factory=list)
    """Called with the answer of a unary call before it is sent."""


type Handler = grpc.RpcMethodHandler[Any, Any]
type Interceptor = Callable[[Call], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def report(call: Call) -> AsyncIterator[None]:
    """The outermost interceptor: gives the call its request id, logs and counts its result, and turns exceptions into a status. An
    exception's own text never reaches the caller.
    """
    identity = _request_id(call.metadata)
    request_id.set(identity)
    structlog.contextvars.bind_contextvars(request_id=identity, rpc=call.path, tenant_id=getattr(call.request, "tenant_id", "") or None)
    began, code, refusal = time.monotonic(), "OK", None
    left = call.context.time_remaining()
    deadline = asyncio.timeout(max(0.0, left - DEADLINE_MARGIN) if left is not None else None)
    try:
        async with deadline:
            yield
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
        code = refusal.code.name if refusal else code
        seconds = time.monotonic() - began
        metrics.CALLS.labels(call.path, code).inc()
        metrics.CALL_SECONDS.labels(call.path).observe(seconds)
        _log.info("rpc", code=code, reason=refusal.reason if refusal else None, ms=round(seconds * 1000, 1))
    if refusal is not None:
        if isinstance(refusal, Unavailable):
            _log.warning("unavailable", reason=refusal.reason, cause=repr(type(refusal.__cause__).__name__))
        status: Any = rpc_status.to_status(to_status(refusal, identity))
        trailing = (*status.trailing_metadata, NO_RETRY, *_retry_after(refusal), *call.headers.items())
        await call.context.abort_with_status(status._replace(trailing_metadata=trailing))


def _request_id(metadata: Mapping[str, str]) -> str:
    """As the caller sent it, for its own search in the logs; a new one if it cannot be logged."""
    sent = metadata.get("x-request-id", "")
    is_usable = 0 < len(sent) <= MAX_REQUEST_ID and sent.isprintable() and not has_secret(sent, metadata)
    return sent if is_usable else str(uuid.uuid4())


def _retry_after(refusal: ConvergenceError) -> tuple[tuple[str, str], ...]:
    """Retry-After for REST clients, whose libraries read this header: the gateway passes it on. Whole seconds, rounded up, at least 1."""
    if refusal.retry_after is None:
        return ()
    return (("retry-after", str(max(1, math.ceil(refusal.retry_after.total_seconds())))),)


class InterceptorChain(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # untyped upstream
    """Wraps every handler in `interceptors`, outermost first. gRPC's own health and reflection services are not wrapped."""

    def __init__(self, interceptors: Sequence[Interceptor]) -> None:
        self._interceptors = tuple(interceptors)

    @override
    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        path: str = handler_call_details.method
        handler: Any = await continuation(handler_call_details)
        if handler is None or path.startswith(OPEN_TO_PEERS):
            return handler  # None is UNIMPLEMENTED
        method = find_method(path)

        async def enter(stack: AsyncExitStack, request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Call:
            metadata = {key.lower(): value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
            call = Call(path=path, method=method, request=request, context=context, metadata=metadata)
            for step in self._interceptors:
                await stack.enter_async_context(step(call))
            return call

        async def unary(raw: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            request = await _parsed(handler, raw, context)
            async with AsyncExitStack() as stack:
                call = await enter(stack, request, context)
                answer = await handler.unary_unary(request, context)
                for last_touch in call.before_answer:
                    last_touch(answer)
                await _send_headers(call)
                return answer

        async def stream(raw: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            request = await _parsed(handler, raw, context)
            async with AsyncExitStack() as stack:
                call = await enter(stack, request, context)
                async for answer in handler.unary_stream(request, context):
                    # Not before: after headers a refusal could no longer choose the HTTP status.
                    await _send_headers(call)
                    yield answer

        # Parsed here, not by gRPC, which would answer UNKNOWN with Python's error text.
        coding = {"request_deserializer": None, "response_serializer": handler.response_serializer}
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(unary, **coding)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(stream, **coding)
        raise TypeError(f"{path}: the suite has no RPCs that stream requests")


async def _send_headers(call: Call) -> None:
    """Sends them once; a refusal that comes later is without them."""
    if call.headers:
        await call.context.send_initial_metadata(tuple(call.headers.items()))
        call.headers.clear()


async def _parsed(handler: Any, raw: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> Message:
    try:
        request: Message = handler.request_deserializer(raw)
    except DecodeError:
        bad = InvalidArgument("request", "is no message of the type that this RPC takes.")
        await context.abort_with_status(rpc_status.to_status(to_status(bad)))
        raise
    return request
