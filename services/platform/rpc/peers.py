"""mTLS channels to the other services; their errors are raised as the errors of `errors`."""

import json
import time
from collections.abc import Callable
from typing import Any

import grpc
from grpc_status import rpc_status
from opentelemetry.trace import SpanKind

from services.platform.errors import from_rpc
from services.platform.rpc.calls import request_id
from services.platform.rpc.reach import Reach
from services.platform.settings import ServiceSettings
from services.platform.tls.channel import RenewingChannel
from services.platform.tls.files import TlsFiles
from services.platform.tls.watch import TlsWatch
from services.platform.tracing import calls, propagation, tracer


def peer_channel(settings: ServiceSettings, *, caller: str, peer: str, address: str) -> grpc.aio.Channel:
    """A channel from service `caller` to service `peer` at `address`: host:port, or any name that gRPC resolves.

    Connects on first use, again after a lost connection, and with new certificates when those in `tls_dir` are renewed (while its context
    is open). Calls wait for a connection as `reach` says. Raises OSError if the certificates cannot be read.
    """
    config = {
        # Several addresses (`dns:///auth:50051`, or `ipv4:10.0.0.1:50051,10.0.0.2:50051`) are load balanced.
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [
            {
                "name": [{}],
                # Retries a call whose connection broke before a response: every RPC between peers may be replayed. A status from the
                # service itself is final (see report.NO_RETRY).
                "retryPolicy": {
                    "maxAttempts": 3,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 3,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
    }
    options = [
        # Any address may lead to the peer; its certificate must still carry the peer's name.
        ("grpc.ssl_target_name_override", f"{peer}.convergence.internal"),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        # gRPC's own 30 s are longer than two pods of a rolling upgrade take to be replaced.
        ("grpc.dns_min_time_between_resolutions_ms", 2000),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.service_config", json.dumps(config)),
    ]

    def connect(files: TlsFiles) -> grpc.aio.Channel:
        credentials = grpc.ssl_channel_credentials(
            root_certificates=files.authorities, private_key=files.key, certificate_chain=files.certificate
        )
        interceptor = _PeerCalls(peer, settings.peer_deadline_seconds)
        channel = grpc.aio.secure_channel(address, credentials, options=options, interceptors=[interceptor])
        interceptor.reach = Reach(channel, on_lost)
        return channel

    def on_lost() -> None:
        renewing.connect_anew()

    renewing = RenewingChannel(TlsWatch(settings.tls_dir, caller), connect, seconds=settings.tls_reload_seconds)
    return renewing


class _PeerCalls(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # untyped upstream
    """Passes the request id and the trace on, sets a deadline, waits for a connection, and raises our errors instead of gRPC's."""

    reach: Reach
    """Of the channel that it is made for: set right after that."""

    def __init__(self, peer: str, deadline_seconds: float) -> None:
        self._peer, self._deadline_seconds = peer, deadline_seconds

    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Any],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        name, attributes = calls.of_rpc(_path(client_call_details.method))
        with tracer.span(name, {**attributes, "server.address": self._peer}, kind=SpanKind.CLIENT):
            return await self._call(continuation, client_call_details, request)

    async def _call(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Any],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        metadata = grpc.aio.Metadata(*(client_call_details.metadata or ()))
        if identity := request_id.get():
            metadata["x-request-id"] = identity
        for header, value in propagation.headers().items():
            metadata[header] = value
        began, seconds = time.monotonic(), client_call_details.timeout or self._deadline_seconds
        is_repeated = False
        while True:
            await self.reach.wait(seconds)
            details = grpc.aio.ClientCallDetails(
                method=client_call_details.method,
                timeout=max(0.0, began + seconds - time.monotonic()),
                metadata=metadata,
                credentials=client_call_details.credentials,
                wait_for_ready=client_call_details.wait_for_ready,
            )
            try:
                call = await continuation(details, request)
                return await call
            except grpc.aio.AioRpcError as error:
                # Our services' own errors have details.
                is_cut = error.code() is grpc.StatusCode.UNAVAILABLE and rpc_status.from_call(error) is None
                if is_repeated or not is_cut:
                    raise from_rpc(error, self._peer) from error
                is_repeated = True


def _path(method: str | bytes) -> str:
    return method.decode() if isinstance(method, bytes) else method
