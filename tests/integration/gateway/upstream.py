"""A stub of a service behind the gateway: answers every RPC of the protos as the test says, and records the calls."""

import importlib
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import convergence
import grpc
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from services.platform.server import OPTIONS

for module in pkgutil.walk_packages(convergence.__path__, "convergence."):
    # Importing the stubs puts their descriptors into the pool.
    if module.name.endswith("_pb2"):
        importlib.import_module(module.name)

type Answer = Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[Message]]
type Stream = Callable[[Any, grpc.aio.ServicerContext[Any, Any]], AsyncIterator[Message]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One call that arrived."""

    path: str
    request: Any
    metadata: dict[str, str]


@dataclass(kw_only=True)
class Upstream(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no typings
    """One of the four services, on `port`, with the certificate of `identity` (its own name, unless the test says otherwise)."""

    name: str
    port: int
    tls_dir: Path
    identity: str = ""
    answer: Answer | None = None
    stream: Stream | None = None
    """Of an RPC that streams."""
    seen: list[Seen] = field(default_factory=list)
    server: grpc.aio.Server | None = None

    async def start(self) -> None:
        certificate = self.identity or self.name
        key, chain, ca = ((self.tls_dir / file).read_bytes() for file in (f"{certificate}.key", f"{certificate}.pem", "ca.pem"))
        # As the services are, but for the limit of a message, so that only the gateway's own can be met.
        options = dict(OPTIONS) | {"grpc.max_receive_message_length": -1}
        self.server = grpc.aio.server(options=list(options.items()))
        health = health_aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(health, self.server)
        reflection.enable_server_reflection([health_pb2.DESCRIPTOR.services_by_name["Health"].full_name], self.server)
        self.server.add_generic_rpc_handlers((self,))
        credentials = grpc.ssl_server_credentials([(key, chain)], root_certificates=ca, require_client_auth=True)
        self.server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        await self.server.start()
        await health.set("", health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.stop(None)
            self.server = None

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """Called by grpc for each call: the handler of its method, None if it is not one of ours."""
        method = _method(call.method)
        if method is None or method.containing_service.full_name.split(".")[1] != self.name:
            return None
        reply, request = (message_factory.GetMessageClass(kind) for kind in (method.output_type, method.input_type))

        async def handle(message: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Message:
            self.seen.append(_seen(call, message, context))
            return await self.answer(message, context) if self.answer else reply()

        async def handle_stream(message: Message, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Message]:
            if self.stream is None:
                yield await handle(message, context)
                return
            self.seen.append(_seen(call, message, context))
            async for one in self.stream(message, context):
                yield one

        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(handle_stream, request.FromString, reply.SerializeToString)
        return grpc.unary_unary_rpc_method_handler(handle, request.FromString, reply.SerializeToString)


def _seen(call: grpc.HandlerCallDetails, message: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Seen:
    metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    return Seen(path=call.method, request=message, metadata=metadata)


def _method(path: str) -> MethodDescriptor | None:
    service, _, name = path.removeprefix("/").partition("/")
    try:
        return descriptor_pool.Default().FindServiceByName(service).methods_by_name.get(name)
    except KeyError:
        return None
