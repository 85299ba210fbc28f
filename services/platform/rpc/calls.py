"""The interceptors around every RPC: each is asked once for each RPC what it puts around a call, and then only that runs."""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Self, override

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from grpc_status import rpc_status

from services.platform.errors import InvalidArgument, to_status
from services.platform.rpc.rules import OPEN_TO_PEERS, find_method

# Seconds by which we give up before the caller's deadline, so that our error, which says more than gRPC's own, still arrives.
DEADLINE_MARGIN = 0.25

type Metadata = Sequence[tuple[str, str | bytes]]

request_id: ContextVar[str] = ContextVar("request_id", default="")
_sent: ContextVar[Metadata | None] = ContextVar("sent", default=None)
"""The metadata of the call that the current task serves. gRPC makes Python objects of them each time it is asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rpc:
    """What can be called."""

    path: str
    """`/package.Service/Method`."""
    method: MethodDescriptor | None
    """None if no proto describes it."""

    @classmethod
    def of(cls, path: str) -> Self:
        """The RPC of this path."""
        return cls(path=path, method=find_method(path))


@dataclass(kw_only=True, slots=True)
class Call:
    """One call of an RPC."""

    request: Message
    context: grpc.aio.ServicerContext[Any, Any]
    metadata: dict[str, str] = field(repr=False)
    """Lower-case names; of a repeated name the last value."""
    repeated: Collection[str] = ()
    """Names that were sent more than once."""
    headers: dict[str, str] = field(default_factory=dict)
    """Response metadata, of which the gateway makes HTTP headers. Sent behind the answer or with the refusal; of a stream, before it."""
    before_answer: list[Callable[[Any], None]] = field(default_factory=list)
    """Called with the answer of a unary call before it is sent."""
    is_served: bool = False
    """It was let in, and its servicer was called."""
    answer: Message | None = None
    """Of a unary call, once the servicer has returned it."""


type Handler = grpc.RpcMethodHandler[Any, Any]
type Step = Callable[[Call], Awaitable[Any]]
"""The rest of a call. Returns the answer; None of an RPC that streams, whose messages it has sent. Raises what the call is refused with."""
type Interceptor = Callable[[Rpc, Step], Step]
"""Puts something around the rest of the calls of an RPC, or before it; returns the rest itself where there is nothing to do."""


class InterceptedHandlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # untyped upstream
    """All handlers of a server, each with `interceptors` around it, outermost first. gRPC's own health and reflection services have none.

    Generated code adds servicers to it as to a server; the server has this handler only. The server does not use gRPC's own interceptors,
    because each would cost every call some coroutines. It does not use registered methods either: grpc.aio awaits the next call of each
    registered method, so every call would add and remove a callback for all methods. With thirty methods, both cost some 25 us of CPU a
    call, a twentieth.
    """

    def __init__(self, interceptors: Sequence[Interceptor]) -> None:
        self._interceptors = tuple(interceptors)
        self._handlers: dict[str, Handler] = {}
        self._wrapped: dict[str, Handler] = {}

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Called by generated code with what it adds by the other method, too."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Called by generated code with the handlers of a proto service, by the names of its methods."""
        self._handlers |= {f"/{service}/{method}": handler for method, handler in handlers.items()}

    @override
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        path: str = handler_call_details.method
        # In the task that serves the call.
        _sent.set(handler_call_details.invocation_metadata)
        if (known := self._wrapped.get(path)) is not None:
            return known
        handler = self._handlers.get(path)
        if handler is None or path.startswith(OPEN_TO_PEERS):
            return handler  # None is UNIMPLEMENTED
        wrapped = self._wrapped[path] = self._wrap(path, handler)
        return wrapped

    def _wrap(self, path: str, handler: Any) -> Handler:
        step = _servicer(handler)
        for interceptor in reversed(self._interceptors):
            step = interceptor(Rpc.of(path), step)

        async def handle(raw: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            try:
                request: Message = handler.request_deserializer(raw)
            except DecodeError:
                await _refuse_unreadable(context)
                raise
            return await step(_call_of(request, context))

        # Parsed here, not by gRPC, which would answer UNKNOWN with Python's error text.
        coding = {"request_deserializer": None, "response_serializer": handler.response_serializer}
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(handle, **coding)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(handle, **coding)
        raise TypeError(f"{path}: the suite has no RPCs that stream requests")


def _servicer(handler: Any) -> Step:
    """The innermost step."""

    async def answer(call: Call) -> Any:
        call.is_served = True
        answer = await handler.unary_unary(call.request, call.context)
        for last_touch in call.before_answer:
            last_touch(answer)
        call.answer = answer
        if call.headers:
            # Behind the answer, with which gRPC sends it. Before it, it would be sent apart, for a tenth of what a cheap call costs.
            call.context.set_trailing_metadata(tuple(call.headers.items()))
        return answer

    async def stream(call: Call) -> None:
        call.is_served = True
        messages: AsyncGenerator[Any] = handler.unary_stream(call.request, call.context)
        async with aclosing(messages):
            async for message in messages:
                # Not before: after headers a refusal could no longer choose the HTTP status.
                await _send_headers(call)
                await call.context.write(message)

    return answer if handler.unary_unary else stream


async def _send_headers(call: Call) -> None:
    """Sends them once; a refusal that comes later is without them."""
    if call.headers:
        await call.context.send_initial_metadata(tuple(call.headers.items()))
        call.headers.clear()


async def _refuse_unreadable(context: grpc.aio.ServicerContext[Any, Any]) -> None:
    bad = InvalidArgument("request", "is no message of the type that this RPC takes.")
    await context.abort_with_status(rpc_status.to_status(to_status(bad)))


def _call_of(request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Call:
    if (sent := _sent.get()) is None:
        sent = context.invocation_metadata() or ()
    metadata = {name.lower(): value for name, value in sent if isinstance(value, str)}
    times = Counter(name.lower() for name, _ in sent) if len(sent) > len(metadata) else {}
    return Call(request=request, context=context, metadata=metadata, repeated=[name for name in times if times[name] > 1])
