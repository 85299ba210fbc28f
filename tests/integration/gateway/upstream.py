"""A stub of a service behind the gateway: answers every RPC of the protos as the test says, and records the calls."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

# Importing the stubs puts their descriptors into the pool.
from convergence.auth.v1 import (
    api_key_service_pb2,
    authentication_service_pb2,
    ledger_service_pb2,
    quota_service_pb2,
    tenant_service_pb2,
    usage_service_pb2,
)
from convergence.credentials.v1 import (
    credential_service_pb2,
    issuer_service_pb2,
    sealed_credential_service_pb2,
    token_service_pb2,
    trust_service_pb2,
)
from convergence.executor.v1 import access_service_pb2, cost_service_pb2, pipeline_service_pb2, watch_service_pb2
from convergence.scheduler.v1 import schedule_service_pb2, scheduled_run_service_pb2, scheduler_service_pb2
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from services.platform.server import OPTIONS

STUBS = (
    api_key_service_pb2,
    authentication_service_pb2,
    ledger_service_pb2,
    quota_service_pb2,
    tenant_service_pb2,
    usage_service_pb2,
    credential_service_pb2,
    issuer_service_pb2,
    sealed_credential_service_pb2,
    token_service_pb2,
    trust_service_pb2,
    access_service_pb2,
    cost_service_pb2,
    pipeline_service_pb2,
    watch_service_pb2,
    schedule_service_pb2,
    scheduled_run_service_pb2,
    scheduler_service_pb2,
)

type Answer = Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[Message]]


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
            metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
            self.seen.append(Seen(path=call.method, request=message, metadata=metadata))
            return await self.answer(message, context) if self.answer else reply()

        return grpc.unary_unary_rpc_method_handler(handle, request.FromString, reply.SerializeToString)


def _method(path: str) -> MethodDescriptor | None:
    service, _, name = path.removeprefix("/").partition("/")
    try:
        return descriptor_pool.Default().FindServiceByName(service).methods_by_name.get(name)
    except KeyError:
        return None
