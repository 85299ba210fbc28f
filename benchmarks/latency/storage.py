"""The proxy in front of the Storage Read API, which passes gRPC messages on as they are."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import grpc

from benchmarks.latency.recorder import TENANT, Ask, Recorder
from benchmarks.latency.times import Kind

SERVICE: Final = "google.cloud.bigquery.storage.v1.BigQueryRead"
THREADS: Final = 64
"""Calls at a time; each waits in a thread of its own."""
UNLIMITED: Final = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_BY: Final = f"executor as {TENANT}"
"""No service reads exports with an identity of its own."""


@contextmanager
def storage_proxy(recorder: Recorder, *, upstream: str) -> Iterator[str]:
    """Serves until the end; gives host:port for BIGQUERY_STORAGE_EMULATOR_HOST."""
    with grpc.insecure_channel(upstream, options=UNLIMITED) as channel, ThreadPoolExecutor(THREADS) as pool:
        server = grpc.server(pool, options=UNLIMITED)
        server.add_generic_rpc_handlers((_Handlers(recorder, channel),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(None).wait()


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, recorder: Recorder, channel: grpc.Channel) -> None:
        create = channel.unary_unary(f"/{SERVICE}/CreateReadSession")
        read = channel.unary_stream(f"/{SERVICE}/ReadRows")
        split = channel.unary_unary(f"/{SERVICE}/SplitReadStream")
        self._by_path = {
            f"/{SERVICE}/CreateReadSession": grpc.unary_unary_rpc_method_handler(_unary(recorder, Kind.SESSION, create)),
            f"/{SERVICE}/ReadRows": grpc.unary_stream_rpc_method_handler(_stream(recorder, read)),
            f"/{SERVICE}/SplitReadStream": grpc.unary_unary_rpc_method_handler(_unary(recorder, Kind.METADATA, split)),
        }

    def service(self, call: Any) -> Any:
        return self._by_path.get(call.method)


def _unary(recorder: Recorder, kind: Kind, forward: Callable[..., bytes]) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    def passed(request: bytes, context: grpc.ServicerContext) -> bytes:
        with recorder.passing(Ask(kind=kind, name="read session" if kind is Kind.SESSION else "split"), _BY) as status:
            try:
                answer = forward(request, metadata=_passed_on(context))
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())
            status[0] = 200
        return answer

    return passed


def _stream(recorder: Recorder, forward: Callable[..., Iterator[bytes]]) -> Callable[[bytes, grpc.ServicerContext], Iterator[bytes]]:
    def passed(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        with recorder.passing(Ask(kind=Kind.ROWS, name="read rows"), _BY) as status:
            try:
                yield from forward(request, metadata=_passed_on(context))
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())
            status[0] = 200

    return passed


def _passed_on(context: grpc.ServicerContext) -> list[tuple[str, str]]:
    """The caller's metadata, without what gRPC adds itself."""
    return [(name, value) for name, value in context.invocation_metadata() if not name.startswith(":") and name != "user-agent"]
