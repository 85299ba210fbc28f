"""A gRPC server that answers each RPC with what a test has written down, and remembers what it was sent."""

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.message import Message

from services.platform.errors import ConvergenceError as ServiceError
from services.platform.errors import to_status


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """An answer that is none. `error` is one of the suite's own, as its services send it."""

    error: ServiceError | None = None
    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    trailers: tuple[tuple[str, str | bytes], ...] = ()

    def send(self, context: grpc.ServicerContext) -> None:
        if self.error is not None:
            status = to_status(self.error, request_id="r-1")
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(self.error.code, self.error.message)
        context.set_trailing_metadata(self.trailers)
        context.abort(self.code, "no answer")


def refused(kind: type[ServiceError], reason: str, *, retry_after: float | None = None) -> Refusal:
    return Refusal(error=kind(reason, "Not now.", retry_after=None if retry_after is None else timedelta(seconds=retry_after)))


Answer = Message | Refusal | Sequence[Message | Refusal]
"""A sequence is a stream."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """A request as it arrived."""

    request: bytes
    metadata: dict[str, str]
    seconds: float | None
    """Until the caller's deadline."""


@dataclass(kw_only=True, slots=True)
class Script(grpc.GenericRpcHandler):  # type: ignore[misc]  # untyped upstream
    """Answers by the name of the RPC, in order."""

    answers: dict[str, deque[Answer]] = field(default_factory=lambda: defaultdict(deque))
    sent: dict[str, list[Sent]] = field(default_factory=lambda: defaultdict(list))

    def on(self, rpc: str, *answers: Answer) -> None:
        self.answers[rpc].extend(answers)

    def service(self, details: Any) -> grpc.RpcMethodHandler:
        rpc = details.method.rpartition("/")[2]
        if isinstance(self.answers[rpc][0], Sequence):
            return grpc.unary_stream_rpc_method_handler(lambda request, context: self._stream(rpc, request, context))
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self._unary(rpc, request, context))

    def _next(self, rpc: str, request: bytes, context: grpc.ServicerContext) -> Answer:
        seconds = context.time_remaining()
        self.sent[rpc].append(Sent(request=request, metadata=dict(context.invocation_metadata()), seconds=seconds))
        return self.answers[rpc].popleft()

    def _unary(self, rpc: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        answer = self._next(rpc, request, context)
        if isinstance(answer, Refusal):
            answer.send(context)
        assert isinstance(answer, Message)
        return answer.SerializeToString()

    def _stream(self, rpc: str, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        answer = self._next(rpc, request, context)
        assert isinstance(answer, Sequence)
        for event in answer:
            if isinstance(event, Refusal):
                event.send(context)
            else:
                yield event.SerializeToString()


@contextmanager
def serving(script: Script) -> Iterator[str]:
    """The address of a server with this script."""
    server = grpc.server(ThreadPoolExecutor(4), handlers=(script,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
